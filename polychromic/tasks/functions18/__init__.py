"""Eighteen small functions in five categories, with tests, gold programs and wrong ones, written for this project."""

from polychromic.tasks.functions18.task import Functions18

__all__ = ["Functions18"]
