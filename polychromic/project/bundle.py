"""Configurations or finished runs to one archive, with all that another machine needs to train them."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import jinja2
import yaml

import polychromic
from polychromic.core.errors import InputError
from polychromic.core.extras import extra_of
from polychromic.project import following, needs, plan_project
from polychromic.records import archives
from polychromic.records.artefacts import RunFolder, git_revision, versions
from polychromic.settings.load import load_settings, resolved
from polychromic.settings.schema import Settings

SECTIONS = ("data", "polychromic", "evaluation")
"""Sections in which a text that names a file or a folder is a part of the experiment."""
CODE = ("pyproject.toml", "README.md", "constraints.txt", "polychromic", "config")
"""What of a checkout is needed to install it."""
_OUTSIDE = re.compile(r"^(.+\.py):([A-Za-z_]\w*)$")


@dataclass(frozen=True, slots=True)
class Packing:
    """How data travels: in the archive, or as its digest with a word on where to get it. ``device`` is planned for."""

    data: Literal["include", "digest"] = "include"
    data_from: str = ""
    device: str = "h100"


DEFAULT = Packing()


@dataclass(slots=True)
class _Parts:
    """The archive's files, and the data that stays outside of it, as they come up."""

    packing: Packing
    files: dict[str, archives.Content] = field(default_factory=dict)
    outside: dict[str, dict[str, Any]] = field(default_factory=dict)
    names: dict[Path, str] = field(default_factory=dict)

    def take(self, path: Path, folder: str) -> str:
        """The name in the archive of a file, or of a folder with all its files."""
        whole = path.resolve()
        if whole not in self.names:
            stem, taken = f"{folder}/{path.name}", set(self.names.values())
            numbered = (f"{folder}/{number}/{path.name}" for number in range(2, len(taken) + 3))
            self.names[whole] = stem if stem not in taken else next(name for name in numbered if name not in taken)
            for file in sorted(whole.rglob("*")) if whole.is_dir() else [whole]:
                if file.is_file():
                    self._put(file, self.names[whole] + str(file)[len(str(whole)) :], folder)
        return self.names[whole]

    def _put(self, file: Path, name: str, folder: str) -> None:
        if folder == "data" and self.packing.data == "digest":
            size = file.stat().st_size
            self.outside[name] = {"sha256": archives.digest(file), "bytes": size, "from": self.packing.data_from}
        else:
            self.files[name] = file


def run(given: Sequence[str], out: str | Path, packing: Packing = DEFAULT) -> Path:
    """The archive of configurations, or of runs in whose folders a ``resolved.yaml`` lies.

    In it: resolved configurations, data, files of kinds from outside, the code of this checkout as it is, constraints,
    scripts and a guide. The same content gives the same bytes.

    Raises:
        SettingsError: a configuration is wrong.
        InputError: two runs have one name, or a file that a configuration names is not there.
    """
    parts, every, configs = _Parts(packing), list[Settings](), dict[str, dict[str, Any]]()
    facts: dict[str, Any] = {"runs": {}, "expected": {}}
    for each in given:
        folder = RunFolder(Path(each))
        settings = load_settings(folder.resolved if Path(each).is_dir() else each)
        name = settings.experiment.name
        if name in configs:
            raise InputError(f"{each}: another run is called {name} too; give them different experiment.name")
        configs[name] = _packed(settings, parts)
        every.append(settings)
        if folder.adapter.is_file():
            facts["expected"][name] = {
                "adapter": archives.digest(folder.adapter),
                "versions": versions(),
            }
    if not configs:
        raise InputError("there is no configuration to bundle")
    facts |= _facts(every, parts)
    for name, values in configs.items():
        parts.files[f"configs/{name}.yaml"] = yaml.safe_dump(values, sort_keys=False, allow_unicode=True).encode()
        facts["runs"][name] = f"configs/{name}.yaml"
    for name in ("GUIDE.md", "setup.sh", "env.sh"):
        parts.files[name] = _render(f"{name}.jinja", facts | {"files": parts.files, "outside": parts.outside}).encode()
    return archives.pack(out, parts.files, facts | {"outside": parts.outside})


def _packed(settings: Settings, parts: _Parts) -> dict[str, Any]:
    """The resolved values with every file they name at its place in the archive."""
    values = resolved(settings)
    train_file = settings.data.train_file
    if train_file is not None and not Path(train_file).is_file():
        raise InputError(f"data.train_file: there is no file {train_file}")
    own = settings.data.train_file is None and settings.data.dataset is None and not settings.data.sources
    if values["evaluation"]["task"] is None and own:
        values["evaluation"]["task"] = values["data"]["task"]
    for section in SECTIONS:
        values[section] = _moved(values[section], parts)
    values["experiment"]["output_root"] = _root(settings)
    return values


def _root(settings: Settings) -> str:
    """Where runs are kept there: as here, but never outside of the bundle's folder."""
    root = Path(settings.experiment.output_root)
    return str(Path("runs") / root.name) if root.is_absolute() or ".." in root.parts else str(root)


def _moved(value: Any, parts: _Parts) -> Any:
    if isinstance(value, dict):
        return {key: _moved(item, parts) for key, item in value.items()}
    if isinstance(value, list):
        return [_moved(item, parts) for item in value]
    if not isinstance(value, str):
        return value
    kind = _OUTSIDE.match(value)
    if kind and Path(kind[1]).is_file():
        return f"../{parts.take(Path(kind[1]), 'files')}:{kind[2]}"
    looks_like_one = "/" in value or "." in value
    return parts.take(Path(value), "data") if looks_like_one and Path(value).exists() else value


def _facts(every: Sequence[Settings], parts: _Parts) -> dict[str, Any]:
    """What the manifest and the guide say: code, versions, needs, commands."""
    forecast = plan_project.forecast(every, parts.packing.device)
    checkout = _code(parts)
    runs = {one.experiment.name: str(Path(_root(one)) / one.experiment.name) for one in every}
    configs = [f"configs/{name}.yaml" for name in runs]
    extras = sorted({extra for one in every for name in needs.packages_of(one) if (extra := extra_of(name))})
    plain = [one.experiment.name for one in every if one.polychromic.diversity_weight == 0]
    return {
        "polychromic": polychromic.__version__,
        "code": {"revision": git_revision(), "included": checkout},
        "versions": versions(),
        "extras": extras,
        "models": sorted({one.model.name_or_path for one in every}),
        "device": parts.packing.device,
        "memory_gib": max(sum(run.memory.values()) for run in forecast.runs),
        "seconds": forecast.seconds,
        "price": forecast.price,
        "effect": forecast.evaluation.effect,
        "train": shlex.join(["polychromic", "launch", *configs]),
        "evaluate": following.evaluate_command(configs[-1], every[-1], runs, plain[0] if plain else None),
    }


def _code(parts: _Parts) -> bool:
    """Whether the tracked files of this checkout, as they are now, are in the archive; else it is installed by name."""
    root = Path(polychromic.__path__[0]).parent
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--", *CODE], capture_output=True, text=True, check=False
    )
    names = [name for name in listed.stdout.split("\0") if name and (root / name).is_file()]
    if "pyproject.toml" in names:
        parts.files |= {f"code/{name}": root / name for name in names}
        parts.files["constraints.txt"] = root / "constraints.txt"
        return True
    pins = sorted({f"{one.name}=={one.version}" for one in metadata.distributions() if one.name != "polychromic"})
    parts.files["constraints.txt"] = "".join(f"{pin}\n" for pin in pins).encode()
    return False


def _render(name: str, facts: dict[str, Any]) -> str:
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("polychromic.project"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return templates.get_template(name).render(facts)
