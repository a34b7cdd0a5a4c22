"""A configuration file as plain values, with the line each of them stands on.

YAML's syntax with JSON's scalars: ``true``, ``null``, ``12``, ``1e-4`` (a number here, unlike in YAML 1.1), and all
else is a string (so ``no`` and ``on`` are too). Nothing is ever constructed but plain values.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from polychromic.core.errors import MissingResourceError, SettingsError
from polychromic.core.inputs import read_input

Path_ = tuple[str | int, ...]
MAX_DEPTH, MAX_VALUES = 30, 20_000
_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """SafeLoader with JSON's scalars."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|false|True|False", "tfTF"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf)|\.(nan|NaN)", "-+.0123456789"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(_TAG + _tag, re.compile(rf"^(?:{_pattern})$"), list(_first))

LARGEST = 16 * 2**20
"""Bytes of a configuration file."""


@dataclass(slots=True)
class Source:
    """Nested plain values, and where each came from: ``file:line`` or ``command line``."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Path_, str] = field(default_factory=dict)

    def place(self, path: Path_) -> str:
        """Where ``path``, or the nearest section around it, was written."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, "configuration")


def dotted(path: Path_) -> str:
    """``section.key`` of a path; list positions in brackets."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def read_source(path: str | Path) -> Source:
    """The file's values and their lines.

    Raises:
        SettingsError: not UTF-8, not YAML, a key given twice, a tag, or no mapping.
        MissingResourceError: there is no such file.
    """
    try:
        text = read_input(path, LARGEST).decode("utf-8-sig")
    except MissingResourceError:
        raise MissingResourceError(f"{path}: there is no such configuration file") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SettingsError(f"{path}:{line}: not UTF-8") from None
    source = Source()
    node = _compose(text, str(path))
    if node is not None:
        source.values = _Reader(str(path), source.places).value(node, ())
    if not isinstance(source.values, dict):
        raise SettingsError(f"{path}:1: expected sections (experiment:, model:, ...), got {source.values!r:.40}")
    return source


def read_value(text: str, place: str) -> Any:
    """The plain value of a piece of YAML given at ``place``, such as the right side of an override."""
    node = _compose(text, place)
    return None if node is None else _Reader(place, {}).value(node, ())


def _compose(text: str, place: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
        return node
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark and place != COMMAND_LINE else ""
        raise SettingsError(f"{place}{line}: not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError) as error:
        reason = str(error).partition("\n")[0] or "nested too deeply"
        raise SettingsError(f"{place}: not YAML: {reason}") from None


COMMAND_LINE = "command line"


@dataclass(slots=True)
class _Reader:
    """Turns YAML nodes into plain values, noting the place of each."""

    name: str
    places: dict[Path_, str]
    count: int = 0

    def value(self, node: yaml.Node, path: Path_) -> Any:
        self.count += 1
        if len(path) > MAX_DEPTH or self.count > MAX_VALUES:
            raise self.error(node, path, "nested too deeply or too large for a configuration")
        self.places.setdefault(path, self.place(node))
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, path)
        raise self.error(node, path, f"the tag {node.tag} is not allowed")

    def mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, item in node.value:
            if key.tag == _TAG + "merge":
                raise self.error(key, path, "merge keys (<<) are not allowed; use extends")
            if not isinstance(key, yaml.ScalarNode):
                raise self.error(key, path, "a key must be plain text")
            name = key.value
            if name in found:
                raise self.error(key, (*path, name), "the key is given twice")
            self.places[(*path, name)] = self.place(key)
            found[name] = self.value(item, (*path, name))
        return found

    def scalar(self, node: yaml.ScalarNode, path: Path_) -> Any:
        kind, text = node.tag.removeprefix(_TAG), node.value
        if kind == "str" or kind == "merge":
            return text
        if kind == "null":  # a section with nothing under it is empty; one that says null is taken out
            return {} if not text and len(path) == 1 else None
        if kind == "bool":
            return text.lower() == "true"
        if kind not in ("int", "float"):
            raise self.error(node, path, f"the tag {node.tag} is not allowed")
        try:
            number = int(text) if kind == "int" else float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            raise self.error(node, path, f"the tag {node.tag} does not fit this value") from None
        if not math.isfinite(number):
            raise self.error(node, path, "must be a finite number")
        return number

    def place(self, node: yaml.Node) -> str:
        return self.name if self.name == COMMAND_LINE else f"{self.name}:{node.start_mark.line + 1}"

    def error(self, node: yaml.Node, path: Path_, reason: str) -> SettingsError:
        where = f"{dotted(path)}: " if path else ""
        return SettingsError(f"{self.place(node)}: {where}{reason}")
