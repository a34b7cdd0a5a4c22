"""Shelf: numbers about sets of completions."""
