"""Floor 2: runs model-written programs, confined, and judges them from outside."""

from polychromic.sandbox.box import Sandbox
from polychromic.sandbox.doctor import sandbox_report
from polychromic.sandbox.nouns import Cases, Judgement, Limits, Outcome, Program

__all__ = ["Cases", "Judgement", "Limits", "Outcome", "Program", "Sandbox", "sandbox_report"]
