"""The fields of a configuration class, read from its source without importing it (so without importing torch).

This is how ``training:``, ``lora:`` and ``quantization:`` are checked against the very versions of TRL, PEFT and
transformers that are installed, in milliseconds. A kind's own file is light and imported: its options are its fields.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import functools
import importlib.util
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BORROWED = {
    "training": (
        ("transformers.training_args", "TrainingArguments"),
        ("trl.trainer.base_config", "_BaseConfig"),
        ("trl.trainer.sft_config", "SFTConfig"),
        ("polychromic.settings.schema", "SavingSection"),
    ),
    "lora": (
        ("peft.config", "PeftConfigMixin"),
        ("peft.config", "PeftConfig"),
        ("peft.tuners.lora.config", "LoraConfig"),
    ),
    "quantization": (("transformers.utils.quantization_config", "BitsAndBytesConfig"),),
}
_PLAIN: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
    "None": (type(None),),
    "dict": (dict,),
    "Mapping": (dict,),
    "list": (list,),
    "tuple": (list,),
    "Sequence": (list,),
}
_NAMES = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "a string",
    dict: "a mapping",
    list: "a list",
}


@dataclass(frozen=True, slots=True)
class FieldType:
    """What a field accepts: plain types and literal values; ``types`` is None when the annotation is beyond judging."""

    types: tuple[type, ...] | None = None
    literals: tuple[Any, ...] = ()

    def refusal(self, value: Any) -> str:
        """Why ``value`` is not accepted; empty when it is."""
        if self.types is None or any(value == item and type(value) is type(item) for item in self.literals):
            return ""
        if isinstance(value, bool):
            fits = bool in self.types
        else:
            fits = isinstance(value, tuple(kind for kind in self.types if kind is not bool))
        if fits:
            return ""
        wanted = [_NAMES[kind] for kind in _NAMES if kind in self.types and not (kind is int and float in self.types)]
        wanted += [repr(item) for item in self.literals]
        return f"must be {' or '.join(wanted) or 'null'}, got {brief(value)}"


ANYTHING = FieldType()


def brief(value: Any) -> str:
    """``value`` in at most 40 characters, for an error message."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def nearest(name: str, allowed: Iterable[str]) -> str:
    """``"; did you mean NAME?"`` when one of ``allowed`` is close to ``name``, else the list when it is short."""
    choices = sorted(allowed)
    close = difflib.get_close_matches(name.lower(), choices, n=1, cutoff=0.55)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; allowed: {', '.join(choices)}" if 0 < len(choices) <= 12 else ""


@functools.cache
def borrowed_fields(section: str) -> dict[str, FieldType]:
    """The names a borrowed section may have, with their types; empty when the library is not installed."""
    found: dict[str, FieldType] = {}
    for module, name in BORROWED[section]:
        path = source_of(module)
        if path is None:
            return {}
        node = classes(path).get(name)
        if node is not None:
            found |= dict(class_fields(node)) or dict(init_fields(node))
    return {name: kind for name, kind in found.items() if not name.startswith("_")}


def source_of(module: str) -> Path | None:
    """The file of a module, found without importing its package; None when there is none."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        return None
    base = Path(next(iter(spec.submodule_search_locations))).joinpath(*rest)
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """The file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def classes(path: Path) -> dict[str, ast.ClassDef]:
    """The top-level classes of a file by name."""
    return {node.name: node for node in tree_of(path).body if isinstance(node, ast.ClassDef)}


def field_types(cls: Any) -> dict[str, FieldType]:
    """What each field of an imported dataclass accepts, by name; fields that are not set on building are left out."""
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        hints |= _annotations(base)
    return {field.name: _of_annotation(hints[field.name]) for field in dataclasses.fields(cls) if field.init}


def _annotations(cls: type) -> dict[str, Any]:
    """A class's own annotations, aliases resolved where all its names can be; those for type checkers cannot."""
    try:
        return inspect.get_annotations(cls, eval_str=True)
    except NameError:
        return inspect.get_annotations(cls)


def _of_annotation(annotation: Any) -> FieldType:
    written = annotation.__name__ if type(annotation) is type else str(annotation)
    try:
        return accepted(ast.parse(written, mode="eval").body)
    except SyntaxError:
        return ANYTHING


def class_fields(node: ast.ClassDef) -> Iterator[tuple[str, FieldType]]:
    """The annotated fields of a class body, as a dataclass would have them."""
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            written = ast.unparse(item.annotation)
            if not written.startswith(("ClassVar", "typing.ClassVar")):
                yield item.target.id, accepted(item.annotation)


def init_fields(node: ast.ClassDef) -> Iterator[tuple[str, FieldType]]:
    """The named parameters of a class's ``__init__``, typed by a true-or-false default."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            names = item.args.args[1:]
            defaults = [None] * (len(names) - len(item.args.defaults)) + list(item.args.defaults)
            for name, default in zip(names, defaults, strict=True):
                is_bool = isinstance(default, ast.Constant) and isinstance(default.value, bool)
                yield name.arg, FieldType((bool,)) if is_bool else ANYTHING


def accepted(node: ast.expr) -> FieldType:
    """What an annotation accepts of YAML's values."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union([accepted(node.left), accepted(node.right)])
    if isinstance(node, ast.Constant):
        return FieldType((type(None),)) if node.value is None else _quoted(node)
    if isinstance(node, ast.Name | ast.Attribute):
        return _named(node)
    if isinstance(node, ast.Subscript):
        return _subscript(node)
    return ANYTHING


def _named(node: ast.Name | ast.Attribute) -> FieldType:
    name = node.id if isinstance(node, ast.Name) else node.attr
    return FieldType(_PLAIN[name]) if name in _PLAIN else ANYTHING


def _quoted(node: ast.Constant) -> FieldType:
    try:
        return accepted(ast.parse(str(node.value), mode="eval").body)
    except SyntaxError:
        return ANYTHING


def _subscript(node: ast.Subscript) -> FieldType:
    outer = ast.unparse(node.value).rpartition(".")[2]
    inner = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    if outer == "Literal":
        return FieldType((), tuple(item.value for item in inner if isinstance(item, ast.Constant)))
    if outer == "Optional":
        return _union([accepted(inner[0]), FieldType((type(None),))])
    if outer == "Union":
        return _union([accepted(item) for item in inner])
    if outer == "Annotated":
        return accepted(inner[0])
    return _named(ast.Name(outer))


def _union(parts: list[FieldType]) -> FieldType:
    if any(part.types is None for part in parts):
        return ANYTHING
    types = tuple(kind for part in parts for kind in part.types or ())
    return FieldType(types, tuple(item for part in parts for item in part.literals))
