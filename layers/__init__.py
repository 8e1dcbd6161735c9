"""The depth-aware scheduler: routing files, presets, and resolving a routing to plain arrays for one model."""
