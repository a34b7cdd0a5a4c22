"""The layout of a project at W&B, made by code: a saved view of it, the only door to wandb_workspaces."""

from __future__ import annotations

import warnings
from typing import Any

from polychromic.core.errors import InputError, MissingResourceError, PublishError
from polychromic.core.extras import absent
from polychromic.records.metric_names import HEALTH, PREFIX, in_section
from polychromic.settings.schema import Settings
from polychromic.training.tracking import has_key

TRAINING = ("loss", f"{PREFIX}diversity_value", f"{PREFIX}combined_loss", "entropy", f"{PREFIX}entropy")
COST = (f"{PREFIX}dollars", "num_tokens", f"{PREFIX}tokens_generated", f"{PREFIX}seconds_sampling")
FIGURES = ["figures/differences", "figures/dose-response", "figures/frontier"]
STEP = "train/global_step"


def save(settings: Settings) -> str:
    """The address of a new view of the configuration's project, saved at W&B.

    Raises:
        InputError: ``tracking.entity`` does not say whose project it is.
        MissingResourceError: there is no key, or wandb-workspaces is not installed.
        PublishError: W&B did not take it.
    """
    if settings.tracking.entity is None:
        raise InputError("tracking.entity: says whose project it is at W&B; a person or a team")
    if not has_key():
        raise MissingResourceError("W&B: there is no key on this machine; set WANDB_API_KEY in the environment")
    view = layout(settings)
    try:
        view.save()
    except Exception as error:  # noqa: BLE001
        raise PublishError(f"W&B did not take the view: {(str(error).strip().splitlines() or ['?'])[0]}") from None
    return str(view.url)


def layout(settings: Settings) -> Any:
    """The view: held-out scores over lambda, then over the steps, then training, health and cost.

    Raises:
        MissingResourceError: wandb-workspaces is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its use of pydantic's old names
            import wandb_workspaces.reports.v2 as parts
            import wandb_workspaces.workspaces as spaces
    except ImportError:
        raise absent("wandb_workspaces") from None
    k = settings.evaluation.during_training.n
    scores = [f"eval/{name}" for name in ("pass@1", f"pass@{k}", f"distinct_and_correct@{k}", f"distinct_texts@{k}")]
    weight, summary = parts.Config("polychromic.lambda"), parts.SummaryMetric
    over = [parts.ScatterPlot(title=f"{name} over lambda", x=weight, y=summary(name)) for name in scores]
    sections = {
        "over lambda": over,
        "held-out prompts": [parts.LinePlot(title=name, x=STEP, y=[name]) for name in (*scores, "eval/loss")],
        **{
            title: [parts.LinePlot(title=name, x=STEP, y=[in_section(name)]) for name in names]
            for title, names in (("training", TRAINING), ("health", sorted(HEALTH)), ("cost", COST))
        },
        "verdict": [parts.MediaBrowser(title="figures of comparisons", media_keys=FIGURES)],
    }
    return spaces.Workspace(
        entity=settings.tracking.entity,
        project=settings.tracking.project,
        name=f"polychromic {settings.experiment.group}".strip(),
        sections=[spaces.Section(name=name, panels=panels, is_open=True) for name, panels in sections.items()],
    )
