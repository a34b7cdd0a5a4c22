"""Plain functions as kinds: what a function asks for by its parameters' names, it gets.

A reward is ``def mine(completions) -> list[str]`` (labels), ``-> Distances`` or ``-> SetFunction``; a gate gives a
number in [0, 1] for each completion; a metric gives one number for the set. Parameters: ``samples``, ``completions``
(their texts), ``prompt`` (its content), ``verdicts`` (without a default: the kind needs a task that judges),
``embedder`` (likewise an encoder); parameters with a default are options. A metric's ``title``, ``role``, ``direction``
and ``headline`` are the function's attributes (``mine.role = "diversity"``); without them it is a number that has no
say in a verdict. The other shelves' functions have the parameters of the method that they stand for.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, get_args, get_origin

from polychromic.core.errors import SettingsError
from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Distances, Evidence, Labels, Measurement, SampleSet, SetFunction, Verdict
from polychromic.settings.introspection import nearest

INPUTS = ("samples", "completions", "prompt", "verdicts")
_SEQUENCES = (list, tuple, Sequence)


def function_kind(shelf: str, name: str, function: Callable[..., Any]) -> Any:
    """A frozen dataclass that is the function as a kind of ``shelf``; its fields are the function's options.

    Raises:
        SettingsError: no function fits on this shelf, or this one asks or answers what no kind does.
    """
    if shelf not in _AS_KIND:
        raise SettingsError(f"{name}: is a function; a kind of {shelf} is a dataclass (polychromic new shows one)")
    try:
        signature = inspect.signature(function, eval_str=True)
    except NameError as error:
        raise SettingsError(f"{name}: its annotations cannot be read: {error}") from error
    return _AS_KIND[shelf](name, function, signature)


def _reward(name: str, function: Callable[..., Any], signature: inspect.Signature) -> Any:
    def evidence(self: Any, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> Evidence:
        return _as_evidence(name, _call(self, function, samples, verdicts), len(samples.completions))

    facts = {"form": _form(name, signature.return_annotation), "evidence": evidence}
    return _of_samples(name, function, signature, facts)


def _gate(name: str, function: Callable[..., Any], signature: inspect.Signature) -> Any:
    def validity(self: Any, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> tuple[float, ...]:
        found = tuple(float(value) for value in _call(self, function, samples, verdicts))
        if len(found) != len(samples.completions) or not all(0.0 <= value <= 1.0 for value in found):
            raise SettingsError(f"{name}: a gate gives one number in [0, 1] for each completion, not {found!r:.60}")
        return found

    return _of_samples(name, function, signature, {"validity": validity})


def _metric(name: str, function: Callable[..., Any], signature: inspect.Signature) -> Any:
    """One number for each set; None and NaN are a number that could not be computed."""
    stated = {"title": function.__name__, "role": "other", "direction": 0, "headline": 0}
    facts = {fact: getattr(function, fact, usual) for fact, usual in stated.items()}
    if facts["role"] not in list(Role):
        raise SettingsError(f"{name}: role is {facts['role']!r:.20}{nearest(str(facts['role']), Role)}")
    if facts["role"] in (Role.QUALITY, Role.DIVERSITY) and facts["direction"] not in (1, -1):
        raise SettingsError(f"{name}: a metric of {facts['role']} states its direction: 1, more is better, or -1")

    def written(self: Any) -> str:
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return write_signature(function.__name__, **{key: getattr(one, "name", one) for key, one in given.items()})

    def measure(self: Any, sets: Sequence[SampleSet], verdicts: Sequence[Sequence[Verdict]] | None) -> Any:
        judged = verdicts if verdicts is not None else [None] * len(sets)
        found = [_call(self, function, samples, of) for samples, of in zip(sets, judged, strict=True)]
        return [_measurement(self.signature, samples, value) for samples, value in zip(sets, found, strict=True)]

    own = {"measure": measure, "signature": property(written), "pinned": lambda self, sets: self}
    return _of_samples(name, function, signature, facts | own | {"defaults": classmethod(lambda cls, n: ())})


def _measurement(signature: str, samples: SampleSet, value: float | None) -> Measurement:
    if value is None or math.isnan(value):
        return Measurement(samples.prompt.id, signature, math.nan, math.nan, "the function gives no number")
    return Measurement(samples.prompt.id, signature, float(value))


def _of_samples(name: str, function: Callable[..., Any], signature: inspect.Signature, facts: dict[str, Any]) -> Any:
    """A kind whose method looks at one set; ``needs`` follows from the parameters."""
    required = {key for key, one in signature.parameters.items() if one.default is inspect.Parameter.empty}
    unknown = sorted(required - {*INPUTS, "embedder"})
    if unknown:
        raise SettingsError(f"{name}: asks for {unknown[0]}; allowed: {', '.join(INPUTS)}, embedder, and options")
    needs = ("encoder",) * ("embedder" in required) + ("verifier",) * ("verdicts" in required)
    return _dataclass(name, function, signature, facts | {"needs": needs})


def _dataclass(name: str, function: Callable[..., Any], signature: inspect.Signature, facts: dict[str, Any]) -> Any:
    found = []
    for key, one in signature.parameters.items():
        if key not in INPUTS and one.kind is not inspect.Parameter.VAR_KEYWORD:
            kind = Any if one.annotation is inspect.Parameter.empty else one.annotation
            default = {} if one.default is inspect.Parameter.empty else {"default": one.default}
            found.append((key, kind, dataclasses.field(kw_only=True, **default)))
    namespace = facts | {"__doc__": inspect.getdoc(function) or name}
    cls = dataclasses.make_dataclass(function.__name__, found, namespace=namespace, frozen=True)
    cls.__module__ = function.__module__
    return cls


def _call(kind: Any, function: Callable[..., Any], samples: SampleSet, verdicts: Sequence[Verdict] | None) -> Any:
    """The function's answer on one set: the inputs that it asks for, and its options."""
    given = {
        "samples": samples,
        "completions": list(samples.texts),
        "prompt": samples.prompt.content,
        "verdicts": verdicts,
    }
    asked = inspect.signature(function).parameters
    options = {field.name: getattr(kind, field.name) for field in dataclasses.fields(kind)}
    return function(**{key: value for key, value in given.items() if key in asked}, **options)


def _form(name: str, annotation: Any) -> str:
    """The form of evidence that a function's return annotation states."""
    forms = {Labels: "labels", Distances: "pairs", SetFunction: "set function"}
    if annotation in forms:
        return forms[annotation]
    inner = get_args(annotation)[:1] if get_origin(annotation) in _SEQUENCES else ()
    if inner and get_origin(inner[0]) in _SEQUENCES:
        return "pairs"
    if inner and inner[0] is not float:
        return "labels"
    raise SettingsError(
        f"{name}: states no form of evidence; annotate what it returns: list[str] (a label for each completion), "
        "Labels, Distances or SetFunction"
    )


def _as_evidence(name: str, found: Any, size: int) -> Evidence:
    if isinstance(found, Labels | Distances | SetFunction):
        return found
    rows = tuple(found)
    if len(rows) != size:
        raise SettingsError(f"{name}: answers {len(rows)} times for a set of {size} completions")
    if rows and isinstance(rows[0], list | tuple):
        return Distances(tuple(tuple(map(float, row)) for row in rows))
    return Labels(rows)


def _method(method: str) -> Callable[[str, Callable[..., Any], inspect.Signature], Any]:
    """A kind whose one method is the function as it is."""

    def as_kind(name: str, function: Callable[..., Any], signature: inspect.Signature) -> Any:
        def call(self: Any, *args: Any) -> Any:
            return function(*args)

        return _dataclass(name, function, signature.replace(parameters=[]), {method: call})

    return as_kind


_AS_KIND = {
    "rewards": _reward,
    "gates": _gate,
    "metrics": _metric,
    "scorers": _method("scores"),
    "demonstration": _method("loss"),
    "post_processing": _method("program"),
}
