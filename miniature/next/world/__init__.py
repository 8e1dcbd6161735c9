"""The scene world: its language, renderer, random scenes, plans with their truth, and the scorer of pictures."""
