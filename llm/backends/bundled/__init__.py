"""The bundled planner: a small causal language model of the scene language, with its training and report."""

from pathlib import Path

MINIATURE = "miniature"
"""What users call it."""
WEIGHTS = Path(__file__).resolve().parent / "weights"
"""A `save_pretrained` folder of a LlamaForCausalLM and its tokenizer; vLLM serves it as it is."""


def model_folder(model: str) -> str:
    """What vLLM calls a model: the folder of the bundled planner's weights for `miniature`, else the name as it is."""
    return str(WEIGHTS) if model == MINIATURE else model
