"""The injection: text streams and regional attention inside any diffusers FLUX pipeline."""
