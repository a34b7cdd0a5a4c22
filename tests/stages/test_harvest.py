"""The harvest stage: a pool drawn, judged and credited; kept, extended, carried to another run and learnt from."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace

import pytest

from polychromic.core.errors import InputError, MissingResourceError, RecordError, UnsoundObjectiveError
from polychromic.records.harvest import read_pool
from polychromic.settings.load import settings_from
from polychromic.stages import harvest, train
from polychromic.stages.demonstrations import load_data, mixed

pytestmark = pytest.mark.long

BASE = {
    "experiment": {"name": "mine"},
    "model": {"name_or_path": "embedded:countdown", "dtype": "float32"},
    "data": {"task": {"kind": "countdown", "train_size": 64}},
    "polychromic": {"max_new_tokens": 8},
    "training": {
        "max_steps": 3,
        "per_device_train_batch_size": 4,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "logging_steps": 1,
    },
    "tracking": {"wandb": "disabled"},
}


def settings_of(tmp_path, term=(), **section):
    values = json.loads(json.dumps(BASE))
    values["experiment"]["output_root"] = str(tmp_path)
    values["data"]["harvest"] = {"n": 4, "prompts": 12, **section}
    values["polychromic"] |= dict(term)
    return settings_from(values)


def draw(settings, folder):
    path = harvest.run(harvest.prepared(settings), folder)
    return path, read_pool(folder)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool")
    settings = settings_of(folder)
    _, pool = draw(settings, folder / "pool")
    return folder / "pool", pool


def test_every_different_right_answer_of_a_prompt_weighs_the_same_and_is_right(drawn):
    _, pool = drawn
    task = load_data(settings_of("x").data).task
    by_answer: dict[tuple[str, str], float] = {}
    for row in pool.rows:
        from polychromic.core.nouns import Completion

        verdict = task.verify(row.example.prompt, Completion(row.example.demonstration))
        assert verdict.passed
        assert verdict.answer == row.answer
        key = row.example.prompt.id, row.answer
        by_answer[key] = by_answer.get(key, 0.0) + row.credit
    assert len(by_answer) > 5
    assert all(credit == pytest.approx(1.0) for credit in by_answer.values())
    account = pool.account
    assert (account.prompts, account.samples) == (12, 48)
    assert account.valid == sum(row.copies for row in pool.rows)
    assert account.mass == pytest.approx(len(by_answer) / 4 / 12)


def test_what_is_done_is_not_done_again_and_more_extends_it(drawn, tmp_path):
    folder, pool = drawn
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    _, again = draw(settings_of(tmp_path), folder)
    assert again == pool
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    _, more = draw(settings_of(tmp_path, prompts=16), folder)
    assert more.account.prompts == 16
    assert {row.example.prompt.id for row in pool.rows} <= {row.example.prompt.id for row in more.rows}
    assert (folder / "samples.jsonl").read_bytes().startswith(before["samples.jsonl"])
    _, fewer = draw(settings_of(tmp_path), folder)
    assert replace(fewer.account, made_of="") == replace(pool.account, made_of="")


def test_by_frequency_an_answer_weighs_as_often_as_it_was_drawn(drawn, tmp_path):
    folder, _ = drawn
    _, pool = draw(settings_of(tmp_path, set_size=1), folder)
    assert all(row.credit == row.copies for row in pool.rows)


def test_a_run_learns_from_the_mixture_and_says_so(tmp_path):
    settings = settings_of(tmp_path, share=0.5)
    run = train.run(settings, tmp_path / "run")
    facts = json.loads(run.run_json.read_text())["harvest"]
    assert facts["rows"] == facts["demonstrations"] == 64
    assert facts["share"] == 0.5
    assert facts["lambda"] == pytest.approx(1 / 6.6 / facts["mass"], rel=0.5)  # about 6.6 tokens a demonstration
    assert (tmp_path / "run" / "harvest" / "harvest.jsonl").exists()
    plain = train.run(settings_from({**BASE, "experiment": {"name": "plain"}}), tmp_path / "plain")
    assert run.adapter.read_bytes() != plain.adapter.read_bytes()


def test_the_pool_of_one_run_teaches_another_and_an_exchanged_one_is_refused(drawn, tmp_path):
    folder, pool = drawn
    settings = settings_of(tmp_path, path=str(folder), weight=5.0)
    settings = settings_from(json.loads(json.dumps(_values(settings))))
    run = train.run(settings, tmp_path / "taught")
    facts = json.loads(run.run_json.read_text())["harvest"]
    assert facts["digest"] == read_pool(folder).digest
    assert facts["lambda"] == pytest.approx(5.0, rel=0.05)
    assert not (tmp_path / "taught" / "harvest").exists()
    started = json.loads(run.run_json.read_text())
    run.run_json.write_text(json.dumps(started | {"finished": None, "harvest": {"digest": "another"}}))
    with pytest.raises(InputError, match="not the one it began with"):
        train.run(settings, tmp_path / "taught")
    assert pool.rows


def _values(settings):
    from polychromic.settings.load import resolved

    return resolved(settings)


def test_online_and_harvest_together(drawn, tmp_path):
    folder, _ = drawn
    term = {"lambda": 2.0, "n_generations": 4, "set_size": 2, "max_examples_for_diversity": 4}
    run = train.run(settings_of(tmp_path, term, path=str(folder)), tmp_path / "both")
    rows = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert any("diversity_value" in name for row in rows for name in row)


@pytest.mark.parametrize("gate", ["wellformed", "likelihood"])
def test_without_a_checker_a_gate_and_distances_credit_the_samples(gate, tmp_path):
    values = json.loads(json.dumps(BASE))
    data = tmp_path / "rows.jsonl"
    task = load_data(settings_of(tmp_path).data)
    data.write_text(
        "".join(
            json.dumps({"prompt": e.prompt.content, "completion": e.demonstration}) + "\n" for e in task.examples[:20]
        )
    )
    values["data"] = {"train_file": str(data), "harvest": {"n": 4, "prompts": 6}}
    values["polychromic"] |= {"reward": "lexical", "gate": gate}
    _, pool = draw(settings_from(values), tmp_path / gate)
    assert pool.rows
    assert all(row.answer is None and row.credit > 0 for row in pool.rows)
    assert not (tmp_path / gate / "verdicts.jsonl").exists()


def test_what_cannot_be_credited_is_refused_before_anything_is_drawn(tmp_path):
    values = _values(settings_of(tmp_path))
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "a", "completion": "b"}\n')
    values["data"] = {"train_file": str(rows), "harvest": {"n": 4}}
    with pytest.raises(UnsoundObjectiveError, match="verifier needs a task"):
        harvest.prepared(settings_from(values))
    with pytest.raises(UnsoundObjectiveError, match="verifier needs a task"):
        train.run(settings_from(values), tmp_path / "never")
    assert not (tmp_path / "never").exists()
    with pytest.raises(InputError, match="share or lambda"):
        settings_of(tmp_path, share=0.5, weight=1.0)
    with pytest.raises(InputError, match="set_size"):
        settings_of(tmp_path, set_size=9)


def test_a_damaged_pool_is_one_line(drawn, tmp_path):
    folder, pool = drawn
    for row, match in ((b'{"prompt_id": "a"}\n', "has no 'prompt'"), (b'{"credit": \n', "harvest.jsonl:1")):
        (tmp_path / "harvest.jsonl").write_bytes(row)
        (tmp_path / "harvest.json").write_bytes((folder / "harvest.json").read_bytes())
        with pytest.raises(RecordError, match=match):
            read_pool(tmp_path)
    with pytest.raises(MissingResourceError, match="polychromic harvest"):
        read_pool(tmp_path / "nowhere")
    with warnings.catch_warnings():
        section = settings_of(tmp_path).data.harvest
        assert mixed([], pool, section.model_copy(update={"share": 1.0}), 5.0, 0).strength == float("inf")


def test_rounds_draw_from_what_was_learnt_and_an_answer_counts_once(tmp_path):
    settings = settings_of(tmp_path, rounds=2, round_steps=2)
    run = train.run(settings, tmp_path / "run")
    first, second = read_pool(run.path / "harvest"), read_pool(run.path / "rounds" / "harvest-2")
    both = read_pool(run.path / "rounds" / "pool")
    assert {row.adapter for row in first.rows} == {""}
    assert {row.adapter for row in second.rows} != {""}
    keys = [(row.example.prompt.id, row.answer) for row in both.rows]
    assert set(keys) == {(r.example.prompt.id, r.answer) for pool in (first, second) for r in pool.rows}
    credit: dict[tuple[str, str], float] = {}
    for key, row in zip(keys, both.rows, strict=True):
        credit[key] = credit.get(key, 0.0) + row.credit
    assert all(value == pytest.approx(1.0) for value in credit.values())
    assert json.loads((run.path / "rounds" / "run-1" / "run.json").read_text())["steps"] == 2
    before = run.adapter.read_bytes()
    again = train.run(settings, tmp_path / "again")
    assert again.adapter.read_bytes() == before
    with pytest.raises(InputError, match="leave path out"):
        settings_of(tmp_path, rounds=2, path="x")


def test_prompts_without_a_demonstration_are_asked_too(tmp_path):
    values = _values(settings_of(tmp_path, prompts=None))
    values["data"]["max_examples"] = 8
    prepared = harvest.prepared(settings_from(values))
    assert len(prepared.data.examples) == 8
    assert len(prepared.prompts) == 64


def test_the_mixture_is_said_in_one_line():
    from polychromic.cli.train import mixture_line

    facts = {"rows": 8, "demonstrations": 2, "share": 0.8, "lambda": 2.5}
    assert mixture_line(facts).startswith(
        "data.harvest: 8 harvested rows beside 2 demonstrations (share 0.8, lambda 2.5)"
    )
    assert "lambda infinite" in mixture_line(facts | {"lambda": None})
