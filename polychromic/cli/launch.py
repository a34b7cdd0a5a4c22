"""``polychromic launch``: training runs in tmux."""

from __future__ import annotations

import click

from polychromic.cli.console import json_option, show


@click.command()
@click.argument("configs", nargs=-1, required=True)
@click.option("--gpus", default="", help="GPU numbers, such as 0,1: runs are dealt out to them. Default: one by one.")
@click.option("--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="An override for every run.")
@click.option(
    "--when-done", metavar="COMMAND", help="A shell command for when all have ended, well or not; not when stopped."
)
@click.option("--dry-run", is_flag=True, help="Print the sessions and start nothing.")
@json_option
def command(
    configs: tuple[str, ...], gpus: str, overrides: tuple[str, ...], dry_run: bool, as_json: bool, **options: str | None
) -> None:
    """Train CONFIGS in detached tmux sessions; a run that was interrupted continues.

    Without tmux the runs happen here, one after another. --when-done is where a rented machine is evaluated on, and
    stopped: 'polychromic evaluate ...; runpodctl stop pod "$RUNPOD_POD_ID"'.
    """
    from polychromic.stages import launch

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
