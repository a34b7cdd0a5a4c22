"""The model's own confidence."""

from __future__ import annotations

from dataclasses import dataclass

from polychromic.code.candidates import Candidates, unknown


@dataclass(frozen=True)
class LogProb:
    """Mean log-probability of a candidate's tokens; of its characters where the tokens were not kept."""

    def scores(self, candidates: Candidates) -> tuple[float, ...]:
        """Natural logarithm a token, at most 0; unknown unless every candidate has a log-probability."""
        given = candidates.samples.completions
        if any(item.logprob is None for item in given):
            return unknown(candidates)
        by_token = all(item.token_ids for item in given)
        sizes = [len(item.token_ids) if by_token else len(item.text) for item in given]
        return tuple((item.logprob or 0.0) / max(1, size) for item, size in zip(given, sizes, strict=True))
