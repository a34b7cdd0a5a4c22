"""Use the numbers, reach the target: a task with many right answers to each problem, all of them known exactly."""

from polychromic.tasks.countdown.task import BASES, Countdown, base_path

__all__ = ["BASES", "Countdown", "base_path"]
