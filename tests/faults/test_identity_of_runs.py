"""Identity by content over training and harvests: a changed input is refused or said, or the result is made anew."""

from __future__ import annotations

import json
import shutil
import warnings

import pytest
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from polychromic.cli import commands
from polychromic.core.errors import InputError
from polychromic.records.harvest import read_pool
from polychromic.records.jsonl import read_json, write_json
from polychromic.settings.load import resolved_yaml, settings_from
from polychromic.stages import harvest, train
from tests.faults.test_identity import attempted

JUDGE = """
def right(prompts, completions, answer, **columns):
    return [(len(text) > 0, str(len(text) % 2)) for text in completions]
"""


def rows(count, answer="5"):
    return "".join(
        json.dumps({"prompt": f"{n}+1", "completion": f"{n + 1}", "answer": answer}) + "\n" for n in range(count)
    )


def settings_of(root, **sections):
    values = {
        "experiment": {"name": "run", "output_root": str(root)},
        "model": {"name_or_path": str(root / "base"), "dtype": "float32", "format": "plain"},
        "data": {
            "train_file": str(root / "rows.jsonl"),
            "eval_file": str(root / "held.jsonl"),
            "task": {"kind": "function", "functions": f"{root}/judge.py:right"},
            "trust_judge": True,
        },
        "lora": {"r": 2},
        "polychromic": {"lambda": 0.0, "max_new_tokens": 16},
        "training": {
            "max_steps": 4,
            "save_steps": 2,
            "per_device_train_batch_size": 2,
            "eval_strategy": "no",
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
        },
        "tracking": {"wandb": "disabled"},
    }
    return settings_from({name: value | sections.get(name, {}) for name, value in values.items()})


def stop(work, done, total):
    if done == 3:
        raise KeyboardInterrupt


def world_of(root, base_folder):
    shutil.copytree(base_folder, root / "base")
    (root / "rows.jsonl").write_text(rows(8))
    (root / "held.jsonl").write_text(rows(2))
    (root / "judge.py").write_text(JUDGE)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory, base_folder):
    """A run that broke off in its third step, and a copy of all its files."""
    root = tmp_path_factory.mktemp("runs")
    world_of(root / "world", base_folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(KeyboardInterrupt):
            train.run(settings_of(root / "world"), None, stop)
    shutil.copytree(root / "world", root / "kept")
    return root / "world", root / "kept"


@pytest.fixture
def world(interrupted):
    """The files as they were when the run broke off."""
    root, kept = interrupted
    shutil.rmtree(root)
    shutil.copytree(kept, root)
    return root


def heavier(world):
    path = world / "base/model.safetensors"
    held = load_file(path)
    name = min(held)
    save_file(held | {name: held[name] * 1.01}, path, metadata={"format": "pt"})


def edited(name, old, new):
    def change(world):
        assert old in (world / name).read_text()
        (world / name).write_text((world / name).read_text().replace(old, new, 1))

    return change


CHANGES = {
    "a demonstration": (
        edited("rows.jsonl", '"completion": "3"', '"completion": "33"'),
        r"data rows \(.*rows\.jsonl\) ",
    ),
    "a row more": (lambda world: (world / "rows.jsonl").write_text(rows(9)), r"\(8 rows \w+, now 9 rows \w+\)"),
    "a column": (lambda world: (world / "rows.jsonl").write_text(rows(8, "6")), "data rows"),
    "the held-out rows": (lambda world: (world / "held.jsonl").write_text(rows(3)), r"held-out rows \(.*held\.jsonl\)"),
    "the base": (heavier, r"other base \(\w+, now \w+\)"),
    "the chat template": (edited("base/chat_template.jinja", "role[0]", "role"), "other tokenizer"),
    "the judge's file": (edited("judge.py", "> 0", "> 1"), "another configuration .*judge"),
}


@pytest.mark.filterwarnings("ignore:data.task")
@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_input_stops_a_run_that_goes_on(world, name, finished):
    change, said = CHANGES[name]
    run_json = world / "run/run.json"
    if finished:
        write_json(run_json, read_json(run_json) | {"finished": "2026-01-01T00:00:00+00:00"})
    before = run_json.read_bytes()
    change(world)
    with pytest.raises(InputError, match=said) as caught:
        train.run(settings_of(world))
    assert "\n" not in str(caught.value)
    assert ("finished on 2026-01-01" in str(caught.value)) is finished or name == "the judge's file"
    assert run_json.read_bytes() == before


@pytest.mark.filterwarnings("ignore:data.task")
def test_an_unchanged_run_goes_on_and_says_when_it_was_finished(world):
    run = train.run(settings_of(world))
    made_of = run.record().made_of
    assert {"base", "tokenizer", "judge's code"} < set(made_of)
    config = world / "config.yaml"
    config.write_text(resolved_yaml(settings_of(world)))
    done = CliRunner().invoke(commands, ["train", str(config)], catch_exceptions=False)
    assert f"finished on {run.record().finished}, nothing to do" in done.stdout
    write_json(run.run_json, {name: value for name, value in read_json(run.run_json).items() if name != "made_of"})
    with pytest.warns(UserWarning, match=r"run\.json: does not say which data and base the run began with"):
        train.run(settings_of(world))


HARVESTED = {
    "the judge's code": (edited("judge.py", "len(text) > 0", "'1' in text or '2' in text"), {}),
    "the reward": (None, {"polychromic": {"reward": {"kind": "lexical"}}}),
    "the set size": (None, {"data": {"harvest": {"n": 8, "prompts": 6, "set_size": 1}}}),
    "fewer samples": (None, {"data": {"harvest": {"n": 2, "prompts": 6}}}),
    "the temperature": (None, {"polychromic": {"temperature": 0.5}}),
    "a prompt": (edited("rows.jsonl", '"prompt": "1+1"', '"prompt": "1+7"'), {}),
    "the base": (heavier, {}),
    "the seed": (None, {"experiment": {"seed": 1}}),
    "the pool itself": (edited("pool/harvest.jsonl", '"credit": ', '"credit": 9'), {}),
    "the pool's end": (lambda world: (world / "pool/harvest.jsonl").write_bytes(b"\0" * 9), {}),
}


def harvested(world, **sections):
    data = {"harvest": {"n": 8, "prompts": 6}} | sections.pop("data", {})
    settings = settings_of(world, data=data, **sections)
    harvest.run(harvest.prepared(settings), world / "pool")
    return read_pool(world / "pool")


@pytest.fixture(scope="module")
def pool(tmp_path_factory, base_folder):
    """A harvest that is done, and a copy of all its files."""
    root = tmp_path_factory.mktemp("pools")
    world_of(root / "world", base_folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = harvested(root / "world")
    shutil.copytree(root / "world", root / "kept")
    return root / "world", root / "kept", found


@pytest.mark.filterwarnings("ignore:data.task", "ignore:.*(are made anew|are sampled anew)")
@pytest.mark.parametrize("name", HARVESTED)
def test_a_changed_input_makes_the_pool_anew_or_is_refused(pool, name):
    change, sections = HARVESTED[name]
    world, kept, before = pool
    shutil.rmtree(world)
    shutil.copytree(kept, world)
    assert harvested(world) == before
    if change is not None:
        change(world)
    found, error = attempted(lambda: harvested(world, **sections))
    if error is not None:
        assert "sampled otherwise" in str(error)
        assert name in ("the base", "the seed")
        return
    (world / "pool/harvest.json").unlink()
    assert harvested(world, **sections).rows == found.rows
    assert (found.rows == before.rows) is name.startswith("the pool")
