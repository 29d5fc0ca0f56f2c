"""Random inputs for everything that reads untrusted text.

`python -m bench.fuzz` runs hypothesis on each target in turn, for ten minutes in all.
"""
