"""The first diversity step in ten lines: what was asked, what was drawn, how it was judged, and what it is worth."""

from __future__ import annotations

import math

import numpy as np

from polychromic.core.escaping import one_line
from polychromic.core.nouns import Prompt
from polychromic.settings.catalog import split
from polychromic.training.term import DiversityTerm, Rollouts

SHOWN = 7
"""Samples of the one prompt that is shown."""
LONGEST = 70
"""Characters of a text."""


def summary(term: DiversityTerm, share: float) -> list[str]:
    """At most ten lines on the term's newest step: the prompt whose samples' credits differ most, and its samples.

    ``share`` is the diversity gradient's part of the two norms' sum, NaN where it was not measured. Texts are escaped
    and cut.
    """
    assert term.latest is not None
    step, rollouts = term.latest
    section, place = term.section, _telling(rollouts)
    samples = rollouts.sets[place]
    drawn = f"{len(rollouts.sets)} prompts x {section.n_generations} samples"
    kinds = f"reward {split(section.reward)[0]}, gate {split(section.gate)[0]}, set size {section.set_size or 'N'}"
    lines = [f"first diversity step ({step + 1}): {drawn}, {kinds}"]
    lines.append(f"  prompt {one_line(samples.prompt.id, 30)}: {_quoted(_text(samples.prompt))}")
    lines += [_sample(rollouts, place, index) for index in range(min(SHOWN, len(samples.completions)))]
    return [*lines, f"  {_worth(rollouts, share)}"]


def _telling(rollouts: Rollouts) -> int:
    """The set whose credits lie furthest apart, the first of equals."""
    return int(np.argmax(np.ptp(rollouts.credit.credits, axis=1)))


def _sample(rollouts: Rollouts, place: int, index: int) -> str:
    completion = rollouts.sets[place].completions[index]
    verdict = rollouts.verdicts[place][index] if rollouts.verdicts else None
    said = "" if verdict is None else f" {verdict.status}"
    ended = "" if completion.finished else " (cut off)"
    return f"  credit {rollouts.credit.credits[place, index]:.3f}{said}{ended}: {_quoted(completion.text)}"


def _worth(rollouts: Rollouts, share: float) -> str:
    report = rollouts.report
    said = f"{report['polychromic/frac_valid']:.0%} of the samples past the gate"
    said += f", {report['frac_reward_zero_std']:.0%} of the prompts with equal credit"
    return said + (f", {share:.0%} of the gradients' norms" if math.isfinite(share) else "")


def _text(prompt: Prompt) -> str:
    return prompt.content if isinstance(prompt.content, str) else prompt.content[-1].content


def _quoted(text: str) -> str:
    return f'"{one_line(text, LONGEST)}"' if text else "(empty)"
