"""``polychromic launch``: training runs in tmux, or queued on a cluster."""

from __future__ import annotations

from typing import Any

import click

from polychromic.cli.console import json_option, show
from polychromic.core.errors import InputError


@click.command()
@click.argument("configs", nargs=-1, required=True)
@click.option("--gpus", default="", help="GPU numbers, such as 0,1: runs are dealt out to them. Default: one by one.")
@click.option("--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="An override for every run.")
@click.option(
    "--when-done", metavar="COMMAND", help="A shell command for when all have ended, well or not; not when stopped."
)
@click.option("--backend", type=click.Choice(("tmux", "slurm")), default="tmux", show_default=True)
@click.option(
    "--ranks", type=click.IntRange(min=1), default=1, show_default=True, help="slurm: GPUs a machine for each run."
)
@click.option("--sbatch", multiple=True, metavar="NAME=VALUE", help="slurm: an option of sbatch, such as nodes=2.")
@click.option("--dry-run", is_flag=True, help="Print the sessions, or the script, and start nothing.")
@json_option
def command(
    configs: tuple[str, ...], gpus: str, overrides: tuple[str, ...], dry_run: bool, as_json: bool, **options: Any
) -> None:
    """Train CONFIGS in detached tmux sessions; a run that was interrupted continues.

    --backend slurm writes an array script with a task for each of them, and queues it where there is an sbatch. A task
    that is asked to stop saves and is queued again.

    Without tmux the runs happen here, one after another. --when-done is where a rented machine is evaluated on, and
    stopped: 'polychromic evaluate ...; runpodctl stop pod "$RUNPOD_POD_ID"'.
    """
    from polychromic.project import launch

    if options["backend"] == "slurm":
        if gpus or options["when_done"]:
            raise InputError("--gpus and --when-done are tmux's; slurm has --ranks, and sbatch --dependency=afterany")
        _queue(configs, overrides, dry_run, as_json, options)
        return
    planned = launch.jobs(configs, overrides, [gpu.strip() for gpu in gpus.split(",") if gpu.strip()])
    after = options["when_done"]
    if after and not dry_run:
        planned = launch.when_done(planned, after)
    status = 0
    for job in planned:
        if not dry_run:
            status = launch.start(job) or status
    attached = launch.has_tmux()
    lines = []
    for job in planned:
        lines.append(f"{job.session}: {job.command}" if dry_run else f"{job.session}: log {job.log}")
        if attached and not dry_run:
            lines.append(f"  look: tmux attach -t {job.session}    stop: tmux kill-session -t {job.session}")
    show(
        {"jobs": [{"session": job.session, "log": job.log, "command": job.command} for job in planned]}, as_json, lines
    )
    click.get_current_context().exit(status)


def _queue(
    configs: tuple[str, ...], overrides: tuple[str, ...], dry_run: bool, as_json: bool, options: dict[str, Any]
) -> None:
    from polychromic.project import slurm

    planned = slurm.array(configs, overrides, options["ranks"], options["sbatch"])
    said = "" if dry_run else slurm.submit(planned)
    lines = planned.text.splitlines() if dry_run else [f"{planned.path}: logs {planned.log}"]
    if not dry_run:
        lines.append(said or f"no sbatch here; where there is: sbatch {planned.path}")
    show({"script": str(planned.path), "log": str(planned.log), "queued": said}, as_json, lines)
