"""Which solutions of a programming problem count as the same one."""

from polychromic.code.approach.reading import UNREAD, approach

__all__ = ["UNREAD", "approach"]
