"""Shelf: losses on the demonstrations, TRL's own and the rivals that need no samples."""
