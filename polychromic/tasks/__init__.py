"""Shelf: prompts whose completions can be judged."""
