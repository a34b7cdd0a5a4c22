"""What goes wrong in a run, counted, said once when it first happens, and kept in run.json and every checkpoint.

A diversity term that has no effect costs most of a run's money and changes nothing, so a run in which it is dead for
too long saves a checkpoint and stops (``health.action: stop``).
"""

from __future__ import annotations

import logging
import math
import statistics
import warnings
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from polychromic.core.errors import PolychromicError
from polychromic.objective.pulse import ADVICE, Pulse
from polychromic.records.health import Finding, HealthRecord
from polychromic.records.rows import from_row, to_row
from polychromic.settings.catalog import split
from polychromic.settings.schema import HealthSection
from polychromic.training.first_step import summary
from polychromic.training.term import DiversityTerm

IN_A_ROW = 5
"""Diversity steps in a row that are all dead or all cut off, from which on it is said."""
ALWAYS = 20
"""Diversity steps from the first on in which the gate let everything through, after which it is said."""
LEAST = 16
"""Logs that a running median of gradients' norms needs."""
SPIKE = 20.0
"""A spike of the gradient's norm is more than so many times its running median."""
ROWS = 5
"""Ids of rows kept with a finding."""
_log = logging.getLogger(__name__)


class UnhealthyError(PolychromicError):
    """The run did what it costs money for to no effect, saved a checkpoint and stopped."""


@dataclass
class _Mean:
    """A running mean of the finite numbers."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        if math.isfinite(value):
            self.total, self.count = self.total + value, self.count + 1

    @property
    def value(self) -> float:
        return self.total / self.count if self.count else math.nan


class Health(TrainerCallback, ExportableState):  # type: ignore[misc]
    """The health of one training run; ``term`` is None where nothing is sampled.

    ``tell`` is called with a finding when it is made for the first time, ``keep`` with the whole record then and when
    the run ends or breaks off; only the main process calls them, warns and logs.
    """

    def __init__(self, section: HealthSection, term: DiversityTerm | None = None) -> None:
        self.section, self.term = section, term
        self.tell: list[Callable[[Finding], None]] = []
        self.keep: list[Callable[[HealthRecord], None]] = []
        self.speaks = False
        self.stop_reason = ""
        self._findings: dict[str, Finding] = {}
        self._steps, self._dead = 0, Counter[str]()
        self._recent: deque[str] = deque(maxlen=section.dead_steps)
        self._cut = 0
        self._valid, self._share = _Mean(), _Mean()
        self._shown = False
        self._least: int | None = None
        self._norms: deque[float] = deque(maxlen=50)

    @property
    def record(self) -> HealthRecord:
        """What was seen so far."""
        found = tuple(self._findings.values())
        return HealthRecord(self._steps, dict(self._dead), self._valid.value, self._share.value, found)

    def found(self, kind: str, text: str, step: int, rows: Sequence[str] = ()) -> None:
        """Counts a finding of a step (from 1; 0 is before the first); the first of its kind is said in one line."""
        old = self._findings.get(kind)
        if old is not None:
            known = tuple(dict.fromkeys((*old.rows, *rows)))[:ROWS]
            self._findings[kind] = replace(old, last_step=step, times=old.times + 1, rows=known)
            return
        self._findings[kind] = new = Finding(kind, text, step, step, rows=tuple(rows)[:ROWS])
        if self.speaks:
            warnings.warn(f"step {step}: {text}" if step else text, UserWarning, stacklevel=2)
            for tell in self.tell:
                tell(new)
            self.store()

    def times(self, kind: str) -> int:
        """How often something was found in this run."""
        found = self._findings.get(kind)
        return found.times if found is not None else 0

    def store(self) -> None:
        """Gives the record to those who keep it."""
        for keep in self.keep if self.speaks else ():
            keep(self.record)

    def observe_term(self, step: int, pulse: Pulse, weight: float) -> None:
        """Takes what a diversity step (from 1) did, as all ranks agree on it; one at weight 0 rests on purpose."""
        if weight == 0.0:
            return
        why = pulse.why_dead
        self._steps += 1
        self._dead.update([why] if why else [])
        self._recent.append(why)
        self._valid.add(pulse.valid)
        self._cut = self._cut + 1 if pulse.clipped == 1.0 else 0
        self._judge(step, why)

    def _judge(self, step: int, why: str) -> None:
        newest = list(self._recent)[-IN_A_ROW:]
        if len(newest) == IN_A_ROW and all(newest):
            said = f"the diversity term had no effect in {IN_A_ROW} diversity steps in a row: {why}"
            self.found("dead term", f"{said}; {ADVICE[why]}", step)
        elif self._cut >= IN_A_ROW:
            said = f"no sample of {IN_A_ROW} diversity steps in a row ended within polychromic.max_new_tokens"
            self.found("endless samples", said, step)
        if self._gated and self._steps == self._valid.count == self._valid.total == ALWAYS:
            said = f"the gate let every sample of the first {ALWAYS} diversity steps through: it decides nothing here"
            self.found("open gate", said, step)
        dead = sum(map(bool, self._recent))
        if len(self._recent) == self.section.dead_steps and dead >= self.section.dead_share * len(self._recent):
            commonest = Counter(filter(None, self._recent)).most_common(1)[0][0]
            self.stop_reason = (
                f"the diversity term had no effect in {dead} of the newest {len(self._recent)} diversity steps "
                f"({commonest}); {ADVICE[commonest]}"
            )

    @property
    def _gated(self) -> bool:
        return self.term is not None and split(self.term.section.gate)[0] != "none"

    def observe_gain(self, step: int, gain: float) -> None:
        """Takes ``2 lambda_eff C``: above 1, and where no gate keeps it out of a set, junk gains probability."""
        if gain > 1.0 and not self._gated:
            said = f"2 * lambda_eff * C = {gain:.2f} exceeds 1 and there is no gate, so junk gains probability: lower "
            said += "polychromic.lambda, set polychromic.schedule.max_lambda_eff, or choose a gate"
            self.found("junk", said, step)

    def observe_share(self, share: float) -> None:
        """Takes the diversity gradient's share of the two norms' sum, in [0, 1]."""
        self._share.add(share)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Shows the first samples; asks the trainer to save and stop when the term has been dead for too long."""
        if not self._shown and self.term is not None and self.term.latest is not None:
            self._shown = True
            for line in summary(self.term, self._share.value) if self.speaks else ():
                _log.info(line)
        if (
            self.term is not None
            and self.term.max_scored_tokens is not None
            and self._least != self.term.max_scored_tokens
        ):
            self._least = self.term.max_scored_tokens
            said = f"the device had too little memory to score the samples; {self._least} tokens are scored at a time"
            self.found("memory for scoring", said, state.global_step)
        if self.stop_reason and self.section.action == "stop":
            control.should_save = True
            control.should_training_stop = True

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **kwargs: Any
    ) -> None:
        """Looks for spikes of the gradient's norm."""
        norm = (logs or {}).get("grad_norm")
        if norm is None or not math.isfinite(norm):
            return
        usual = statistics.median(self._norms) if len(self._norms) >= LEAST else math.inf
        if norm > SPIKE * usual:
            said = f"the gradient's norm rose to {norm:.3g} from a running median of {usual:.3g}"
            self.found("gradient spike", said, state.global_step)
        self._norms.append(norm)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Takes up what the checkpoint's run has seen."""
        self.speaks = state.is_world_process_zero
        stored = state.stateful_callbacks.get(type(self).__name__)
        saved = stored.get("attributes") if isinstance(stored, dict) else None
        if saved and state.global_step > 0:
            self._load(saved)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keeps the record.

        Raises:
            UnhealthyError: the run was stopped because of its health.
        """
        self.store()
        if self.stop_reason and self.section.action == "stop":
            raise UnhealthyError(f"step {state.global_step}: {self.stop_reason}; health.action=warn goes on from here")

    def state(self) -> dict[str, Any]:
        """Plain JSON, as transformers keeps it."""
        means = {"valid": [self._valid.total, self._valid.count], "share": [self._share.total, self._share.count]}
        saved = {"record": to_row(self.record), "recent": list(self._recent), "cut": self._cut, **means}
        return {"args": {}, "attributes": saved}

    def _load(self, saved: dict[str, Any]) -> None:
        record = from_row(HealthRecord, saved["record"])
        self._findings = {finding.kind: finding for finding in record.findings}
        self._steps, self._dead = record.diversity_steps, Counter(record.dead_steps)
        self._recent.extend(saved["recent"])
        self._cut, self._shown = saved["cut"], True
        self._valid, self._share = _Mean(*saved["valid"]), _Mean(*saved["share"])
