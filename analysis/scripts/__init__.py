"""Short programs to copy: each reads a probe's files and draws one thing."""
