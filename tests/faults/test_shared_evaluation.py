"""An evaluation that two ranks draw is that of one process, also after one of them was killed."""

import signal

import pytest

from polychromic.records.costs import read_costs
from polychromic.records.jsonl import read_json
from tests import processes

SCRIPT = """
import os, signal, sys
from polychromic.__main__ import main
from polychromic.stages import sample
draw, drawn = sample._draw, 0
def hit(*args):
    global drawn
    drawn += 1
    if f"{os.environ.get('RANK')}@{drawn}" == os.environ.get("KILLED"):
        os.kill(os.getpid(), signal.SIGKILL)
    return draw(*args)
sample._draw = hit
main(sys.argv[1:])
"""
ARGUMENTS = ["evaluate", "--models", "base=embedded:countdown,again=embedded:countdown", "--task", "countdown"]
ARGUMENTS += ["--max-prompts", "6", "--n", "4", "--max-new-tokens", "8", "--batch-size", "8", "--encoder", "hashing"]
FILES = ("samples.jsonl", "verdicts.jsonl", "measurements.jsonl")


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory):
    """``evaluate(out, count)``: the ranks' statuses and words."""
    script = tmp_path_factory.mktemp("script") / "evaluate.py"
    script.write_text(SCRIPT)

    def run(out, count=2, **environment):
        with processes.ranks(script, *ARGUMENTS, "--out", out, count=count, **environment) as started:
            said = [rank.communicate(120) for rank in started]
        return [rank.returncode for rank in started], said

    return run


@pytest.fixture(scope="module")
def alone(evaluate, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone") / "out"
    assert evaluate(out, 1)[0] == [0]
    return out


def test_two_ranks_write_the_files_of_one(alone, evaluate, tmp_path):
    out = tmp_path / "out"
    statuses, said = evaluate(out)
    assert statuses == [0, 0], said
    assert f"report: {out}/report.html" in said[0][0]
    assert not said[1][0]
    assert [(out / name).read_bytes() for name in FILES] == [(alone / name).read_bytes() for name in FILES]
    assert read_json(out / "comparison.json") == read_json(alone / "comparison.json")
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in alone.iterdir())


def test_what_a_killed_rank_leaves_is_continued_by_one_process(alone, evaluate, tmp_path):
    out = tmp_path / "out"
    statuses, said = evaluate(out, KILLED="1@2")
    assert statuses[1] == -signal.SIGKILL
    assert statuses[0] > 0, said
    assert sum(line.startswith("polychromic:") for line in said[0][1].splitlines()) == 1
    kept = sum(path.read_bytes().count(b"\n") for path in (out / "samples.parts").glob("*.jsonl"))
    assert kept >= 8
    statuses, said = evaluate(out, 1)
    assert statuses == [0], said
    assert sum(row.stage == "sample" for row in read_costs(out)) == 12  # a row a model and prompt: none drawn twice
    assert sorted((out / FILES[0]).read_bytes().splitlines()) == sorted((alone / FILES[0]).read_bytes().splitlines())
    assert not (out / "samples.parts").exists()
