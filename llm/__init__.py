"""From a prompt to a plan: what a language model is asked, and what is made of its answers."""
