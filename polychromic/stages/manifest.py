"""``evaluation.json``: what a folder is an evaluation of, and what its later stages were made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from polychromic.core.digests import file_digest
from polychromic.core.errors import InputError
from polychromic.records.artefacts import differences, signature
from polychromic.records.evaluation import EvaluationFolder, EvaluationRecord
from polychromic.records.jsonl import to_jsonable, write_json

PRICES = ("price_per_hour", "price_per_million_tokens", "price_per_million_prompt_tokens")
"""What ``evaluation.json`` keeps of ``Prices``."""


@dataclass(slots=True)
class Manifest:
    """``evaluation.json``: what the folder is an evaluation of, and the signatures its later stages were made from."""

    folder: EvaluationFolder
    present: EvaluationRecord

    def open(self) -> None:
        """Writes what is known of the evaluation.

        Raises:
            InputError: the folder holds something else, or an evaluation of other settings or weights.
        """
        stored, place = self.folder.record(), self.folder.path
        if self.folder.record_file.exists():
            self._same(stored)
        elif place.is_file() or (place.is_dir() and any(place.iterdir())):
            raise InputError(f"{place}: is not empty and holds no evaluation of ours; choose another --out")
        self._write(
            replace(
                self.present,
                weights={**stored.weights, **self.present.weights},
                stages=stored.stages,
                trusted=stored.trusted,
                metric_files=self.present.metric_files or stored.metric_files,
                **{
                    name: getattr(stored if getattr(self.present, name) is None else self.present, name)
                    for name in PRICES
                },
            )
        )

    def _write(self, record: EvaluationRecord) -> None:
        write_json(self.folder.record_file, record)

    def _same(self, stored: EvaluationRecord) -> None:
        place = self.folder.path
        pinned = {name: value for name, value in stored.pins.items() if name != "files"}  # verdicts know their code
        changed = differences(pinned, to_jsonable(self.present.pins))
        if changed:
            named = ", ".join(changed)
            raise InputError(f"{place}: holds an evaluation of other settings ({named}); choose another --out")
        for name, digest in self.present.weights.items():
            if stored.weights.get(name, digest) != digest:
                raise InputError(f"{place}: {name} was sampled with other weights; choose another --out or name")

    def note(self, **facts: Any) -> None:
        """Writes facts about the evaluation that its settings do not say."""
        self._write(replace(self.folder.record(), **facts))

    def once(self, stage: str, inputs: Mapping[str, Any], outputs: Sequence[Path], work: Callable[[], object]) -> None:
        """Does the work unless its outputs were made from the same inputs, and are as they were made."""
        wanted, present = signature(inputs), all(path.exists() for path in outputs)
        if present and self.folder.record().stages.get(stage) == _made(wanted, outputs):
            return
        work()
        stored = self.folder.record()
        self._write(replace(stored, stages={**stored.stages, stage: _made(wanted, outputs)}))


def _made(inputs: str, outputs: Sequence[Path]) -> str:
    return f"{inputs}-{signature([file_digest(path) for path in outputs])}"
