"""The miniature: small bundled models, trained by this project, on which every feature runs on a CPU."""
