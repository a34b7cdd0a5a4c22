"""How a training run went: what was seen to go wrong, and whether its diversity term did anything; kept in run.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from polychromic.records.rows import FloatOrNaN


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was seen ``times`` times in a run, first and last at these steps; ``text`` says it in one line.

    ``rows`` are the ids of the prompts concerned, a few of them.
    """

    kind: str
    text: str
    first_step: int
    last_step: int
    times: int = 1
    rows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HealthRecord:
    """The health of a run: its findings, and of its diversity steps how many had no effect, by reason.

    ``frac_valid`` and ``gradient_share`` in [0, 1] are means over the diversity steps, NaN where nothing was measured.
    """

    diversity_steps: int = 0
    dead_steps: Mapping[str, int] = field(default_factory=dict)
    frac_valid: FloatOrNaN = math.nan
    gradient_share: FloatOrNaN = math.nan
    findings: tuple[Finding, ...] = ()

    @property
    def dead_share(self) -> float:
        """Diversity steps without effect over all of them, in [0, 1]; NaN without any."""
        return sum(self.dead_steps.values()) / self.diversity_steps if self.diversity_steps else math.nan

    def lines(self) -> list[str]:
        """The record as a person reads it: one line on the diversity term, one for each finding."""
        return [*self.term_lines(), *self.finding_lines()]

    def finding_lines(self) -> list[str]:
        """One line for each finding."""
        return [f"{finding.text}{_times(finding)}" for finding in self.findings]

    def term_lines(self) -> list[str]:
        """One line on the diversity term; none where there was none."""
        if not self.diversity_steps:
            return []
        dead = sum(self.dead_steps.values())
        why = "; ".join(f"{count} x {reason}" for reason, count in self.dead_steps.items())
        numbers = [f"had an effect in {self.diversity_steps - dead} of {self.diversity_steps} diversity steps"]
        numbers += [f"without it: {why}"] if dead else []
        numbers += [f"{self.frac_valid:.0%} of its samples past the gate"] if math.isfinite(self.frac_valid) else []
        share = self.gradient_share
        numbers += [f"{share:.0%} of the gradients' norms"] if math.isfinite(share) else []
        return [f"diversity term: {', '.join(numbers)}"]


def _times(finding: Finding) -> str:
    """When a finding was made, in brackets; nothing for one from before the first step."""
    if not finding.last_step:
        return ""
    if finding.times == 1:
        return f" (step {finding.first_step})"
    return f" ({finding.times} times, steps {finding.first_step} to {finding.last_step})"
