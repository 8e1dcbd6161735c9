"""The commands, one file each: what they take, print and write. What they do can be called from Python likewise."""
