"""``polychromic sweep``: a grid of settings, trained, compared, and the best named."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polychromic.cli.console import json_option, progress_bars, say, setting_argument, show, table
from polychromic.cli.evaluate import summary
from polychromic.core.errors import InputError

if TYPE_CHECKING:
    from polychromic.project.sweep import Choice, Outcome, SweepRun


@click.command()
@click.argument("config", type=click.Path())
@setting_argument
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Trainings of each variant.")
@click.option("--choose", metavar="METRIC", help="What the best is chosen by.  [default: the leading diversity metric]")
@click.option("--choose-on", default="validation", show_default=True, help="The task's split that it is chosen on.")
@click.option("--out", type=click.Path(), help="Where everything goes.  [default: output_root/NAME-sweep]")
@click.option(
    "--write",
    "configs",
    type=click.Path(),
    metavar="FOLDER",
    help="Write a configuration for each run and train none: `polychromic launch FOLDER/*.yaml` trains them on several "
    "GPUs or a cluster, and the same command without --write then compares them.",
)
@click.option("--dry-run", is_flag=True, help="Print the runs, their commands and their cost; train nothing.")
@click.option("--device", default="h100", show_default=True, help="Of the forecast: cpu, rtx4090, l40s, a100, ...")
@json_option
def command(config: str, overrides: tuple[str, ...], as_json: bool, dry_run: bool, **options: Any) -> None:
    """Train CONFIG with every combination of SECTION.KEY=VALUE,VALUE, one run after another, and compare them.

    polychromic sweep CONFIG polychromic.lambda=0,0.3,1,2,4 polychromic.set_size=2,4 --seeds 3. The report compares with
    lambda 0 where it is among the values, else with the untrained base. The best variant is chosen on prompts that the
    report does not show. The same command continues; finished runs are left as they are.
    """
    from polychromic.project import sweep
    from polychromic.settings.yaml_lines import COMMAND_LINE, read_value

    metric = options["choose"]
    choice = sweep.Choice(None if metric is None else read_value(metric, COMMAND_LINE), options["choose_on"])
    planned = sweep.runs(config, overrides, options["seeds"], options["out"])
    if dry_run:
        result, lines = _dry(planned, choice, options["device"])
        commands = [shlex.join(["polychromic", "train", config, *each.overrides]) for each in planned]
        show(result | {"commands": commands}, as_json, [*lines, "", *commands])
        return
    sweep.sections(planned, choice)
    if options["configs"]:
        paths = [str(path) for path in sweep.write(planned, options["configs"])]
        show({"configs": paths}, as_json, paths)
        return
    refuse_ranks()
    variants = {each.model.rpartition("@")[0] or each.model for each in planned}
    say(f"{len(planned)} runs of {len(variants)} variants, into {planned[0].folder.parent}", err=True)
    with progress_bars() as progress:
        outcome = sweep.run(planned, choice, progress)
    result, lines = summary(Path(outcome.report))
    show(result | {"sweep": asdict(outcome)}, as_json, [*lines[:-1], *_standings(outcome), lines[-1]])
    click.get_current_context().exit(1 if outcome.failed else 0)


def refuse_ranks() -> None:
    """Raises InputError under torchrun: a sweep is one process, its runs may be trained by several."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("sweep: is one process; train the configurations of --write under torchrun, then sweep")


def _standings(outcome: Outcome) -> list[str]:
    """The variants with the score that they were chosen by and that of the report, and which is best."""
    rows = [[each.variant, str(each.seeds), f"{each.validation:.3f}", f"{each.test:.3f}"] for each in outcome.standings]
    lines = [f"{outcome.metric}, mean over training seeds", ""]
    lines += [*table(["variant", "seeds", outcome.split, "report"], rows), ""]
    lines += [f"{model}: left out: {reason}" for model, reason in outcome.failed.items()]
    best = outcome.best
    if best is None:
        return [*lines, "best: not known, no variant has a score", ""]
    return [*lines, f"best on {outcome.split}: {best.variant}, on the report's prompts {best.test:.3f}", ""]


def _dry(planned: Sequence[SweepRun], choice: Choice, device: str) -> tuple[dict[str, Any], list[str]]:
    """The runs with their forecasts and commands, and what all of it will take."""
    from polychromic.project import plan_project, sweep
    from polychromic.reporting.tables import duration

    whole, choosing = sweep.forecast(planned, choice, device)
    rows = [
        [each.model, str(run.steps), duration(run.total), "" if run.price is None else f"{run.price:.2f}"]
        for each, run in zip(planned, whole.runs, strict=True)
    ]
    lines = [*table(["run", "steps", f"on one {device}", "dollars"], rows), ""]
    took = "time not known" if math.isnan(choosing.seconds) else f"about {duration(choosing.seconds)}"
    lines += [f"choosing on {choice.split}: {choosing.samples:,} samples, {took}"]
    lines += plan_project.lines(replace(whole, runs=()))
    return {
        "runs": [{"model": each.model, "overrides": each.overrides} for each in planned],
        "plan": asdict(whole),
    }, lines
