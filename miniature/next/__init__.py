"""The miniature's successor, in the making: a richer world in FLUX.1's token geometry. Not bundled yet."""
