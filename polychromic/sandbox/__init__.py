"""Floor 2: runs model-written programs, confined, and judges them from outside."""
