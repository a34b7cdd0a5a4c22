"""What a training run is made of, by content, and the refusal to go on when that is no longer what is there."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from polychromic.core.digests import text_digest
from polychromic.core.errors import InputError, MissingResourceError
from polychromic.core.nouns import Example
from polychromic.core.protocols import Grounded
from polychromic.records.artefacts import RunFolder, extend_run, open_run, signature, update_run
from polychromic.records.jsonl import write_bytes
from polychromic.records.samples import content_out
from polychromic.settings.content import code_digest, options
from polychromic.settings.load import identity, resolved_yaml
from polychromic.settings.schema import DataSection, Settings
from polychromic.stages.demonstrations import Data, load_data
from polychromic.stages.extension import changes
from polychromic.stages.identity import base_facts

CODE = "judge's code"
"""Refused nowhere, as the trainer's own code is not; a change is said."""


def origin(settings: Settings, data: Data) -> dict[str, str]:
    """What the run is made of: a digest, in front of it the number of rows, by the words in which it is spoken of."""
    found = {f"data rows ({_place(settings.data)})": _rows(data.examples)}
    if data.held_out:
        found[f"held-out rows ({settings.data.eval_file})"] = _rows(data.held_out)
    if data.task is not None and data.task.judges:
        prompts = [example.prompt for example in data.examples]
        grounds = data.task.grounds(prompts) if isinstance(data.task, Grounded) else options(data.task)
        found |= {"judge's tests or options": signature(grounds), CODE: code_digest(data.task)}
    return found | base_facts(settings.model)


def begin(folder: RunFolder, settings: Settings, data: Data) -> None:
    """Makes the run's folder, or takes it up again; ``run.json`` says what it is made of, as ``origin`` does.

    Raises:
        InputError: the run has begun with something else; the first is named, and nothing is written.
    """
    made_of = origin(settings, data)
    if folder.begun:
        _refuse_other(folder, made_of)
        made_of |= folder.record().made_of
    changed, _ = changes(folder, settings)
    if changed:
        extend_run(folder, identity(settings))
    open_run(folder.path, identity(settings), {"experiment": settings.experiment.seed})
    write_bytes(folder.resolved, [resolved_yaml(settings).encode()])
    read = {} if data.read is None else {"data": {"forms": data.read.forms, "sources": data.read.sources}}
    update_run(folder, made_of=made_of, **read)


def note_base(folder: RunFolder, settings: Settings) -> None:
    """Adds base and tokenizer to ``run.json``, where they were not known before the base was loaded."""
    update_run(folder, made_of={**base_facts(settings.model), **folder.record().made_of})


def refuse_edited(folder: RunFolder, settings: Settings) -> None:
    """Raises InputError when a finished run was made of other data, or of another base, than there are now."""
    try:
        now = origin(settings, load_data(settings.data, settings.model))
    except MissingResourceError as error:
        warnings.warn(f"{folder.path}: what the run was made of is not to be had: {error}", stacklevel=2)
        return
    _refuse_other(folder, now)


def _refuse_other(folder: RunFolder, now: Mapping[str, str]) -> None:
    """Raises InputError when the run was begun with something else; an older version does not say: a warning."""
    record = folder.record()
    if not record.made_of:
        warnings.warn(f"{folder.run_json}: does not say which data and base the run began with", stacklevel=3)
        return
    for name in dict.fromkeys([*record.made_of, *now]):
        began, present = record.made_of.get(name), now.get(name)
        if began == present or (name in ("base", "tokenizer") and None in (began, present)):
            continue
        if name == CODE:
            warnings.warn(f"{folder.path}: the judge's code is not the one the run began with", stacklevel=3)
            continue
        state = f"finished on {record.finished} with" if record.finished else "began with"
        raise InputError(
            f"{folder.path}: the run {state} other {name} ({began or 'none'}, now {present or 'none'}); put back what "
            "it began with, or choose another experiment.name"
        )


def _rows(examples: Sequence[Example]) -> str:
    parts = [
        signature([one.prompt.id, content_out(one.prompt), one.prompt.payload, one.demonstration]) for one in examples
    ]
    return f"{len(parts)} rows {text_digest('rows', *parts)}"


def _place(section: DataSection) -> str:
    named: Any = section.train_file or section.dataset
    if named:
        return str(named)
    return "data.sources" if section.sources else "data.task"
