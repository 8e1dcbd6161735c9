"""The Studio: a page to draw regions, write levels and watch depth, on the engine that the command line uses."""
