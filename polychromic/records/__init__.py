"""Floor 1: rows in and out of files, and the names of what a run leaves behind."""
