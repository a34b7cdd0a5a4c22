"""How a programming problem is put to a model: a strategy is a YAML file of texts, and six come with the package."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from polychromic.code.extraction import Extraction, as_written
from polychromic.code.problems import Problem
from polychromic.core.errors import InputError, MissingResourceError, SettingsError
from polychromic.core.inputs import read_input
from polychromic.core.nouns import Message
from polychromic.core.protocols import PostProcessing
from polychromic.settings.catalog import Entry, build, check
from polychromic.settings.code import STRATEGY_FILES
from polychromic.settings.introspection import nearest
from polychromic.settings.outside import anchored

FOLDER = Path(__file__).parent / "strategies"
Content = str | tuple[Message, ...]


class Exemplar(NamedTuple):
    """A solved problem: code to be completed, the idea in words, the body."""

    code: str
    idea: str = ""
    body: str = ""


class Strategy(NamedTuple):
    """The texts that put a problem.

    ``user`` is the template of what a model is shown, with ``{code}`` (the problem), ``{shots}`` (the ``exemplars``,
    each in the template ``shot``, with ``{idea}`` and ``{body}``), ``{number}`` and ``{entry_point}``. With ``chat`` it
    is a message, after ``system``; else text to be continued. ``until`` ends the answer before a model invents the
    next problem, ``stop`` does so at the server. ``preamble`` (usual imports) is put before every program.
    ``continues``: a demonstration continues the problem's code; else it is the template ``gold`` with ``{program}``.
    ``structured``: the answer is JSON under a schema.
    """

    name: str
    user: str = "{code}"
    system: str = ""
    chat: bool = False
    exemplars: tuple[Exemplar, ...] = ()
    shot: str = ""
    until: str = ""
    stop: tuple[str, ...] = ()
    post_processing: str | Mapping[str, Any] = "ast"
    preamble: str = ""
    continues: bool = False
    gold: str = "```python\n{program}\n```"
    structured: bool = False


def strategies() -> tuple[str, ...]:
    """The names of the strategies that come with the package, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def strategy(name: str) -> Strategy:
    """The strategy of that name, or that a file of the user's holds (YAML; a text file is the message of a chat).

    Raises:
        InputError: there is no such strategy.
        MissingResourceError: there is no such file.
        SettingsError: ``file: key: what is wrong``.
    """
    if name.endswith(STRATEGY_FILES):
        return _read(Path(name))
    if name not in strategies():
        raise InputError(f"there is no prompt strategy {name!r}{nearest(name, strategies())}; or give a YAML file")
    return _read(FOLDER / f"{name}.yaml")


def digest(name: str) -> str:
    """12 hex digits of all that a strategy says; they change when its file does."""
    return hashlib.sha256(repr(strategy(name)).encode("utf-8", "surrogatepass")).hexdigest()[:12]


@cache
def _read(path: Path) -> Strategy:
    try:
        text = read_input(path).decode("utf-8")
        if path.suffix == ".txt":
            return Strategy(path.stem, text if "{code}" in text else f"{text.rstrip()}\n\n{{code}}", chat=True)
        values = yaml.safe_load(text)
    except MissingResourceError:
        raise MissingResourceError(f"{path}: there is no such strategy") from None
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise SettingsError(f"{path}: cannot be read: {type(error).__name__}") from None
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: expected keys such as system and user")
    return _checked(path, values)


def _checked(path: Path, values: dict[str, Any]) -> Strategy:
    defaults = Strategy("")._asdict()
    for key, value in values.items():
        if key not in defaults or key == "name":
            raise SettingsError(f"{path}: {key}: unknown key{nearest(str(key), set(defaults) - {'name'})}")
        if key == "exemplars":
            values[key] = _exemplars(path, value)
        elif key == "stop":
            values[key] = tuple(_texts(path, key, value if isinstance(value, list) else [value]))
        elif key == "post_processing":
            values[key] = _post_processing(path, value)
        elif type(value) is not type(defaults[key]):
            wanted = "true or false" if isinstance(defaults[key], bool) else "a text"
            raise SettingsError(f"{path}: {key}: must be {wanted}")
    return Strategy(path.stem, **values)


def _post_processing(path: Path, value: Any) -> Any:
    """The entry of the shelf, its file found beside the strategy's own."""
    entry = anchored(value, path.parent)
    try:
        check("post_processing", entry)
    except InputError as error:
        raise SettingsError(f"{path}: post_processing: {error}") from None
    return entry


def _texts(path: Path, key: str, values: Sequence[Any]) -> list[str]:
    if not all(isinstance(value, str) for value in values):
        raise SettingsError(f"{path}: {key}: must be texts")
    return [str(value) for value in values]


def _exemplars(path: Path, value: Any) -> tuple[Exemplar, ...]:
    """Exemplars as they stand, or from the file named, beside the strategy's own."""
    if isinstance(value, str):
        place = path.parent / value
        if not place.is_file():
            raise SettingsError(f"{path}: exemplars: {value}: there is no such file")
        try:
            return _exemplars(place, yaml.safe_load(read_input(place).decode("utf-8")))
        except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
            raise SettingsError(f"{place}: cannot be read: {type(error).__name__}") from None
    if not isinstance(value, list) or not all(isinstance(item, Mapping) and item.get("code") for item in value):
        raise SettingsError(f"{path}: exemplars: must be a list of {{code, idea, body}}, or a file with one")
    for item in value:
        unknown = sorted(set(item) - set(Exemplar._fields))
        if unknown:
            raise SettingsError(f"{path}: exemplars: {unknown[0]}: unknown key{nearest(unknown[0], Exemplar._fields)}")
        _texts(path, "exemplars", list(item.values()))
    return tuple(Exemplar(**item) for item in value)


def content(problem: Problem, how: Strategy) -> Content:
    """The prompt's content: messages for a chat strategy, else text to be continued."""
    shots = "".join(_filled(how.shot, number=str(i), **item._asdict()) for i, item in enumerate(how.exemplars, start=1))
    code = problem.prompt if problem.prompt.endswith("\n") else problem.prompt + "\n"
    number = str(len(how.exemplars) + 1)
    text = _filled(how.user, shots=shots, number=number, entry_point=problem.entry_point, code=code)
    if not how.chat:
        return text
    system = (Message("system", how.system),) if how.system else ()
    return *system, Message("user", text)


def _filled(template: str, **values: str) -> str:
    """The template with each ``{name}`` replaced once; other braces stay, also those in what is filled in."""
    pieces = [template]
    for name, value in values.items():
        split = [piece.split(f"{{{name}}}") if place % 2 == 0 else [piece] for place, piece in enumerate(pieces)]
        pieces = [part for parts in split for part in _between(parts, value)]
    return "".join(pieces)


def _between(parts: list[str], value: str) -> list[str]:
    """The parts with the value in each gap, so that template and filled text alternate."""
    return [text for part in parts for text in (part, value)][:-1]


def answer_region(text: str, how: Strategy) -> str:
    """The part of a continuation that answers its own problem, before the model invents the next one."""
    return text.split(how.until, maxsplit=1)[0] if how.until else text


def resolved(asked: Entry, how: Strategy) -> PostProcessing:
    """The post-processing that is asked for; ``auto`` is the strategy's own."""
    entry = how.post_processing if asked == "auto" else asked
    found: PostProcessing = entry if isinstance(entry, PostProcessing) else build("post_processing", entry)
    return found


def processed(how: PostProcessing, text: str, entry_point: str, prompt: str) -> Extraction:
    """The program that a post-processing finds, ours or one from outside, whose rule is ``custom``.

    Raises:
        SettingsError: one from outside raises, or answers what is no source.
    """
    try:
        found = how.program(text, entry_point, prompt)
    except Exception as error:
        raise SettingsError(f"{type(how).__name__}: raised {type(error).__name__} on an answer: {error}") from error
    if isinstance(found, Extraction):
        return found
    if not isinstance(found, str):
        raise SettingsError(f"{type(how).__name__}: a post-processing gives a program's source, not {found!r:.60}")
    return as_written(found, "custom")


def demonstration(problem: Problem, how: Strategy) -> str:
    """The gold program as the strategy asks for it: the prompt's continuation, or in its template."""
    if how.continues:
        if problem.gold.startswith(problem.prompt):
            return problem.gold[len(problem.prompt) :]
        signature, _, body = problem.gold.partition("\n")
        if problem.prompt.startswith(f"{signature}\n"):
            return body
        return _filled(Strategy("").gold, program=problem.gold.rstrip())
    return _filled(how.gold, program=problem.gold.rstrip())
