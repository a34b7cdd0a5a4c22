"""``polychromic launch``: training runs in tmux, over a Ray cluster, or queued by SLURM."""

from __future__ import annotations

import shlex
from typing import Any

import click

from polychromic.cli.console import json_option, say, show
from polychromic.core.errors import InputError


@click.command()
@click.argument("configs", nargs=-1, required=True)
@click.option("--gpus", default="", help="GPU numbers, such as 0,1: runs are dealt out to them. Default: one by one.")
@click.option("--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="An override for every run.")
@click.option(
    "--when-done", metavar="COMMAND", help="A shell command for when all have ended, well or not; not when stopped."
)
@click.option("--backend", type=click.Choice(("tmux", "ray", "slurm")), default="tmux", show_default=True)
@click.option(
    "--ranks",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="GPUs for each run; with slurm of each machine.",
)
@click.option("--sbatch", multiple=True, metavar="NAME=VALUE", help="slurm: an option of sbatch, such as nodes=2.")
@click.option("--dry-run", is_flag=True, help="Print the sessions, the runs or the script, and start nothing.")
@json_option
def command(
    configs: tuple[str, ...], gpus: str, overrides: tuple[str, ...], dry_run: bool, as_json: bool, **options: Any
) -> None:
    """Train CONFIGS in detached tmux sessions; a run that was interrupted continues.

    --backend slurm writes an array script with a task for each of them, and queues it where there is an sbatch. A task
    that is asked to stop saves and is queued again. --backend ray trains them over the cluster of RAY_ADDRESS, or over
    this machine's GPUs, as many at a time as fit, and waits; a run that loses a machine goes on from its newest
    checkpoint on another. All machines need the same disk and installation.

    Without tmux the runs happen here, one after another. --when-done is where a rented machine is evaluated on, and
    stopped: 'polychromic evaluate ...; runpodctl stop pod "$RUNPOD_POD_ID"'.
    """
    from polychromic.project import launch

    _refuse_others(options["backend"], gpus, options)
    if options["backend"] == "slurm":
        _queue(configs, overrides, dry_run, as_json, options)
        return
    if options["backend"] == "ray":
        good = _train(configs, overrides, options["ranks"], dry_run, as_json)
        click.get_current_context().exit(0 if good else 1)
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


def _refuse_others(backend: str, gpus: str, options: dict[str, Any]) -> None:
    """Raises InputError for an option that the backend would pass over."""
    if backend != "tmux" and (gpus or options["when_done"]):
        raise InputError(
            "--gpus and --when-done are tmux's; slurm and ray have --ranks, slurm sbatch's --dependency=afterany, and "
            "ray ends when the runs do"
        )
    if backend != "slurm" and options["sbatch"]:
        raise InputError(f"--sbatch is slurm's, and the backend is {backend}")
    if backend == "tmux" and options["ranks"] > 1:
        raise InputError(
            "--ranks is slurm's and ray's; in tmux: torchrun --nproc_per_node 2 -m polychromic train CONFIG"
        )


def _train(configs: tuple[str, ...], overrides: tuple[str, ...], ranks: int, dry_run: bool, as_json: bool) -> bool:
    from polychromic.project import cluster

    planned = cluster.runs(configs, overrides, ranks)
    ended: dict[cluster.ClusterRun, str] = {}
    if not dry_run:

        def told(run: cluster.ClusterRun, reason: str) -> None:
            ended[run] = reason
            say(f"{run.folder}: {reason or 'trained'}; log {run.log}", err=True)

        with cluster.joined(False) as kind:
            cluster.train(planned, kind, told)
    lines = [f"{run.folder}: {ranks} x polychromic {shlex.join(run.arguments)}" for run in planned] if dry_run else []
    found = [{"run": run.folder, "log": run.log, "failed": ended.get(run)} for run in planned]
    show({"runs": found}, as_json, lines)
    return not any(ended.values())


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
