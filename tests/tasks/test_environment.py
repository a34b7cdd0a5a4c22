"""An environment of the real package verifiers judges finished completions, and what needs more is refused by name."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from polychromic.core.errors import InputError, MissingResourceError
from polychromic.core.nouns import Completion, Message, Prompt, Status
from polychromic.settings.catalog import build

HERE = importlib.util.find_spec("verifiers") is not None
real = pytest.mark.skipif(not HERE, reason="verifiers is not installed: it pins openai below 3, of which 3 is tested")
SUMS = """
import verifiers.v1 as vf

class SumData(vf.TaskData):
    total: int

class SumTask(vf.Task[SumData]):
    @vf.reward(weight=0.75)
    async def right(self, trace) -> float:
        return float(int(trace.last_reply) == self.data.total)

    @vf.reward(weight=0.25)
    async def asked(self, trace) -> float:
        return float(len(trace.messages) == 3 and trace.num_turns == 1)
    # MORE

class SumConfig(vf.TasksetConfig):
    first: int = 1
    count: int = 3

class SumTaskset(vf.Taskset[SumTask, SumConfig]):
    def load(self):
        for n in range(self.config.first, self.config.first + self.config.count):
            yield SumTask(SumData(prompt=f"{n}+{n}?", system_prompt="A number.", total=2 * n), self.config.task)

__all__ = ["SumTaskset"]
"""


@pytest.fixture
def taskset(tmp_path, monkeypatch, request):
    """An importable taskset of sums, with ``more`` in its task."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name, more=""):
        (tmp_path / f"{name}.py").write_text(SUMS.replace("# MORE", more))
        request.addfinalizer(lambda: sys.modules.pop(name, None))
        return name

    return make


def environment(name, **options):
    return build("tasks", {"kind": "environment", "taskset": name, **options})


@real
def test_its_rewards_judge_a_finished_completion(taskset):
    splits = {"train": {"count": 2}, "test": {"first": 8}}
    task = environment(taskset("own_sums"), splits=splits, config={"count": 1})
    (prompt,) = task.prompts("test")
    assert prompt.content == (Message("system", "A number."), Message("user", "8+8?"))
    assert [each.content[1].content for each in task.prompts("train")] == ["1+1?", "2+2?"]
    texts = [Completion(" 16\n"), Completion("17"), Completion("sixteen"), Completion("16", finished=False)]
    verdicts = task.verify_many([prompt] * 4, texts)
    assert [each.status for each in verdicts] == [Status.PASSED, Status.FAILED, Status.CRASHED, Status.FAILED]
    assert verdicts[0].answer == "16"
    assert verdicts[1].detail == "reward 0.25 of 1"
    assert task.verify(Prompt("x", "3+3?"), Completion("6")).status is Status.ABSENT
    assert environment("own_sums", threshold=0.25).verify(task.prompts("train")[0], texts[1]).passed
    with pytest.raises(InputError, match=r"there is no split 'tests'; did you mean"):
        task.prompts("tests")
    with pytest.raises(InputError, match="no right answers to learn from"):
        task.examples("train")


@real
@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("@vf.reward\n    async def ran(self, runtime) -> float:\n        return 1.0", "SumTask.ran needs a running"),
        ("async def setup(self, trace, runtime):\n        pass", "SumTask.setup needs a running machine"),
        ("NEEDS_CONTAINER = True", "SumTask needs a container or tools"),
    ],
)
def test_what_needs_more_than_a_completion_is_refused_by_name(taskset, more, said):
    with pytest.raises(InputError, match=f"cannot judge a finished completion: {said}"):
        environment(taskset("needy_sums", more))


@real
def test_a_wrong_name_or_configuration_is_one_line(taskset):
    for name, options, said in (
        ("no_such_sums", {}, "taskset 'no_such_sums' not found"),
        (taskset("bad_sums"), {"config": {"counts": 2}}, "counts"),
        ("bad_sums", {"config": {"count": 0}}, "holds no task"),
    ):
        with pytest.raises(InputError, match=said) as caught:
            environment(name, **options)
        assert "\n" not in str(caught.value)


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "verifiers.v1", None)
    with pytest.raises(MissingResourceError, match=r"pip install 'polychromic\[environment\]'"):
        environment("sums_elsewhere")
    with pytest.raises(InputError, match="taskset is missing"):
        build("tasks", "environment")
