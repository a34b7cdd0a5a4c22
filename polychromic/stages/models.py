"""What the name of a model stands for: an embedded base, a hub name, a folder, or the run that trained an adapter."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from polychromic.core.errors import InputError, MissingResourceError
from polychromic.core.hub import refuse_absent_model
from polychromic.records.artefacts import RunFolder
from polychromic.records.jsonl import read_json
from polychromic.settings import adapters
from polychromic.settings.introspection import nearest
from polychromic.settings.schema import ModelSection

BASE = "base"
"""What the untrained model is called where nobody gave it a name."""
EMBEDDED = "embedded:"
LARGEST_SCALE = 2.0


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model of an evaluation: its name there, its base as written, and the run folder of its adapter, if any.

    ``scale`` multiplies what the adapter adds to the base: 0 is the base, 1 the trained model, between them lies the
    line that WiSE-FT (arXiv 2109.01903) walks to win back what fine-tuning lost. ``quantization`` is the section under
    which the adapter was trained, None for weights as they are.
    """

    name: str
    base: ModelSection
    adapter: Path | None = None
    scale: float = 1.0
    quantization: Mapping[str, Any] | None = field(default=None, hash=False)

    def marked(self, digest: str) -> str:
        """``digest`` of the adapter's weights, told apart from that of the same weights at another scale."""
        return digest if self.scale == 1.0 else f"{digest}*{self.scale!r}"


def resolve(section: ModelSection) -> ModelSection:
    """``section`` with an embedded base replaced by the folder it lies in.

    Raises:
        MissingResourceError: there is no such embedded base, or it is not in this installation.
    """
    name = section.name_or_path
    if not name.startswith(EMBEDDED):
        return section
    from polychromic.tasks.countdown import BASES, base_path

    known = [EMBEDDED + base for base in BASES]
    if name not in known:
        raise MissingResourceError(f"model {name}: there is no such embedded base{nearest(name, known)}")
    folder = base_path(name.removeprefix(EMBEDDED))
    if not (folder / "config.json").is_file():
        raise MissingResourceError(f"model {name}: its files are missing from this installation; reinstall the package")
    return section.model_copy(update={"name_or_path": str(folder)})


def refuse_absent(section: ModelSection) -> None:
    """Raises MissingResourceError for a base that cannot be had, before any library is loaded for it."""
    base = resolve(section)
    refuse_absent_model(base.name_or_path, base.revision)


def parse_models(text: str) -> list[NamedModel]:
    """The models of ``name=where,name=where``; ``where`` is a run folder, an embedded base, a folder or a hub name.

    ``RUN_FOLDER*0.5`` is the run's adapter at half its strength.

    Raises:
        InputError: a part is not ``name=where``, a name is given twice, or a scale cannot be.
        MissingResourceError: a run folder has no finished adapter.
    """
    found: dict[str, NamedModel] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, where = (piece.strip() for piece in part.partition("="))
        if not equals or not name or not where:
            raise InputError(f"--models: {part!r}: expected name=RUN_FOLDER or name=MODEL, separated by commas")
        if name in found:
            raise InputError(f"--models: the name {name!r} is given twice")
        found[name] = named_model(name, where)
    if not found:
        raise InputError("--models: names no model; expected name=RUN_FOLDER or name=MODEL, separated by commas")
    for several in by_base(list(found.values())):
        one_precision(several)
    return list(found.values())


def named_model(name: str, where: str) -> NamedModel:
    """The model at ``where``; a run folder may be followed by ``*`` and the scale of its adapter.

    ``RUN_FOLDER/checkpoint-100`` is the run after 100 steps, where that checkpoint was kept.

    Raises:
        InputError: the scale is no number in [0, 2], there is no adapter that it could be the scale of, or the adapter
            is of a kind that is not served.
        MissingResourceError: it is a run folder without an adapter.
    """
    folder, star, factor = where.rpartition("*")
    if star and not Path(where).expanduser().exists():
        return _scaled(named_model(name, folder.strip()), factor.strip())
    path = _found(Path(where).expanduser())
    if (path / "adapter_config.json").is_file() or (path / "run.json").is_file():
        base, precision = _base_of(path), _run_of(path).record().settings.get("quantization")
        _refuse_unserved(name, path)
        return NamedModel(name, base, path, quantization=precision)
    if path.is_dir() and not (path / "config.json").is_file():
        raise MissingResourceError(f"{name}: {path} holds neither a finished run nor a model")
    if not path.exists() and (where.count("/") > 1 or where[0] in "./~" or path.parent.is_dir()) and "/" in where:
        raise MissingResourceError(f"{name}: there is no folder {where}; train it first, or give a model's name")
    return NamedModel(name, ModelSection(name_or_path=where))


def _refuse_unserved(name: str, folder: Path) -> None:
    """Raises InputError where the adapter in ``folder`` would not be evaluated as it was trained, or stain the base."""
    if refused := adapters.refusal(read_json(folder / "adapter_config.json")):
        raise InputError(
            f"{name}: {folder}/adapter_config.json: {refused[0]}: {refused[1]}; merge it into its base with PEFT and "
            "evaluate the merged model"
        )


def _scaled(model: NamedModel, factor: str) -> NamedModel:
    """``model`` with its adapter at ``factor`` times its strength."""
    try:
        scale = float(factor)
    except ValueError:
        scale = float("nan")
    if not 0.0 <= scale <= LARGEST_SCALE:
        allowed = f"a number from 0 (the base) over 1 (as trained) to {LARGEST_SCALE:g}"
        raise InputError(f"{model.name}: the adapter's scale must be {allowed}, got {factor!r}")
    if model.adapter is None:
        raise InputError(f"{model.name}: {model.base.name_or_path} has no adapter to scale; only a run folder has one")
    if full := adapters.unscaled(read_json(model.adapter / "adapter_config.json")):
        raise InputError(
            f"{model.name}: only what plain LoRA adds can be scaled; {model.adapter} has {', '.join(full)}"
        )
    return replace(model, scale=scale)


def by_base(models: Sequence[NamedModel]) -> list[list[NamedModel]]:
    """The models of each base, bases in order of appearance."""
    found: dict[str, list[NamedModel]] = {}
    for model in models:
        found.setdefault(resolve(model.base).name_or_path, []).append(model)
    return list(found.values())


def with_bases(models: Sequence[NamedModel]) -> list[NamedModel]:
    """The models with the untrained base of each adapter, the first of them, where nobody named it.

    It is called ``base``, or where there are several ``base NAME`` by the last part of its own name.
    """
    found, groups = [], by_base(models)
    for several in groups:
        if any(model.adapter for model in several) and all(model.adapter for model in several):
            section = one_base(several)
            name = BASE if len(groups) == 1 else f"{BASE} {re.split('[/:]', section.name_or_path.rstrip('/'))[-1]}"
            if any(model.name == name for model in models):
                raise InputError(f"--models: {name!r} is what the untrained base is called; give the adapter another")
            found.append(NamedModel(name, section))
    return [*found, *models]


def bases_of(models: Sequence[NamedModel]) -> dict[str, str]:
    """The untrained model of each trained one, by name, as far as it is among them."""
    found: dict[str, str] = {}
    for several in by_base(models):
        bare = next((model.name for model in several if model.adapter is None), None)
        found |= {model.name: bare for model in several if bare is not None and model.adapter is not None}
    return found


def one_base(models: Sequence[NamedModel]) -> ModelSection:
    """The base that all models share.

    Raises:
        InputError: two of them have different bases; an evaluation holds one base in memory.
    """
    first = models[0]
    for other in models[1:]:
        if resolve(other.base).name_or_path != resolve(first.base).name_or_path:
            raise InputError(
                f"--models: {first.name} and {other.name} have different bases ({first.base.name_or_path}, "
                f"{other.base.name_or_path}); one evaluation compares models of one base"
            )
    adapted = [model for model in models if model.adapter is not None]
    for other in adapted[1:]:
        one, two = adapted[0].base, other.base
        if (one.format, one.chat_template_kwargs) != (two.format, two.chat_template_kwargs):
            raise InputError(
                f"--models: {adapted[0].name} and {other.name} were trained on prompts of different form "
                "(model.format, model.chat_template_kwargs); evaluate them apart"
            )
    return adapted[0].base if adapted else first.base


def in_form(models: Sequence[NamedModel], form: ModelSection) -> list[NamedModel]:
    """The models with prompts formatted as ``form`` says, where their runs do not say it.

    Raises:
        InputError: a run was trained with another format.
    """
    found = []
    for model in models:
        if form.format and model.base.format and model.base.format != form.format:
            raise InputError(f"--format: {model.name} was trained with format {model.base.format}")
        known: dict[str, Any] = {"format": model.base.format or form.format}
        known |= {} if model.adapter is not None else {"chat_template_kwargs": form.chat_template_kwargs}
        found.append(replace(model, base=model.base.model_copy(update=known)))
    return found


def one_precision(models: Sequence[NamedModel]) -> Mapping[str, Any] | None:
    """The quantisation under which the adapters were trained, and in which they and their base are evaluated.

    Raises:
        InputError: two adapters were trained in different precisions; an evaluation holds one base in memory.
    """
    adapted = [model for model in models if model.adapter is not None]
    for other in adapted[1:]:
        if (other.quantization or None) != (adapted[0].quantization or None):
            raise InputError(
                f"--models: {adapted[0].name} and {other.name} were trained on bases of different precision "
                "(quantization); merge them (`polychromic merge`) and evaluate the merged models one by one"
            )
    return (adapted[0].quantization or None) if adapted else None


def _found(path: Path) -> Path:
    """The path; a checkpoint of a run may be named without the folder in which checkpoints are."""
    inside = RunFolder(path.parent).checkpoints / path.name
    return inside if not path.exists() and inside.is_dir() else path


def _run_of(path: Path) -> RunFolder:
    """The run that an adapter's folder, or that of one of its checkpoints, belongs to."""
    run = RunFolder(path.parent.parent)
    return run if run.checkpoints == path.parent and run.run_json.is_file() else RunFolder(path)


def _base_of(path: Path) -> ModelSection:
    folder = RunFolder(path)
    if not folder.adapter.is_file():
        raise MissingResourceError(f"{path}: the run has no adapter yet; finish it with `polychromic train`")
    section = _run_of(path).record().settings.get("model")
    if section:
        return ModelSection.model_validate(section)
    config = read_json(path / "adapter_config.json")
    name = config.get("base_model_name_or_path")
    if not name:
        raise MissingResourceError(f"{path}: its adapter_config.json does not name a base model")
    return ModelSection(name_or_path=str(name), revision=config.get("revision"))
