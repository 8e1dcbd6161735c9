"""The miniature's successor, in the making: a richer world in FLUX.1's token geometry. Not bundled yet."""

from pathlib import Path

WEIGHTS = Path(__file__).resolve().parent / "weights"
"""A `save_pretrained` folder of a FluxPipeline."""
