"""Going on with a run by other settings than it began with: on purpose only, and kept in ``run.json``."""

from __future__ import annotations

from collections.abc import Sequence

from polychromic.core.errors import InputError
from polychromic.records.artefacts import RunFolder, changed_settings
from polychromic.settings.load import identity
from polychromic.settings.schema import Settings

LONGER = ("training.max_steps", "training.num_train_epochs")
EXTENSIBLE = (
    *LONGER,
    *(f"training.{name}" for name in ("save_steps", "save_minutes", "save_total_limit", "logging_steps")),
)
"""By what a run may go on that began with other values."""


def extensible(names: Sequence[str]) -> Sequence[str]:
    """The names; raises InputError when one of them would make another run of it."""
    for name in names:
        if name not in EXTENSIBLE:
            raise InputError(f"--extend: {name} would make another run of it; allowed: {', '.join(EXTENSIBLE)}")
    return names


def changes(folder: RunFolder, settings: Settings) -> tuple[bool, bool]:
    """Whether ``settings`` differ from those of the run that was begun in the folder, and whether it is done by them.

    Raises:
        InputError: the run is further than its new number of steps.
    """
    from polychromic.training.checkpoints import checkpoints, step_of

    changed = changed_settings(folder, identity(settings)) if folder.begun else []
    steps = settings.training.get("max_steps", -1)
    there = max(map(step_of, checkpoints(folder.checkpoints)), default=0)
    if changed and 0 < steps < there:
        raise InputError(f"training.max_steps: {steps}, and {folder.path} is at step {there} already")
    return bool(changed), folder.finished and not set(LONGER).intersection(changed)
