"""Some of a run's samples for a person to read, on disk and as a W&B table; only when ``tracking.log_samples`` asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import TrainerControl, TrainerState, TrainingArguments

from polychromic.records.samples import content_out
from polychromic.training.term import DiversityTerm, Rollouts
from polychromic.training.tracking import MetricsFile, Send

COLUMNS = ("step", "prompt_id", "prompt", "completion", "finished", "verdict", "answer", "credit", "advantage")


class SampleLog(MetricsFile):
    """At every log, ``count`` samples of the newest diversity step: appended to ``path``, and given to ``send``."""

    def __init__(self, path: str | Path, count: int, term: DiversityTerm, send: Send) -> None:
        super().__init__(path)
        self.count, self.term, self.send = count, term, send
        self._written = 0

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Writes what was drawn last, once."""
        if self._log is None or self.term.latest is None:
            return
        step, rollouts = self.term.latest
        if step + 1 == self._written:
            return
        self._written = step + 1  # the number of the step in metrics.jsonl, which is written when it is done
        rows = [{"step": self._written} | row for row in sample_table(rollouts)[: self.count]]
        self._log.append(rows)
        self.send("train/samples", COLUMNS, [[row[name] for name in COLUMNS] for row in rows])


def sample_table(rollouts: Rollouts) -> list[dict[str, Any]]:
    """A row for each sample of a step, set by set; verdict and answer are None where no task judges."""
    rows = []
    for place, samples in enumerate(rollouts.sets):
        for index, completion in enumerate(samples.completions):
            verdict = rollouts.verdicts[place][index] if rollouts.verdicts else None
            rows.append(
                {
                    "prompt_id": samples.prompt.id,
                    "prompt": content_out(samples.prompt),
                    "completion": completion.text,
                    "finished": completion.finished,
                    "verdict": verdict and str(verdict.status),
                    "answer": verdict and verdict.answer,
                    "credit": float(rollouts.credit.credits[place, index]),
                    "advantage": float(rollouts.credit.advantages[place, index]),
                }
            )
    return rows
