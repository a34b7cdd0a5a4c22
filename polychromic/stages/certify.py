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

SECTIONS: tuple[Callable[[], list[Line]], ...] = (
    control_lines,
    variance_lines,
    harvest_lines,
    trainer_lines,
)


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
    every = [lambda: exact_lines(more), lambda: invariance_lines(more), *SECTIONS]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for section in every:
            start = time.perf_counter()
            lines = section()
            yield Section(lines, time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
