"""The term's parts: the target that is taken from the demonstrations."""

import pytest
import torch

from polychromic.core.errors import UnsoundObjectiveError

CALIBRATED = {"schedule": {"calibrated": "demonstrations"}}


def rows(shown):
    return [{"prompt": prompt, "completion": answer} for prompt, answers in shown.items() for answer in answers]


def test_the_target_is_what_sets_of_the_demonstrations_are_worth(make_trainer):
    """Sets of two: of 1, 2, 3 every set has two answers, of 3, 4 and a wrong one a third has; one answer is no set."""
    shown = {"aa=": ["1", "2", "3"], "ab= ": ["3", "4", "-"], "ac=  ": ["4"]}
    trainer = make_trainer(1.0, rows=rows(shown), section=CALIBRATED, max_steps=2, per_device_train_batch_size=7)
    first, second = 1.0, (1 / 3) * 1.0 + (2 / 3) * 0.5
    assert trainer.schedule.target == pytest.approx((first + second) / 2)
    trainer.train()
    logged = [row for row in trainer.state.log_history if "loss" in row]
    assert [row["polychromic/diversity_target"] for row in logged] == pytest.approx([(first + second) / 2] * 2)
    pull = 2.0 * max(0.0, trainer.schedule.target - logged[0]["polychromic/diversity_value"])
    assert pull > 0
    assert [row["polychromic/lambda"] for row in logged] == pytest.approx([1.0, pull], rel=1e-5)


def test_a_target_that_is_reached_leaves_sft(make_trainer, weights_of, monkeypatch):
    """No gradient is added and nothing scored, but the sets are still looked at."""
    runs = []
    for options in ({"diversity_weight": 0.0}, {"schedule": {"calibrated": 0.0}}):
        trainer = make_trainer(options.pop("diversity_weight", 1.0), section=options)
        if trainer.term:
            trainer.schedule.observe_value(0.5)
            monkeypatch.setattr(trainer.term, "add_gradients", None)
        trainer.train()
        runs.append(weights_of(trainer))
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert [row["polychromic/lambda"] for row in trainer.state.log_history if "loss" in row] == [0.0] * 3


def test_one_demonstration_a_prompt_has_no_diversity(make_trainer):
    with pytest.raises(UnsoundObjectiveError, match=r"at least 2 demonstrations of one prompt \(largest here: 1\)"):
        make_trainer(section=CALIBRATED)


def test_a_number_is_a_target_too(make_trainer):
    assert make_trainer(section={"schedule": {"calibrated": 0.25}}).schedule.target == 0.25
    assert make_trainer().schedule.target is None


def base_likelihood(trainer, prompt, tokens):
    """Mean log-probability of a completion's tokens under the model without its adapter, one row, from full logits."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    with torch.no_grad(), model.disable_adapter():
        logits = model.eval()(input_ids=torch.tensor([[*prompt, *tokens]]), use_cache=False).logits[0]
    return float(logits.log_softmax(-1)[len(prompt) - 1 : -1].gather(1, torch.tensor(tokens)[:, None]).mean())


def test_the_likelihood_gate_lets_in_what_the_base_finds_as_likely_as_demonstrations(make_trainer, first_gradients):
    gate = {"kind": "likelihood", "quantile": 0.9, "truncated": "valid"}
    trainer = make_trainer(2.0, section={"gate": gate, "reward": "lexical", "temperature": 2.0}, dropout=0.3)
    rows = [trainer.train_dataset[place] for place in range(len(trainer.train_dataset))]
    starts = [next(i for i, label in enumerate(row["labels"]) if label != -100) for row in rows]
    shown = [
        base_likelihood(trainer, row["input_ids"][:i], row["input_ids"][i:])
        for row, i in zip(rows, starts, strict=True)
    ]
    threshold = trainer.term.objective.gate.threshold
    assert threshold == pytest.approx(torch.tensor(shown).double().quantile(0.9).item(), abs=1e-5)
    seen = []
    advantages = trainer.term.objective.advantages
    trainer.term.objective.advantages = lambda sets, verdicts: seen.extend(sets) or advantages(sets, verdicts)
    gradients, drawn = first_gradients(trainer)
    passed = [
        base_likelihood(trainer, prompt, one.token_ids) >= threshold
        for prompt, samples in zip(drawn.prompts, seen, strict=True)
        for one in samples.completions
    ]
    assert 0 < sum(passed) < len(passed)
    assert drawn.report["polychromic/frac_valid"] == pytest.approx(sum(passed) / len(passed))
    assert all(float(gradient.abs().max()) > 0 for name, gradient in gradients.items() if "lora_A" in name)
