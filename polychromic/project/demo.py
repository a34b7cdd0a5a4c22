"""The whole way on the embedded task: train the baseline and the variants, evaluate them beside their base.

The baseline is the configuration that learns from nothing but demonstrations.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polychromic
from polychromic.analysis.spending import prices_of
from polychromic.core.errors import InputError, MissingResourceError
from polychromic.core.protocols import Progress, no_progress
from polychromic.settings.load import load_settings
from polychromic.settings.schema import Settings
from polychromic.stages import pipeline
from polychromic.stages.models import NamedModel


def configurations(folder: str | Path | None = None) -> list[Path]:
    """The demo's configuration files: those of ``folder``, of the working directory, or of the package's checkout.

    Raises:
        MissingResourceError: there are none.
    """
    places = (
        [Path(folder)] if folder else [Path("config/demo"), Path(polychromic.__path__[0]).parent / "config" / "demo"]
    )
    for place in places:
        found = sorted(place.glob("*.yaml"))
        if found:
            return found
    raise MissingResourceError(
        f"{places[0]}: holds no configuration; run in a checkout of the project, or give --config"
    )


def run(
    configs: Sequence[Path],
    out: str | Path,
    seed: int = 0,
    overrides: Sequence[str] = (),
    progress: Progress = no_progress,
) -> Path:
    """The path of ``report.html``; finished runs and evaluations in ``out`` are taken as they are.

    Raises:
        InputError: there is not one baseline among the configurations, or they have different bases.
    """
    placed = [*overrides, f"experiment.seed={seed}", f"experiment.output_root={out}"]
    every = sorted((load_settings(path, placed) for path in configs), key=_reach)
    if [_reach(settings) == (0, 0.0) for settings in every[:2]] != [True, False]:
        raise InputError(
            "the demo needs one baseline (polychromic.lambda 0, no data.harvest) and variants among its configurations"
        )
    base = NamedModel("base", every[0].model)
    models = [base, *(_trained(settings, progress) for settings in every)]
    first, money = every[0], (prices_of(every[0].tracking), every[0].tracking.budget)
    evaluation = pipeline.Evaluation(models, first.evaluation, seed, first.experiment.name, *money)
    return pipeline.run(evaluation, Path(out) / "evaluation", progress)


def _reach(settings: Settings) -> tuple[int, float]:
    """Rounds of harvest and lambda: what is learnt beside the demonstrations."""
    harvest = settings.data.harvest
    return harvest.rounds if harvest else 0, settings.polychromic.diversity_weight


def _trained(settings: Settings, progress: Progress) -> NamedModel:
    from polychromic.stages import train

    folder = Path(settings.experiment.output_root) / settings.experiment.name
    train.run(settings, folder, progress)
    return NamedModel(settings.experiment.name, settings.model, folder)
