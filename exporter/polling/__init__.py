"""When to ask ScaleEngine, what was learned, and for how long it counts."""
