"""A prompt becomes words of one small vocabulary, whatever its spelling or code; `words.read` is the way in."""
