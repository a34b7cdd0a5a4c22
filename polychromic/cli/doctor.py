"""``polychromic doctor``: what this machine can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from polychromic.cli.console import json_option, setting_argument, show

if TYPE_CHECKING:
    from polychromic.project.doctor import Finding

MARKS = {"ready": "ok", "limited": "--", "missing": "no"}


@click.command()
@click.argument("config", type=click.Path(), required=False)
@setting_argument
@json_option
def command(config: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Say what this machine can do, one line a finding, with advice where something is missing.

    With CONFIG also what that configuration needs: packages, data, model, memory, disk, keys; exit status 1 if
    something of it is missing.
    """
    from polychromic.project.doctor import Level, examine

    findings, needed = examine(), []
    if config is not None:
        from polychromic.project import needs
        from polychromic.settings.load import load_settings

        needed = needs.examine(load_settings(config, overrides))
        findings += needed
    show({"findings": [asdict(finding) for finding in findings]}, as_json, finding_lines(findings))
    if any(finding.level is Level.MISSING for finding in needed):
        click.get_current_context().exit(1)


def finding_lines(findings: Sequence[Finding]) -> list[str]:
    """A line a finding, and one of advice below it where there is some."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{MARKS[finding.level.value]}  {finding.name.ljust(width)}  {finding.value}")
        if finding.advice:
            lines.append(f"    {''.ljust(width)}  {finding.advice}")
    return lines
