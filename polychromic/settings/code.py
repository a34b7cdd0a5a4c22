"""The configuration of ``polychromic code``: experiments on one task, run one after another into one table."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

import polychromic
from polychromic.core.errors import InputError, SettingsError
from polychromic.settings import catalog
from polychromic.settings.introspection import brief, nearest
from polychromic.settings.load import refuse_secrets
from polychromic.settings.outside import anchored
from polychromic.settings.schema import Kind, Section
from polychromic.settings.yaml_lines import Path_, Source, dotted, read_source

STRATEGY_FILES = (".yaml", ".yml", ".txt")


class CodeExperiment(Section):
    """One way of asking a model for programs; ``max_samples`` bounds the problems, ``n`` the answers to each.

    ``strategy`` is a name or a file beside the configuration; ``system`` is said in the place of its system message,
    ``instruction`` besides.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    enabled: bool = True
    strategy: str = "minimal"
    system: str = ""
    instruction: str = ""
    post_processing: Kind = "auto"
    temperature: float = Field(default=0.2, ge=0.0)
    n: int = Field(default=1, ge=1)
    max_samples: int | None = Field(default=None, ge=1)
    max_new_tokens: int = Field(default=512, ge=1)
    model: str = ""
    adapter: str = Field(default="", description="the run folder of a LoRA adapter on the model")
    engine: Kind = "transformers"
    batch_size: int = Field(default=64, ge=1)

    @model_validator(mode="after")
    def _a_model(self) -> CodeExperiment:
        if not self.model and not self.adapter and catalog.split(self.engine)[0] != "server":
            raise ValueError("an experiment needs a model or an adapter; only a server may choose its own")
        return self


class CodeSettings(Section):
    """A whole file; ``defaults`` are taken by every experiment that does not say otherwise."""

    output: str
    task: Kind = "humaneval"
    seed: int = Field(default=0, ge=0)
    baseline: str | None = None
    price_per_hour: float | None = Field(default=None, ge=0.0, description="dollars an hour of the machine")
    experiments: tuple[CodeExperiment, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names(self) -> CodeSettings:
        names = [experiment.name for experiment in self.experiments]
        if len(set(names)) != len(names):
            raise ValueError("two experiments have the same name")
        if self.baseline is not None and self.baseline not in names:
            raise ValueError(f"baseline {self.baseline!r} is no experiment{nearest(self.baseline, names)}")
        return self


def load_code(path: str | Path) -> CodeSettings:
    """The experiments of a file.

    Raises:
        SettingsError: one line ``file:line: key.path: what is wrong``.
        MissingResourceError: there is no such file.
    """
    source = read_source(path)
    refuse_secrets(source)
    defaults = source.values.pop("defaults", None) or {}
    experiments = source.values.get("experiments")
    if not isinstance(defaults, dict):
        raise SettingsError(f"{source.place(('defaults',))}: defaults: must hold keys, got {brief(defaults)}")
    origins: list[int] = []
    if isinstance(experiments, list):
        rows = [defaults | row if isinstance(row, dict) else row for row in experiments]
        swept = [(place, one) for place, row in enumerate(rows) for one in _swept(source, place, row)]
        origins = [place for place, _ in swept]
        source.values["experiments"] = [_beside(Path(path), source, place, row) for place, row in swept]
    if "task" in source.values:
        source.values["task"] = anchored(source.values["task"], Path(path).parent)
    try:
        found = CodeSettings.model_validate_json(json.dumps(source.values), strict=True)
    except ValidationError as error:
        raise _first(source, error, defaults, origins) from None
    _checked(source, "tasks", ("task",), found.task)
    for place, experiment in zip(origins, found.experiments, strict=True):
        _checked(source, "samplers", ("experiments", place, "engine"), experiment.engine)
        if experiment.post_processing != "auto":
            _checked(source, "post_processing", ("experiments", place, "post_processing"), experiment.post_processing)
    return found


def _swept(source: Source, place: int, row: Any) -> list[Any]:
    """The experiments that a row with a ``sweep`` stands for: one for each combination of its values.

    Their names end in the values, or in the places (from 1) of values that no name may hold.
    """
    if not isinstance(row, dict) or "sweep" not in row:
        return [row]
    sweep = row["sweep"]
    if not isinstance(sweep, dict) or not all(isinstance(values, list) and values for values in sweep.values()):
        where = source.place(("experiments", place, "sweep"))
        raise SettingsError(f"{where}: experiments[{place}].sweep: must give a list of values for each key")
    rest = {key: value for key, value in row.items() if key != "sweep"}
    labelled = [[(key, value, _label(value, number)) for number, value in enumerate(v, 1)] for key, v in sweep.items()]
    return [
        rest
        | {key: value for key, value, _ in chosen}
        | {"name": "-".join([str(row.get("name", "")), *(label for _, _, label in chosen)])}
        for chosen in itertools.product(*labelled)
    ]


def _label(value: Any, number: int) -> str:
    text = Path(value).stem if isinstance(value, str) and value.endswith(STRATEGY_FILES) else str(value)
    return text if isinstance(value, str | int | float) and re.fullmatch(r"[A-Za-z0-9._]{1,24}", text) else str(number)


def _beside(path: Path, source: Source, place: int, row: Any) -> Any:
    """The row with the files that it names found beside the configuration.

    Raises:
        SettingsError: there is no such strategy or file.
    """
    if not isinstance(row, dict):
        return row
    brought = {key: anchored(row[key], path.parent) for key in ("engine", "post_processing") if key in row}
    row, name = row | brought, row.get("strategy")
    if not isinstance(name, str):
        return row
    known = sorted(file.stem for file in (Path(polychromic.__path__[0]) / "code" / "strategies").glob("*.yaml"))
    if name in known:
        return row
    file = path.parent / name
    if name.endswith(STRATEGY_FILES) and file.is_file():
        return row | {"strategy": str(file)}
    where = source.place(("experiments", place, "strategy"))
    hint = ": there is no such file" if name.endswith(STRATEGY_FILES) else f" is no strategy{nearest(name, known)}"
    raise SettingsError(f"{where}: experiments[{place}].strategy: {name!r}{hint}")


def _checked(source: Source, shelf: str, path: Path_, entry: Any) -> None:
    try:
        catalog.check(shelf, entry)
    except InputError as error:
        raise SettingsError(f"{source.place(path)}: {dotted(path)}: {error}") from None


def _first(source: Source, error: ValidationError, defaults: dict[str, Any], origins: list[int]) -> SettingsError:
    """The first of pydantic's findings in one line, at the line it was written."""
    finding = error.errors()[0]
    finding["loc"] = tuple(origins[part] if isinstance(part, int) and origins else part for part in finding["loc"])
    path = tuple(part for part in finding["loc"] if part in ("experiments", "defaults") or _written(source, part))
    key = str(finding["loc"][-1]) if finding["loc"] else ""
    if len(path) > 2 and path[2] in defaults and path not in source.places:
        path = ("defaults", path[2])
    place, name = source.place(path), dotted(tuple(finding["loc"])) or "file"
    if finding["type"] == "extra_forbidden":
        inside = CodeExperiment if "experiments" in finding["loc"] else CodeSettings
        return SettingsError(f"{place}: {name}: unknown key{nearest(key, inside.model_fields)}")
    if finding["type"] == "missing":
        return SettingsError(f"{place}: {name}: is missing")
    message = finding["msg"].removeprefix("Value error, ").replace("Input should", "must")
    return SettingsError(f"{place}: {name}: {message[0].lower()}{message[1:]}")


def _written(source: Source, part: str | int) -> bool:
    return isinstance(part, int) or any(part in path for path in source.places)
