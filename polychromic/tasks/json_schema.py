"""A judge of structured answers: JSON that follows a schema."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from polychromic.core.errors import InputError
from polychromic.core.inputs import read_input
from polychromic.core.nouns import Completion, Prompt, Status, Verdict
from polychromic.tasks._rows import Rows, column

FENCE = "```"


@dataclass(frozen=True)
class JsonSchema(Rows):
    """Right is a completion that is JSON (alone or in one fence) and follows the schema.

    The schema is the file ``schema``, or the row's column ``column``. Two answers are the same when their values are,
    whatever the order of their keys.
    """

    schema: str = ""
    column: str = "schema"

    name: ClassVar[str] = "json"
    kind: ClassVar[str] = "json"

    def __post_init__(self) -> None:
        if self.schema:
            _validator(self._text_of_file())

    def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        """PASSED with the sorted JSON, FAILED with the first fault, ABSENT without a schema."""
        written = self._text_of_file() if self.schema else _as_text(column(prompt, self.column))
        if written is None:
            return Verdict(Status.ABSENT, f"the row has no column {self.column!r}, and no schema is given")
        if not completion.finished:
            return Verdict(Status.FAILED, "the answer was cut off")
        try:
            value = json.loads(_unfenced(completion.text), object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            return Verdict(Status.FAILED, f"not JSON: {str(error)[:80]}")
        fault = next(_validator(written).iter_errors(value), None)
        if fault is not None:
            place = "/".join(map(str, fault.absolute_path)) or "the answer"
            return Verdict(Status.FAILED, f"{place}: {fault.message[:80]}")
        return self.right(completion, json.dumps(value, sort_keys=True, ensure_ascii=False))

    def _text_of_file(self) -> str:
        path = Path(self.schema).expanduser()
        return _read(path, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache
def _read(path: Path, stamp: int) -> str:
    try:
        return read_input(path).decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"json: the schema {path} cannot be read: not UTF-8") from None


@lru_cache(maxsize=1024)
def _validator(written: str) -> Any:
    """The schema's validator.

    Raises:
        InputError: it is no schema.
    """
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for

    try:
        schema = json.loads(written)
        found = validator_for(schema)
        found.check_schema(schema)
    except (ValueError, SchemaError, TypeError) as error:
        raise InputError(f"json: not a JSON schema: {str(error).splitlines()[0]}") from None
    return found(schema)


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True)


def _unfenced(text: str) -> str:
    """What stands between the only pair of fences, if the text has one."""
    parts = text.split(FENCE)
    return parts[1].partition("\n")[2] if len(parts) == 3 else text


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object gives a key twice")
    return found
