"""The study of what each layer listens to, on the model at hand. Not written yet."""
