"""Floor 4: statistics over measurements."""
