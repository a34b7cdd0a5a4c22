"""Tasks of an environment of the package verifiers, judged by the environment's own rewards.

A completion is shown to them as a conversation that is over: the task's prompt and one answer. Rewards that need more
than that (a machine, tools, other agents) are refused by name before anything is sampled.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from itertools import islice
from typing import Any, ClassVar

from polychromic.core.digests import file_digest
from polychromic.core.errors import InputError, MissingResourceError
from polychromic.core.nouns import Completion, Example, Message, Prompt, Status, Verdict
from polychromic.settings.content import options
from polychromic.settings.introspection import nearest
from polychromic.tasks._rows import folded
from polychromic.tasks.function import in_time

Content = str | tuple[Message, ...]


@dataclass(frozen=True)
class Environment:
    """The tasks of ``taskset``, an installed taskset of verifiers (0.4), with the ``config`` that its class takes.

    Right is a completion whose weighted rewards add up to at least ``threshold``; different right texts are different
    answers (white space and case aside). ``splits`` names what a split changes in ``config``, such as
    ``{train: {split: train}, test: {split: test}}``; without it there is the split ``test`` alone. Of a taskset the
    first ``limit`` tasks are read. ``deadline`` is in seconds for all completions that are judged together.
    """

    taskset: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    splits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    limit: int = 1000
    threshold: float = 1.0
    deadline: float = 600.0

    kind: ClassVar[str] = "environment"
    judges: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.taskset:
            raise InputError("environment: taskset is missing; name an installed taskset of verifiers")
        if self.limit < 1 or not self.deadline > 0:
            raise InputError("environment: limit must be at least 1, deadline above 0 seconds")
        for split in self._splits:
            self._tasks(split)

    @property
    def name(self) -> str:
        """The taskset's."""
        return f"environment:{self.taskset}"

    @property
    def _splits(self) -> Mapping[str, Mapping[str, Any]]:
        return self.splits or {"test": {}}

    def prompts(self, split: str) -> Sequence[Prompt]:
        """The split's different prompts, in order.

        Raises:
            InputError: there is no such split.
        """
        if split not in self._splits:
            near = nearest(split, tuple(self._splits))
            raise InputError(f"{self.name}: there is no split {split!r}{near}; splits says what one is")
        return [Prompt(task.key[:12], content) for content, task in self._tasks(split).items()]

    def examples(self, split: str) -> Sequence[Example]:
        """None: an environment has no demonstrations.

        Raises:
            InputError: always.
        """
        raise InputError(f"{self.name}: an environment has no right answers to learn from; data.train_file names some")

    def grounds(self, prompts: Sequence[Prompt]) -> list[Any]:
        """The options, the package's version and the taskset's source."""
        source = inspect.getfile(_library().import_taskset(self.taskset))
        return [[metadata.version("verifiers"), file_digest(source), options(self)]] * len(prompts)

    def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        """As ``verify_many``, for one completion."""
        return self.verify_many([prompt], [completion])[0]

    def verify_many(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[Verdict]:
        """One verdict for each completion: CRASHED where a reward raises, ABSENT for a prompt of no task.

        Raises:
            InputError: the rewards take longer than the deadline.
        """
        known: dict[Content, Any] = {}
        for split in self._splits:
            known |= self._tasks(split)

        async def judged() -> list[Verdict]:
            pairs = zip(prompts, completions, strict=True)
            return await asyncio.gather(*(self._judged(known.get(one.content), each) for one, each in pairs))

        return list(in_time(self.name, lambda: asyncio.run(judged()), self.deadline))

    async def _judged(self, task: Any, completion: Completion) -> Verdict:
        if task is None:
            return Verdict(Status.ABSENT, f"is no prompt of {self.name} with these options")
        if not completion.finished:
            return Verdict(Status.FAILED, "the answer was cut off")
        trace = _over(task, completion.text)
        try:
            await task.score(trace)
        except Exception as error:  # noqa: BLE001 - somebody else's reward on a model's answer
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            return Verdict(Status.CRASHED, f"a reward raised {reason[:120]}")
        if trace.reward < self.threshold:
            return Verdict(Status.FAILED, f"reward {trace.reward:g} of {self.threshold:g}")
        return Verdict(Status.PASSED, answer=folded(completion.text))

    def _tasks(self, split: str) -> dict[Content, Any]:
        return _tasks(self.taskset, json.dumps({**self.config, **self._splits[split]}, sort_keys=True), self.limit)


def _library() -> Any:
    try:
        return importlib.import_module("verifiers.v1")
    except ImportError as error:
        raise MissingResourceError(f"environment: needs {error.name}: pip install 'polychromic[environment]'") from None


@functools.lru_cache(maxsize=16)
def _tasks(name: str, config: str, limit: int) -> dict[Content, Any]:
    """The first task of each prompt.

    Raises:
        InputError: there is no such taskset, it refuses the configuration, or its rewards need more than a completion.
        MissingResourceError: the package is not here.
    """
    library = _library()
    try:
        settings = library.taskset_config_type(name).model_validate({**json.loads(config), "id": name})
        plain = library.environment_class(name) is library.SingleAgentEnv
        found = list(islice(library.load_taskset(settings), limit))
    except Exception as error:
        said = " ".join(str(error).split())
        raise InputError(f"environment: {name}: {type(error).__name__}: {said[:200]}") from error
    if not found:
        raise InputError(f"environment: {name} holds no task")
    needs = map(_more_than_text, found) if plain else ["its environment has agents or scores of its own"]
    for need in filter(None, needs):
        raise InputError(f"environment: {name} cannot judge a finished completion: {need}")
    tasks: dict[Content, Any] = {}
    for task in found:
        tasks.setdefault(_content(task.data), task)
    return tasks


def _more_than_text(task: Any) -> str:
    """What a task needs besides a finished completion; empty when that is all."""
    library, kind = _library(), type(task)
    own = [hook for hook in ("setup", "finalize") if getattr(kind, hook) is not getattr(library.Task, hook)]
    rewards = task.hooks("reward")
    machines = [
        each.__name__
        for each in rewards
        if (asked := inspect.signature(each).parameters.get("runtime")) and asked.default is asked.empty
    ]
    if task.NEEDS_CONTAINER or kind.toolsets(task.config):
        return f"{kind.__name__} needs a container or tools"
    if own or machines:
        return f"{kind.__name__}.{(own + machines)[0]} needs a running machine"
    if task.data.prompt is None:
        return f"{kind.__name__} has no prompt: its user begins"
    if task.config.judges:
        return "config.task.judges asks models whose cost is not counted here; take kind judge"
    return "" if rewards else f"{kind.__name__} has no reward"


def _content(data: Any) -> Content:
    """The task's prompt as one is asked it: its system prompt, then its messages, or one user's turn."""
    turns = [] if data.system_prompt is None else [Message("system", data.system_prompt)]
    if isinstance(data.prompt, str):
        return (*turns, Message("user", data.prompt))
    text = importlib.import_module("verifiers.v1.types").content_text
    return (*turns, *(Message(message.role, text(message.content)) for message in data.prompt))


def _over(task: Any, text: str) -> Any:
    """The trace of a conversation that ended with the text."""
    library = _library()
    asked = [] if task.data.system_prompt is None else [library.SystemMessage(content=task.data.system_prompt)]
    said = task.data.prompt
    asked += [library.UserMessage(content=said)] if isinstance(said, str) else said
    state = importlib.import_module("verifiers.v1.state").state_cls(type(task))
    nodes = [
        library.MessageNode(parent=place - 1 if place else None, message=message, sampled=place == len(asked))
        for place, message in enumerate([*asked, library.AssistantMessage(content=text)])
    ]
    own = library.TraceTask(type=type(task).__name__, data=task.data, key=task.key, hash=task.hash)
    agent = library.AgentInfo(config=library.AgentConfig())
    return library.Trace(task=own, agent=agent, nodes=nodes, state=state(), is_completed=True, ok=True)
