"""The decomposition of a prompt into a plan by a language model. Not written yet."""
