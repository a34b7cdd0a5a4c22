"""A bundle on another machine: unpacked, checked against its manifest and the machine, and what to run next."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polychromic.project import needs
from polychromic.project.doctor import Finding, Level
from polychromic.records import archives
from polychromic.records.artefacts import versions
from polychromic.settings.load import load_settings


@dataclass(frozen=True, slots=True)
class Unbundled:
    """The folder, what was found about it and this machine, and the commands that follow."""

    folder: str
    findings: tuple[Finding, ...]
    commands: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Whether nothing is missing."""
        return all(finding.level is not Level.MISSING for finding in self.findings)


def run(bundle: str | Path, to: str | Path | None = None) -> Unbundled:
    """Unpacks an archive into ``to`` (beside it, by its name, without), or looks at a folder that holds one.

    Raises:
        MissingResourceError: there is no such archive or folder.
        InputError: the archive is unsafe or damaged, or a file of it is not as it was bundled.
    """
    source = Path(bundle)
    folder = source if source.is_dir() else archives.unpack(source, to or source.with_suffix(""))
    manifest = archives.manifest_of(folder)
    findings = [Finding("files", Level.READY, f"all {len(_part(manifest, 'files'))} are as they were bundled")]
    findings += [*_versions(manifest), *_outside(folder, manifest)]
    with contextlib.chdir(folder):  # the configurations name their data from here
        for name, config in _part(manifest, "runs").items():
            findings += [_named(name, finding) for finding in needs.examine(load_settings(config))]
    commands = (f". {folder.absolute() / 'env.sh'}", str(manifest["train"]), str(manifest["evaluate"]))
    return Unbundled(str(folder), tuple(dict.fromkeys(findings)), commands)


def _part(manifest: Mapping[str, Any], name: str) -> dict[str, Any]:
    return dict(manifest.get(name) or {})


def _named(run: str, finding: Finding) -> Finding:
    return Finding(f"{run} {finding.name}", finding.level, finding.value, finding.advice)


def _versions(manifest: Mapping[str, Any]) -> Iterator[Finding]:
    """Packages that are another version here than where the bundle was made."""
    here, there = versions(), _part(manifest, "versions")
    other = [
        f"{name} {here.get(name, 'absent')} for {version}"
        for name, version in there.items()
        if here.get(name) != version
    ]
    if other:
        yield Finding(
            "versions", Level.LIMITED, ", ".join(other), "other versions may give other numbers: bash setup.sh"
        )
    else:
        yield Finding("versions", Level.READY, f"all {len(there)} as where the bundle was made")


def _outside(folder: Path, manifest: Mapping[str, Any]) -> Iterator[Finding]:
    """Data that travels apart from the archive."""
    for name, stated in _part(manifest, "outside").items():
        path = folder / name
        where = f" from {stated['from']}" if stated["from"] else ""
        if not path.is_file():
            yield Finding("data", Level.MISSING, f"{name} is not here", f"copy it{where} to {path}")
        elif archives.digest(path) != stated["sha256"]:
            yield Finding("data", Level.MISSING, f"{name} is another file", f"copy the right one{where} to {path}")
        else:
            yield Finding("data", Level.READY, f"{name} is the file that was meant")
