"""The process itself: start, signals, standard streams, memory and limits.

``start_process`` comes before all other imports, so that signals and a closed stream are handled
from the start. Imports only the standard library, and nothing else of the program.
"""
