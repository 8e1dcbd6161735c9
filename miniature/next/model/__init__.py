"""The miniature's parts, untrained: autoencoder, text encoders with their tokenizers, transformer."""
