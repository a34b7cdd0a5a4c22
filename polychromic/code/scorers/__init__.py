"""How to choose one of N candidates without knowing which is right; each file is a kind of scorer."""
