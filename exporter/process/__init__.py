"""The process itself: its signals and its end. Imports little: it comes before all else."""
