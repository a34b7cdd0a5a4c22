"""Code evaluation: how a problem is put, which program an answer holds, what became of it and what that adds up to."""
