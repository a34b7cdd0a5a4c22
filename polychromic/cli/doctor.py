"""``polychromic doctor``: what this machine can do."""

from __future__ import annotations

from dataclasses import asdict

import click

from polychromic.cli.console import json_option, show

MARKS = {"ready": "ok", "limited": "--", "missing": "no"}


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Say what this machine can do, one line a finding, with advice where something is missing."""
    from polychromic.stages.doctor import examine

    findings = examine()
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{MARKS[finding.level.value]}  {finding.name.ljust(width)}  {finding.value}")
        if finding.advice:
            lines.append(f"    {''.ljust(width)}  {finding.advice}")
    show({"findings": [asdict(finding) for finding in findings]}, as_json, lines)
