"""Floor 2: texts to unit vectors, encoded once and cached."""
