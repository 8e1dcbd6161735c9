"""The training of the miniature's models and of the scorer: one loop (`loop.py`), one recipe a model."""
