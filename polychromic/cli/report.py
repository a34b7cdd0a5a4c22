"""polychromic report: report.html, report.md and figures of an evaluation folder."""

from __future__ import annotations

from pathlib import Path

import click

from polychromic.cli.console import say


def _pairs(values: tuple[str, ...]) -> dict[str, str]:
    wrong = [value for value in values if "=" not in value]
    if wrong:
        raise click.BadParameter(f"{wrong[0]!r}: NAME=FOLDER is allowed", param_hint="--run")
    return dict(value.split("=", 1) for value in values)


@click.command("report")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--run", "runs", multiple=True, metavar="NAME=FOLDER", help="Training run of a model, for its curves.")
@click.option(
    "--format",
    "forms",
    multiple=True,
    type=click.Choice(["html", "md", "latex", "csv", "pdf"]),
    help="latex: tables/*.tex; csv: tables/*.csv, all digits; pdf: figures/*.pdf. May be repeated.  [default: html]",
)
@click.option("--wandb", type=click.Choice(["auto", "online", "offline"]), help="Send tables and figures to W&B too.")
@click.option("--project", default="polychromic", show_default=True, help="The W&B project.")
def command(folder: Path, runs: tuple[str, ...], forms: tuple[str, ...], wandb: str | None, project: str) -> None:
    """Write report.html, report.md and figures/ from FOLDER's comparison.json; prints the page's path.

    --format latex, csv and pdf write what a paper takes over, and print those paths.
    """
    from polychromic.settings.schema import TrackingSection
    from polychromic.stages import report

    for form in forms or ("html",):
        for path in report.export(folder, form, _pairs(runs)):
            say(str(path))
    if wandb is not None:
        section = TrackingSection.model_validate({"wandb": wandb, "project": project})
        say(f"W&B: {report.publish(folder, section)}")
