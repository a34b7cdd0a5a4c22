"""Shelf: what makes a set of completions worth having."""
