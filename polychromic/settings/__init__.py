"""Floor 1: configuration: sections, loading, and the shelves a kind is looked up on."""
