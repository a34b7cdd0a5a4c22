"""Shelf: which completions count."""
