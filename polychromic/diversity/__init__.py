"""Floor 2: formulas. Texts, vectors or labels in, numbers out; no models, no files."""
