from __future__ import annotations

import copy
import subprocess

import pytest

from polychromic.core.digests import file_digest
from polychromic.core.errors import InputError, MissingResourceError
from polychromic.records import artefacts
from polychromic.records.artefacts import (
    finish_run,
    git_revision,
    open_run,
    settings_hash,
    signature,
    versions,
)
from polychromic.records.jsonl import read_json, write_json

SETTINGS = {
    "experiment": {"name": "a", "seed": 0, "notes": "", "group": "", "output_root": "runs"},
    "lora": {"r": 8},
    "training": {"learning_rate": 1e-4},
    "tracking": {"wandb": "auto"},
}


def changed(**sections):
    settings = copy.deepcopy(SETTINGS)
    for section, values in sections.items():
        settings[section].update(values)
    return settings


def test_a_run_folder_tells_what_made_it_and_can_be_taken_up_again(tmp_path):
    folder = open_run(tmp_path / "a", SETTINGS, {"run": 0})
    facts = read_json(folder.run_json)
    assert facts["settings_hash"] == settings_hash(SETTINGS)
    assert facts["settings"] == SETTINGS
    assert facts["seeds"] == {"run": 0}
    assert facts["versions"]["python"].count(".") == 2
    assert not folder.finished
    finish_run(folder, seconds=3.5)
    again = open_run(tmp_path / "a", changed(tracking={"wandb": "offline"}, experiment={"notes": "x"}), {"run": 0})
    assert again.finished
    assert read_json(again.run_json)["seconds"] == 3.5


def test_another_configuration_in_the_folder_is_refused_and_the_difference_named(tmp_path):
    (open_run(tmp_path / "a", SETTINGS, {}).checkpoints / "checkpoint-1").mkdir(parents=True)
    with pytest.raises(InputError) as caught:
        open_run(tmp_path / "a", changed(lora={"r": 16}, training={"max_steps": 3}), {})
    assert "another configuration (different: lora.r, training.max_steps)" in str(caught.value)


def test_a_setting_that_came_later_and_is_empty_is_no_difference(tmp_path):
    finish_run(open_run(tmp_path / "a", SETTINGS, {}))
    assert open_run(tmp_path / "a", changed(lora={"options": {}, "more": []}), {}).finished
    with pytest.raises(InputError, match=r"different: lora\.options"):
        open_run(tmp_path / "a", changed(lora={"options": {"x": 1}}), {})


def test_how_a_run_is_evaluated_may_change_and_old_hashes_count_as_they_were(tmp_path):
    settings = {**SETTINGS, "evaluation": {"n": 16, "encoder": None}}
    folder = open_run(tmp_path / "a", settings, {})
    finish_run(folder, seconds=3.5)
    facts = read_json(folder.run_json)
    write_json(folder.run_json, facts | {"settings_hash": "of an older way to hash"})
    again = open_run(tmp_path / "a", {**SETTINGS, "evaluation": {"n": 64, "encoder": None, "thresholds": {}}}, {})
    assert again.finished
    assert read_json(again.run_json)["seconds"] == 3.5
    with pytest.raises(InputError, match=r"different: evaluation\.encoder"):
        open_run(tmp_path / "a", {**SETTINGS, "evaluation": {"n": 16, "encoder": "other"}}, {})


def test_a_run_in_which_nothing_was_trained_gives_way_to_another_configuration(tmp_path):
    open_run(tmp_path / "a", SETTINGS, {})
    folder = open_run(tmp_path / "a", changed(lora={"r": 16}), {})
    assert read_json(folder.run_json)["settings"]["lora"]["r"] == 16
    (folder.checkpoints / "checkpoint-1").mkdir(parents=True)
    with pytest.raises(InputError, match=r"different: lora\.r"):
        open_run(tmp_path / "a", SETTINGS, {})


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(InputError, match="holds no run of ours"):
        open_run(tmp_path, SETTINGS, {})
    with pytest.raises(InputError, match="holds no run of ours"):
        open_run(tmp_path / "holiday.jpg", SETTINGS, {})


def test_the_hash_follows_what_is_computed_and_only_that():
    same = settings_hash(changed(tracking={"wandb": "disabled"}, experiment={"output_root": "elsewhere"}))
    assert same == settings_hash(SETTINGS)
    assert settings_hash(changed(experiment={"seed": 1})) != settings_hash(SETTINGS)
    assert signature({"a": 1, "b": 2}) == signature({"b": 2, "a": 1}) != signature({"a": 1, "b": 3})


def test_digest_versions_and_revision(tmp_path):
    (tmp_path / "w").write_bytes(b"abc")
    assert file_digest(tmp_path / "w") == "ba7816bf8f01cfea"
    with pytest.raises(MissingResourceError):
        file_digest(tmp_path / "none")
    assert {"python", "torch", "numpy"} <= set(versions())


def test_the_revision_is_the_codes_own_and_not_that_of_a_repository_around_it(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    installed = tmp_path / "artefacts.py"
    installed.touch()
    monkeypatch.setattr(artefacts, "__file__", str(installed))
    assert git_revision() is None
