"""Use the numbers, reach the target: a task with many right answers to each problem, all of them known exactly."""

from polychromic.tasks.countdown.task import Countdown, base_path

__all__ = ["Countdown", "base_path"]
