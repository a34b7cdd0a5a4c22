"""What artefacts are made of, by content: checkers, bases, adapters; and whether samples may be added to others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from polychromic.core.digests import file_digest, files_digest
from polychromic.core.errors import InputError
from polychromic.core.nouns import Prompt
from polychromic.core.protocols import Grounded
from polychromic.records.artefacts import signature
from polychromic.records.jsonl import read_json
from polychromic.records.samples import StoredSet
from polychromic.settings.content import code_digest, options
from polychromic.settings.schema import ModelSection
from polychromic.stages.models import NamedModel, resolve

WEIGHTS = ("*.safetensors", "config.json", "generation_config.json")
TOKENIZER = ("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "*.model", "*.jinja")
"""Files of a model's folder; the chat template stands with the tokenizer."""
INDIFFERENT = ("base_model_name_or_path", "revision", "inference_mode", "task_type", "peft_version", "auto_mapping")
"""What an adapter's configuration says and no token rests on."""

Completeness = Literal["part", "whole"]


def checkers(task: Any, prompts: Sequence[Prompt]) -> list[str]:
    """For each prompt the digest of what decides a verdict besides the sample: code, options, tests, right answer."""
    grounds = task.grounds(prompts) if isinstance(task, Grounded) else [options(task)] * len(prompts)
    code = code_digest(task)
    return [signature([code, prompt.payload, own]) for prompt, own in zip(prompts, grounds, strict=True)]


def base_facts(section: ModelSection) -> dict[str, str]:
    """``base`` and ``tokenizer``: digests of a folder's files, or a hub's commit, not known before it is in the cache.

    And ``template``, where the chat template is given options.
    """
    found, chosen = resolve(section), section.chat_template_kwargs
    folder = Path(found.name_or_path).expanduser()
    template = {"template": signature(chosen)} if chosen else {}
    if folder.is_dir():
        return template | {
            name: _of_files(folder, globs) for name, globs in (("base", WEIGHTS), ("tokenizer", TOKENIZER))
        }
    commit = _commit(found.name_or_path, found.revision)
    return template | ({"base": commit, "tokenizer": commit} if commit else {})


def adapter_digest(model: NamedModel) -> str:
    """The digest of the model's adapter weights with their scale; empty for the bare base."""
    return "" if model.adapter is None else model.marked(file_digest(model.adapter / "adapter_model.safetensors"))


def adapter_facts(folder: Path | None) -> dict[str, str]:
    """``lora``: the digest of how an adapter's weights are used (rank, alpha, modules); empty for a bare base."""
    if folder is None:
        return {}
    config = read_json(folder / "adapter_config.json")
    kept = {name: value for name, value in config.items() if name not in INDIFFERENT}
    ordered = {name: sorted(map(str, value)) if isinstance(value, list) else value for name, value in kept.items()}
    return {"lora": signature(ordered)}


def refuse_other_samples(place: Path, held: StoredSet, present: Mapping[str, Any], known: Completeness) -> None:
    """Nothing when the samples held were drawn as ``present`` says: its seed, decoding, adapter and source.

    Of a ``part`` only what it names is compared; the ``whole`` of a source may not lack anything either.

    Raises:
        InputError: they were drawn otherwise; what differs is named.
    """
    if known == "whole" and not held.source:
        raise InputError(
            f"{place}: does not say what drew the samples of {held.model} (an older version wrote it), so that none "
            "can be added; choose another folder"
        )
    found = {"seed": held.seed, "decoding": held.samples.decoding, "adapter": held.adapter, **held.source}
    names = {*present, *(found if known == "whole" else ())}
    compared = names & set(found) if not held.source else names
    wrong = sorted(name for name in compared if found.get(name) != present.get(name))
    if wrong:
        said = ", ".join(f"{name} {found.get(name) or 'none'}, now {present.get(name) or 'none'}" for name in wrong)
        raise InputError(f"{place}: {held.model} was sampled otherwise ({said}); choose another folder or model name")


def _of_files(folder: Path, globs: Sequence[str]) -> str:
    return files_digest(folder, {path for glob in globs for path in folder.glob(glob) if path.is_file()})


def _commit(name: str, revision: str | None) -> str:
    """The commit of a hub's model that is in the cache; empty when none is."""
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(name, "config.json", revision=revision)
    except ValueError:  # no name that a hub could have
        return ""
    return Path(found).parent.name if isinstance(found, str) else ""
