"""Shelf: engines that draw completions."""
