"""What the policy writes for held-out prompts while it is trained: seen, and of no influence."""

import math

import pytest
import torch

from polychromic.core.errors import InputError, NumericalError
from polychromic.core.nouns import Decoding, Prompt, Status, Verdict
from polychromic.settings.schema import DuringTrainingSection
from polychromic.stages import held_out as stage
from polychromic.training.held_out import SHOWN_PROMPTS, HeldOut, HeldOutLog


@pytest.fixture
def watching(task):
    """Six held-out prompts with four samples each, by the default metrics."""
    n = 4
    kinds = stage.default_kinds(n, judged=True, encoder=False)
    return HeldOut(
        task.prompts("test")[-6:], stage.built(kinds, n, task, None), n, Decoding(max_new_tokens=6), task, 11
    )


def trained(make_trainer, weights_of, weight, held_out, **arguments):
    own = {"held_out": held_out} if held_out else {}
    trainer = make_trainer(weight, own=own, dropout=0.3, max_steps=6, **arguments)
    trainer.eval_dataset = trainer.train_dataset.select(range(4)) if held_out else None
    trainer.args.eval_strategy = trainer.args.eval_strategy.__class__("steps" if held_out else "no")
    trainer.args.eval_steps = 2
    trainer.train()
    return weights_of(trainer), [row for row in trainer.state.log_history if "loss" in row], trainer


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_looking_changes_nothing(make_trainer, weights_of, watching, weight):
    """The same weights, the same losses and samples, the same generator, bit for bit; with dropout on."""
    plain, losses, _ = trained(make_trainer, weights_of, weight, None)
    state = torch.random.get_rng_state()
    seen, again, trainer = trained(make_trainer, weights_of, weight, watching)
    assert all(torch.equal(plain[name], seen[name]) for name in plain)
    assert torch.equal(torch.random.get_rng_state(), state)
    for one, other in zip(losses, again, strict=True):
        same = [name for name in one if "seconds" not in name]
        assert {name: one[name] for name in same} == {name: other[name] for name in same}
    looked = [row for row in trainer.state.log_history if "eval_pass@1" in row]
    assert [row["step"] for row in looked] == [2, 4, 6]
    assert all(row["eval_loss"] > 0 for row in looked)


def test_the_numbers_are_those_of_the_samples(make_trainer, watching, task):
    trainer = make_trainer(0.0)
    found = watching.measured(trainer, "eval")
    right = [[text[:1] for text in samples.texts if text[:1].isalnum()] for samples, _ in watching.latest]
    assert found["eval_pass@1"] == pytest.approx(sum(len(answers) / 4 for answers in right) / 6)
    assert found["eval_pass@4"] == pytest.approx(sum(bool(answers) for answers in right) / 6)
    assert found["eval_distinct_and_correct@4"] == pytest.approx(sum(len(set(answers)) for answers in right) / 6)
    drawn = [one for samples, _ in watching.latest for one in samples.completions]
    assert found["eval_tokens_generated"] == sum(len(one.token_ids) for one in drawn)
    assert found["eval_length_in_tokens"] == pytest.approx(found["eval_tokens_generated"] / 24)
    assert 0 < found["eval_truncated_share"] < 1
    before = [samples.texts for samples, _ in watching.latest]
    assert watching.measured(trainer, "eval")["eval_pass@1"] == found["eval_pass@1"]
    assert [samples.texts for samples, _ in watching.latest] == before  # the same draws at every evaluation


def test_what_cannot_be_sampled_costs_no_run(make_trainer, watching, task, monkeypatch):
    """A prompt without room in the context is left out; logits that are no numbers are a finding and NaN."""
    trainer = make_trainer(0.0)
    watching.prompts = [*watching.prompts, Prompt("long", "a" * 200, {"a": "a"})]
    assert watching.measured(trainer, "eval")["eval_pass@4"] > 0
    assert len(watching.latest) == 6

    judge = task.verify
    task.verify = lambda prompt, completion: Verdict(Status.ABSENT)
    unjudged = watching.measured(trainer, "eval")
    assert unjudged["eval_length_in_tokens"] > 0
    assert math.isnan(unjudged["eval_pass@1"])  # a missing name would end a run that is best by it
    task.verify = judge

    def spoilt(*given):
        raise NumericalError("the model gave logits that are not numbers")

    monkeypatch.setattr("polychromic.samplers.transformers.generate", spoilt)
    found = watching.measured(trainer, "eval")
    assert math.isnan(found["eval_distinct_and_correct@4"])
    assert [one.kind for one in trainer.health.record.findings] == ["held-out samples"]


def test_ranks_share_the_prompts_and_agree(make_trainer, watching):
    trainer = make_trainer(0.0)
    model, tokenizer = trainer.model, trainer.processing_class
    sent = []
    for rank in (0, 1):
        watching.numbers(model, tokenizer, lambda own: sent.append(own) or [own], rank, 2)
    found = [watching.numbers(model, tokenizer, lambda own: sent, rank, 2) for rank in (0, 1)]
    assert found[0]["pass@1"] == found[1]["pass@1"]
    assert found[0]["tokens_generated"] == sum(own["tokens_generated"][0] for own in sent)
    assert found[0]["pass@1"] == pytest.approx(sum(own["pass@1"][0] for own in sent) / 6)


def test_some_completions_are_kept(make_trainer, watching, tmp_path):
    trainer = make_trainer(0.0)
    watching.measured(trainer, "eval")
    rows = HeldOutLog(tmp_path / "rows.jsonl", watching).rows()
    assert len(rows) == 4 * SHOWN_PROMPTS
    assert rows[0]["prompt_id"] == watching.prompts[0].id
    assert {row["verdict"] for row in rows} == {"passed", "failed"}


@pytest.mark.parametrize(
    ("section", "training", "data", "expected"),
    [
        ({"prompts": 4}, {"eval_strategy": "no"}, {}, r"eval_strategy is no; allowed: steps, epoch"),
        ({"prompts": 4, "patience": 2}, {}, {}, "metric_for_best_model says what is better"),
        ({"prompts": 4}, {"metric_for_best_model": "distinct"}, {}, r"there is no 'distinct'.*allowed: loss, .*pass@1"),
        ({}, {"metric_for_best_model": "loss"}, {}, "nothing is evaluated while training"),
        (
            {"prompts": 4},
            {"metric_for_best_model": "pass@1", "eval_steps": 4, "save_steps": 6},
            {},
            r"save_steps: 6 is no multiple of eval_steps \(4\)",
        ),
        ({"prompts": 4}, {}, {"task": None, "train_file": "rows.jsonl"}, "nothing is held out"),
    ],
)
def test_what_cannot_be_looked_at_is_refused_before_anything_is_read(section, training, data, expected):
    from polychromic.settings.load import settings_from

    values = {
        "experiment": {"name": "x"},
        "model": {"name_or_path": "embedded:countdown"},
        "data": {"task": "countdown"} | data,
        "training": training,
        "evaluation": {"during_training": section},
    }
    with pytest.raises(InputError, match=expected) as caught:
        stage.refuse_early(settings_from(values))
    assert "\n" not in str(caught.value)


def test_defaults_follow_what_is_asked():
    from polychromic.settings.load import settings_from

    def defaults(training, **section):
        values = {
            "experiment": {"name": "x"},
            "model": {"name_or_path": "embedded:countdown"},
            "data": {"task": "countdown"},
            "training": training,
            "evaluation": {"during_training": DuringTrainingSection(**section).model_dump()},
        }
        return stage.defaults(settings_from(values))

    assert defaults({}) == {}
    assert defaults({"save_steps": 50}, prompts=4) == {"eval_strategy": "steps", "eval_steps": 50}
    best = defaults({"metric_for_best_model": "distinct_and_correct@8", "eval_steps": 20}, prompts=4)
    assert best["load_best_model_at_end"]
    assert best["greater_is_better"]
    assert best["save_steps"] == 20
    assert not defaults({"metric_for_best_model": "eval_loss"}, prompts=4)["greater_is_better"]
    assert not defaults({"metric_for_best_model": "truncated_share"}, prompts=4)["greater_is_better"]
