"""What the language model is taught: prompts with their answers, made from scenes."""
