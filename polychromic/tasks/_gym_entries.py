"""The problems of a reasoning-gym family, made in a process of their own: some families go through sets of strings.

The order of those hangs on the process's hash seed, so the process that makes the problems has a fixed one. What comes
back is plain data, written as Python literals.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from polychromic.core.errors import InputError

Entry = dict[str, Any]


@functools.lru_cache(maxsize=64)
def entries(family: str, config: str, seed: int, size: int) -> tuple[Entry, ...]:
    """The first ``size`` problems of a family: question, answer and metadata; ``config`` is JSON.

    Raises:
        InputError: the family cannot make problems with this configuration.
    """
    order = json.dumps([family, json.loads(config), seed, size])
    made = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", __name__, order],
        env=os.environ | {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if made.returncode:
        reason = (made.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(f"reasoning_gym: {family} makes no problems with this config: {reason}")
    return tuple(ast.literal_eval(made.stdout))


def _made(family: str, config: Entry, seed: int, size: int) -> list[Entry]:
    from reasoning_gym import create_dataset

    with contextlib.redirect_stdout(io.StringIO()):
        dataset = create_dataset(family, **config, seed=seed, size=size)
        found = [dataset[index] for index in range(size)]
    return [_plain({part: entry[part] for part in ("question", "answer", "metadata")}) for entry in found]


def _plain(value: Any) -> Any:
    """The same without numpy's scalars."""
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)(map(_plain, value))
    return value.item() if hasattr(value, "item") else value


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stdout.write(repr(_made(*json.loads(sys.argv[1]))))
