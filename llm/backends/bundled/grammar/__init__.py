"""What a prompt in those words asks for, as facts; `understanding.understood` is the way in."""
