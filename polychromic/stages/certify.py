"""The certificate as a stage: every section's lines, one section after another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from polychromic.certificate.controls import control_lines
from polychromic.certificate.exact import exact_lines
from polychromic.certificate.harvest import harvest_lines
from polychromic.certificate.invariances import invariance_lines
from polychromic.certificate.lines import Line
from polychromic.certificate.trainer import trainer_lines
from polychromic.certificate.variance import variance_lines
from polychromic.settings.schema import Kind

SECTIONS: tuple[Callable[[Sequence[Kind]], list[Line]], ...] = (
    exact_lines,
    lambda more: control_lines(),
    invariance_lines,
    lambda more: variance_lines(),
    lambda more: harvest_lines(),
    lambda more: trainer_lines(),
)
"""Each section's lines; some take rewards beside those of the shelf."""


@dataclass(frozen=True)
class Section:
    """The lines of a section and the seconds they took."""

    lines: list[Line]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every line holds."""
        return all(line.passed for line in self.lines)


def run(more: Sequence[Kind] = ()) -> Iterator[Section]:
    """The sections of the certificate, each as soon as it is done; on one thread, as the tensors are tiny.

    ``more`` are rewards beside those of the shelf: entries as a configuration has them, also of files from outside.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for section in SECTIONS:
            start = time.perf_counter()
            lines = section(more)
            yield Section(lines, time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
