"""Sampling: only what is missing, extended without redrawing, every model under its own name."""

import json
import os
import shutil
import signal
from dataclasses import replace

import pytest
from safetensors.torch import load_file, save_file

from polychromic.core.errors import InputError
from polychromic.core.nouns import Prompt
from polychromic.core.stopping import SIGNALS, StoppedError
from polychromic.records.costs import read_costs
from polychromic.records.jsonl import read_rows
from polychromic.records.samples import read_sets
from polychromic.reporting.costs import evaluation_cost
from polychromic.settings.schema import EvaluationSection, ModelSection
from polychromic.stages import sample
from polychromic.stages.models import NamedModel, in_form, parse_models

PROMPTS = [Prompt(f"p{place}", f"{place}+{place}=", {"n": place}) for place in range(5)]


def plan(n=3, temperatures=(1.0,), batch_size=6, **section):
    values = {"n": n, "temperatures": temperatures, "max_new_tokens": 4, "batch_size": batch_size} | section
    return sample.SamplePlan(EvaluationSection(**values), seed=1)


@pytest.fixture(scope="module")
def models(base_folder, tmp_path_factory, add_adapter):
    from polychromic.policy.load import load_base

    section = ModelSection(name_or_path=str(base_folder), format="plain")
    found = [NamedModel("base", section)]
    for seed, name in enumerate(("sft", "ours")):
        folder = tmp_path_factory.mktemp(name)
        add_adapter(load_base(section).model, seed=seed).save_pretrained(folder)
        found.append(NamedModel(name, section, folder))
    return found


def parsed(models, text):
    return in_form(parse_models(text), models[0].base)


def rows(path):
    return [row for _, row in read_rows(path)]


def test_all_models_prompts_and_temperatures(models, tmp_path):
    seen = []
    path = sample.run(models, PROMPTS, plan(temperatures=(0.5, 1.0)), tmp_path, lambda *told: seen.append(told))
    sets = read_sets(path)
    assert len(sets) == 3 * 2 * 5
    assert {len(one.samples.completions) for one in sets} == {3}
    assert {one.model for one in sets} == {"base", "sft", "ours"}
    adapters = {one.model: one.adapter for one in sets}
    assert adapters["base"] == ""
    assert len(set(adapters.values())) == 3
    assert seen[0] == ("sample", 0, 90)
    assert seen[-1] == ("sample", 90, 90)
    texts = {name: [one.samples.texts for one in sets if one.model == name] for name in adapters}
    assert texts["sft"] != texts["ours"] != texts["base"]


def test_adapters_do_not_stain_the_base(models, tmp_path):
    """The base's samples are those of a run without any adapter."""

    def texts(path):
        return [row["text"] for row in rows(path) if row["model"] == "base"]

    alone = texts(sample.run(models[:1], PROMPTS, plan(), tmp_path / "alone"))
    mixed = texts(sample.run([models[1], models[0]], PROMPTS, plan(), tmp_path / "mixed"))
    assert mixed == alone


def test_one_run_at_several_scales(models, tmp_path):
    """Scale 1 is the run itself to the byte, scale 0 samples as the base does, and no row can be taken for another."""
    base, run = models[0].base.name_or_path, models[1].adapter
    plainly = sample.run(parsed(models, f"base={base},sft={run}"), PROMPTS, plan(), tmp_path / "plainly")
    whole = sample.run(parsed(models, f"base={base},sft={run}*1.0"), PROMPTS, plan(), tmp_path / "whole")
    assert whole.read_bytes() == plainly.read_bytes()
    named = parsed(models, f"sft={run},half={run}*0.5,none={run} * 0")
    path = sample.run(named, PROMPTS, plan(temperatures=(0.01,)), tmp_path / "scales")
    sets = read_sets(path)
    adapters = {one.model: one.adapter for one in sets}
    assert adapters == {"sft": adapters["sft"], "half": adapters["sft"] + "*0.5", "none": adapters["sft"] + "*0.0"}
    texts = {name: [one.samples.texts for one in sets if one.model == name] for name in adapters}
    bare = sample.run(models[:1], PROMPTS, plan(temperatures=(0.01,)), tmp_path / "bare")
    assert texts["none"] == [one.samples.texts for one in read_sets(bare)]
    assert texts["half"] != texts["none"] != texts["sft"] != texts["half"]


def test_an_engine_that_cannot_scale_says_so(models, tmp_path):
    half = parsed(models, f"half={models[1].adapter}*0.5")
    with pytest.raises(InputError, match="engine server cannot scale an adapter") as caught:
        sample.run(half, PROMPTS, plan(engine={"kind": "server"}), tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("factor", "expected"),
    [("half", "got 'half'"), ("-1", "got '-1'"), ("50", "got '50'"), ("nan", "got 'nan'"), ("", "got ''")],
)
def test_a_scale_that_cannot_be_is_refused(models, factor, expected):
    with pytest.raises(InputError, match=f"^x: the adapter's scale must be a number from 0 .*{expected}$"):
        parse_models(f"x={models[1].adapter}*{factor}")


def test_only_what_plain_lora_adds_is_scaled(models, tmp_path):
    with pytest.raises(InputError, match="has no adapter to scale"):
        parse_models("x=embedded:countdown*0.5")
    folder = shutil.copytree(models[1].adapter, tmp_path / "dora")
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"use_dora": True}))
    with pytest.raises(InputError, match=r"only what plain LoRA adds can be scaled; .* has use_dora"):
        parse_models(f"x={folder}*0.5")
    starred = shutil.copytree(models[1].adapter, tmp_path / "lr*0.5")
    assert parse_models(f"x={starred}")[0].scale == 1.0


def test_what_is_there_is_not_drawn_again(models, tmp_path, monkeypatch):
    path = sample.run(models[:2], PROMPTS, plan(), tmp_path)
    before = path.read_bytes()
    monkeypatch.setattr(sample, "_draw", None)
    assert sample.run(models[:2], PROMPTS, plan(), tmp_path).read_bytes() == before


def test_larger_n_more_temperatures_models_and_prompts_extend(models, tmp_path):
    path = sample.run(models[:1], PROMPTS[:3], plan(n=2), tmp_path)
    before = path.read_bytes()
    sample.run(models[:2], PROMPTS, plan(n=5, temperatures=(1.0, 0.7)), tmp_path)
    assert path.read_bytes().startswith(before)
    sets = read_sets(path)
    assert len(sets) == 2 * 5 * 2
    assert {one.indices for one in sets} == {(0, 1, 2, 3, 4)}


def test_an_interrupted_run_draws_only_the_rest(models, tmp_path, monkeypatch):
    path = sample.run(models[:1], PROMPTS, plan(batch_size=3), tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:7]) + lines[7][:20])  # the machine went away in the middle of a row
    drawn, draw = [], sample._draw
    monkeypatch.setattr(sample, "_draw", lambda *args: drawn.append(args[1].samples) or draw(*args))
    sample.run(models[:1], PROMPTS, plan(batch_size=3), tmp_path)
    assert sum(drawn) == 15 - 7
    assert {len(one.samples.completions) for one in read_sets(path)} == {3}
    assert len(rows(path)) == 15


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)
def test_a_run_that_is_asked_to_stop_keeps_its_part_and_goes_on(models, tmp_path, number):
    def ask(work, done, total):
        if done == 6:
            os.kill(os.getpid(), number)

    with pytest.raises(StoppedError, match="6 of 15 samples are kept") as caught:
        sample.run(models[:1], PROMPTS, plan(batch_size=3), tmp_path / "stopped", ask)
    assert caught.value.exit_code == 128 + number
    assert len(rows(tmp_path / "stopped" / "samples.jsonl")) == 6
    path = sample.run(models[:1], PROMPTS, plan(batch_size=3), tmp_path / "stopped")
    whole = sample.run(models[:1], PROMPTS, plan(batch_size=3), tmp_path / "whole")
    assert path.read_bytes() == whole.read_bytes()


def test_what_it_took_adds_up_over_interruptions_and_extensions(models, tmp_path):
    path = sample.run(models[:2], PROMPTS, plan(n=2, batch_size=4), tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:7]) + lines[7][:20])  # the machine went away in the middle of a row
    sample.run(models[:2], PROMPTS, plan(n=3, batch_size=4), tmp_path)
    before = (tmp_path / "costs.jsonl").read_bytes()
    sample.run(models[:2], PROMPTS, plan(n=3, batch_size=4), tmp_path)
    assert (tmp_path / "costs.jsonl").read_bytes() == before
    for row in evaluation_cost(tmp_path, "base").models:
        sizes = [len(one["token_ids"]) for one in rows(path) if one["model"] == row.model]
        assert (row.samples, row.tokens) == (len(sizes), sum(sizes))
        assert row.device_seconds > 0
        assert row.reason == "no sample was judged"
    spent = read_costs(tmp_path)
    assert [one.stage for one in spent].count("load") == 2
    assert {one.device for one in spent} == {"cpu"}


def test_the_forecast_counts_what_is_missing_and_knows_the_time_after_a_piece(models, tmp_path):
    assert sample.forecast(models, PROMPTS, plan(temperatures=(0.5, 1.0)), tmp_path) == sample.Forecast(
        90, 90, 360, None
    )
    sample.run(models[:1], PROMPTS, plan(n=2), tmp_path)
    found = sample.forecast(models[:1], PROMPTS, plan(n=5), tmp_path)
    assert (found.samples, found.missing, found.tokens) == (25, 15, 60)
    took = sum(row.seconds for row in read_costs(tmp_path) if row.stage == "sample")
    assert found.seconds == pytest.approx(took * 15 / 10)


def test_an_adapter_that_is_not_whole_is_refused_before_vllm_takes_it(models, tmp_path):
    broken = shutil.copytree(models[1].adapter, tmp_path / "broken")
    weights = load_file(broken / "adapter_model.safetensors")
    save_file(dict(list(weights.items())[2:]), broken / "adapter_model.safetensors")
    with pytest.raises(InputError, match=r"broken: the adapter is not whole: 2 of its \d+ weights are missing"):
        sample.run([replace(models[1], adapter=broken)], PROMPTS, plan(engine="vllm"), tmp_path / "out")


def test_an_engine_that_holds_one_base_refuses_a_second(models, tmp_path):
    other = NamedModel("other", ModelSection(name_or_path="somewhere/else"))
    with pytest.raises(InputError, match="engine vllm: holds one base"):
        sample.run([models[0], other], PROMPTS, plan(engine="vllm"), tmp_path)
