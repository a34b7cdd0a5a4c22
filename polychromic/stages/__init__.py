"""Floor 6: wiring. Each stage reads files, calls one room and writes files."""
