"""The trainer: SFTTrainer to the bit without the term, and exactly the term's gradient with it."""

import json
from dataclasses import replace

import pytest
import torch
from transformers import TrainerCallback
from trl import SFTTrainer

from polychromic.core.errors import InputError, NumericalError, UnsoundObjectiveError
from polychromic.core.nouns import Prompt, Status, Verdict
from polychromic.embedding.hashing import HashingEmbedder
from polychromic.policy.logprobs import completion_logprobs
from polychromic.training import drawing
from polychromic.training import term as term_module


def same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def losses(trainer):
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


def closest(found, wanted):
    """Largest difference between two sets of gradients, relative to the largest gradient."""
    size = max(float(value.abs().max()) for value in wanted.values())
    return max(float((found[name] - wanted[name]).abs().max()) for name in wanted) / size


@pytest.mark.quick
@pytest.mark.parametrize("accumulation", [1, 2])
def test_lambda_zero_is_sft_to_the_bit_and_never_samples(make_trainer, weights_of, monkeypatch, accumulation):
    monkeypatch.setattr(drawing, "generate_in_memory", None)
    runs = []
    for kind in (SFTTrainer, None):
        trainer = make_trainer(0.0, kind=kind, dropout=0.3, gradient_accumulation_steps=accumulation)
        trainer.train()
        runs.append((weights_of(trainer), losses(trainer), torch.random.get_rng_state()))
    assert same(runs[0][0], runs[1][0])
    assert runs[0][1] == runs[1][1]
    assert torch.equal(runs[0][2], runs[1][2])


def test_lambda_leaves_batches_and_dropout_of_the_demonstrations_alone(make_trainer):
    """The loss of the first step, and the state of the global generators after it, are those of plain SFT."""
    seen = []
    for weight in (0.0, 1.0, 2.0):
        trainer = make_trainer(weight, dropout=0.3, max_steps=1)
        trainer.train()
        seen.append((losses(trainer), torch.random.get_rng_state().tolist()))
    assert seen[0] == seen[1] == seen[2]


def expected_diversity_gradient(trainer, drawn, weight):
    """An independent way: every sample a row of its own, full logits, no cache, no dropout."""
    model = trainer.accelerator.unwrap_model(trainer.model).eval()
    model.zero_grad()
    total = 0.0
    for prompt, samples, advantages in zip(drawn.prompts, drawn.sets, drawn.advantages, strict=True):
        for one, advantage in zip(samples.completions, advantages, strict=True):
            ids = torch.tensor([[*prompt, *one.token_ids]])
            logits = model(input_ids=ids, use_cache=False).logits[0] / trainer.term.section.temperature
            chosen = logits.log_softmax(-1)[len(prompt) - 1 : -1].gather(1, torch.tensor(one.token_ids)[:, None])
            total = total - weight * float(advantage) * chosen.sum() / len(drawn.sets)
    total.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.quick
@pytest.mark.parametrize(
    "arguments",
    [
        {"section": {"temperature": 0.7}},
        {"gradient_checkpointing": True, "dropout": 0.3},
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4},
        {"section": {"set_size": "shapley", "reward": "lexical", "gate": {"kind": "wellformed", "truncated": "valid"}}},
    ],
    ids=["temperature", "checkpointing and dropout", "accumulation", "lexical"],
)
def test_the_gradient_is_that_of_sft_plus_that_of_the_term(make_trainer, first_gradients, arguments):
    plain, _ = first_gradients(make_trainer(0.0, **arguments))
    trainer = make_trainer(3.0, learning_rate=0.0, **arguments)
    found, drawn = first_gradients(trainer)
    term = expected_diversity_gradient(trainer, drawn, 3.0)
    assert len(drawn.sets) == min(8, 4 if "per_device_train_batch_size" not in arguments else 8)
    assert max(float(value.abs().max()) for value in term.values()) > 1e-3
    assert closest(found, {name: plain[name] + term[name] for name in plain}) < 1e-4


def test_the_same_window_gives_the_same_gradient_however_it_is_cut(make_trainer, first_gradients):
    """8x1, 4x2 and 1x8; also for a model whose loss transformers divides by the accumulation steps itself."""
    every = []
    for size, steps, accepts in ((8, 1, True), (4, 2, True), (1, 8, True), (2, 4, False)):
        trainer = make_trainer(2.0, per_device_train_batch_size=size, gradient_accumulation_steps=steps)
        trainer.model_accepts_loss_kwargs = accepts
        plain = make_trainer(0.0, per_device_train_batch_size=size, gradient_accumulation_steps=steps)
        plain.model_accepts_loss_kwargs = accepts
        total, sft = first_gradients(trainer)[0], first_gradients(plain)[0]
        every.append({name: total[name] - sft[name] for name in total})
    for other in every[1:]:
        assert closest(other, every[0]) < 1e-4


def test_the_term_moves_the_policy(make_trainer, weights_of):
    """The negative control of the predecessor's mistake: its gradient was that of SFT."""
    runs = []
    for weight in (0.0, 1.0):
        trainer = make_trainer(weight)
        trainer.train()
        runs.append(weights_of(trainer))
    assert not same(*runs)


def test_scoring_in_parts_gives_the_same_gradient(make_trainer, first_gradients, monkeypatch):
    whole, _ = first_gradients(make_trainer(2.0))
    monkeypatch.setattr(term_module, "SCORED_TOKENS", 1)
    parts, _ = first_gradients(make_trainer(2.0))
    assert closest(parts, whole) < 1e-5


class Crowded:
    """A device that holds so many sequences: the scoring, or the backward pass behind it, fails above."""

    def __init__(self, room, where):
        self.room, self.where, self.sizes = room, where, []

    def __call__(self, model, prompts, completions, temperature):
        found = completion_logprobs(model, prompts, completions, temperature)
        self.sizes.append(found.numel())
        if found.numel() > self.room and self.where == "forward":
            raise torch.OutOfMemoryError("on purpose")
        if found.numel() > self.room:
            fails_midway(model)
        return found


def fails_midway(model):
    """The backward pass gives the last layers their gradients, then fails."""
    layer = model.get_submodule("base_model.model.model.layers.0.mlp.down_proj.lora_B.default")

    def fail(gradient):
        handle.remove()
        raise torch.OutOfMemoryError("on purpose")

    handle = layer.weight.register_hook(fail)


@pytest.mark.filterwarnings("ignore:.*too little memory to score:UserWarning")
@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("room", [8, 3, 1])
def test_out_of_memory_while_scoring_halves_what_is_scored(make_trainer, first_gradients, monkeypatch, room, where):
    """Whole sets first, then single samples; what a failed backward pass left behind is gone."""
    whole, drawn = first_gradients(make_trainer(2.0, section={"schedule": {"monitor_every": 1}}))
    crowded = Crowded(room, where)
    monkeypatch.setattr(term_module, "completion_logprobs", crowded)
    trainer = make_trainer(2.0, section={"schedule": {"monitor_every": 1}})
    parts, again = first_gradients(trainer)
    assert crowded.sizes[0] == 16
    assert sum(size for size in crowded.sizes if size <= room) == 16
    assert closest(parts, whole) < 1e-6
    assert again.report["polychromic/logprob_gap"] == pytest.approx(drawn.report["polychromic/logprob_gap"], abs=1e-7)
    assert trainer.term.max_scored_tokens is not None


@pytest.mark.filterwarnings("ignore:.*too little memory to score:UserWarning")
def test_out_of_memory_is_remembered_and_the_monitor_counts_no_part_twice(make_trainer, monkeypatch):
    logs = []
    for room in (16, 3):
        crowded = Crowded(room, "backward")
        monkeypatch.setattr(term_module, "completion_logprobs", crowded)
        trainer = make_trainer(2.0, section={"schedule": {"monitor_every": 1}}, max_steps=2, learning_rate=0.0)
        trainer.train()
        logs.append([row["polychromic/diversity_gradient"] for row in trainer.state.log_history if "loss" in row])
    assert logs[1] == pytest.approx(logs[0], rel=1e-4)
    assert [size for size in crowded.sizes if size > 3] == [16, 8, 4]  # all in the first step
    assert [(found.kind, found.times) for found in trainer.health.record.findings] == [("memory for scoring", 1)]


def test_a_sample_that_does_not_fit_is_said_to_be_too_long(make_trainer, monkeypatch):
    monkeypatch.setattr(term_module, "completion_logprobs", Crowded(0, "forward"))
    with pytest.raises(torch.OutOfMemoryError, match=r"a single sample .* polychromic.max_new_tokens"):
        make_trainer().train()


def test_out_of_memory_while_sampling_halves_the_draws_of_one_prompt(tiny_model_factory, monkeypatch):
    from polychromic.core.nouns import Decoding
    from polychromic.policy.generate import GenerationRequest, StopTokens
    from polychromic.samplers import transformers as engine

    real, sizes = engine.generate, []

    def tight(model, prompts, request):
        sizes.append(request.n)
        if request.n > 2:
            raise torch.OutOfMemoryError("on purpose")
        return real(model, prompts, request)

    monkeypatch.setattr(engine, "generate", tight)
    request = GenerationRequest(5, Decoding(max_new_tokens=4), StopTokens((1,), 0), 3)
    model = tiny_model_factory()
    found = engine.generate_in_memory(model, [[3, 4, 5]], request)
    assert sizes == [5, 2, 3, 1, 2]
    sizes.clear()
    again = engine.generate_in_memory(model, [[3, 4, 5]], request)
    assert sizes == [2, 1, 2]  # what was too much is not tried again
    assert again == found
    monkeypatch.setattr(engine, "free_bytes", lambda device: 7 * 2 * 2 * 16 * 4)  # the keys and values of 7 tokens
    sizes.clear()
    assert len(engine.generate_in_memory(tiny_model_factory(), [[3, 4, 5]], request)[0]) == 5
    assert sizes == [1] * 5  # a row has 3 + 4
    assert len(found) == 1
    assert len(found[0]) == 5
    assert len({draw.token_ids for draw in found[0]}) > 2


@pytest.mark.parametrize("alpha", [None, 40.0])
def test_neftunes_noise_stays_out_of_sampling_and_scoring(make_trainer, first_gradients, alpha):
    plain, _ = first_gradients(make_trainer(0.0, neftune_noise_alpha=alpha))
    found, drawn = first_gradients(make_trainer(2.0, neftune_noise_alpha=alpha))
    assert drawn.report["polychromic/logprob_gap"] < 1e-4
    term = expected_diversity_gradient(make_trainer(2.0), drawn, 2.0)
    assert closest(found, {name: plain[name] + term[name] for name in plain}) < 1e-4


def test_the_monitor_weighs_a_micro_batch_as_the_optimizer_does(make_trainer):
    """Also for a model whose loss transformers divides by the accumulation steps itself."""
    seen = []
    for size, steps, accepts in ((8, 1, True), (2, 4, True), (2, 4, False)):
        trainer = make_trainer(
            2.0, per_device_train_batch_size=size, gradient_accumulation_steps=steps, max_steps=1,
            section={"schedule": {"monitor_every": 1}},
        )  # fmt: skip
        trainer.model_accepts_loss_kwargs = accepts
        trainer.train()
        row = trainer.state.log_history[0]
        seen.append((row["polychromic/demonstration_gradient"], row["polychromic/diversity_gradient"]))
    assert seen[1] == pytest.approx(seen[0], rel=1e-4)
    assert seen[2] == pytest.approx(seen[0], rel=1e-4)


@pytest.mark.parametrize(
    ("schedule", "key", "expected"),
    [
        ({"warmup_steps": 3}, "polychromic/lambda", [0.5, 1.0, 1.5, 2.0, 2.0]),
        ({"max_lambda_eff": 1.0}, "polychromic/lambda_eff", [1.0] * 5),
        ({"max_lambda_eff": 100.0}, "polychromic/lambda", [2.0] * 5),
        ({"unit": "sequence"}, "polychromic/lambda_eff", [2.0] * 5),
    ],
)
def test_the_schedule_sets_the_strength_that_is_trained_with(make_trainer, schedule, key, expected):
    trainer = make_trainer(2.0, section={"schedule": schedule}, max_steps=5)
    used, add = [], trainer.term.add_gradients
    trainer.term.add_gradients = lambda model, drawn, weight, *rest: (
        used.append(weight) or add(model, drawn, weight, *rest)
    )
    trainer.train()
    log = [row for row in trainer.state.log_history if "loss" in row]
    assert [row[key] for row in log] == pytest.approx(expected)
    assert used == pytest.approx([row["polychromic/lambda"] for row in log])


@pytest.mark.parametrize("share", [0.1, 0.8])
def test_target_share_is_the_share_that_the_gradients_have(make_trainer, share):
    """From lambda 2 on, which has another share; the weights rest, so that only the samples' noise is left."""
    section = {"schedule": {"target_share": share, "monitor_every": 1}, "n_generations": 16}
    trainer = make_trainer(2.0, section=section, max_steps=12, learning_rate=0.0, per_device_train_batch_size=8)
    trainer.train()
    found = [row["polychromic/gradient_share"] for row in trainer.state.log_history if "loss" in row]
    assert abs(found[0] - share) > 0.1
    assert sum(found[2:]) / 10 == pytest.approx(share, abs=0.05)


def test_the_monitor_looks_on_diversity_steps(make_trainer):
    section = {"compute_every_n_steps": 3, "schedule": {"monitor_every": 5}}
    trainer = make_trainer(section=section, max_steps=13)
    trainer.train()
    looked = [row["step"] - 1 for row in trainer.state.log_history if "polychromic/gradient_share" in row]
    assert looked == [0, 6, 12]


def test_every_nth_step_only(make_trainer):
    trainer = make_trainer(section={"compute_every_n_steps": 3}, max_steps=7)
    drawn, draw = [], trainer.term.draw
    trainer.term.draw = lambda *args, **kwargs: drawn.append(args[2]) or draw(*args, **kwargs)
    trainer.train()
    assert drawn == [0, 3, 6]


def test_the_mean_gradient_over_n_steps_has_the_strength_that_lambda_says(make_trainer):
    """Lambda 2 on every third step: the three gradients add up to three times the term's at lambda 2."""
    sums, logs = [], []
    for weight, every in ((0.0, 3), (2.0, 3), (2.0, 1)):
        section = {"compute_every_n_steps": every, "schedule": {"monitor_every": 3}}
        trainer = make_trainer(weight, section=section, learning_rate=0.0, max_grad_norm=0.0, max_steps=3)
        total = {}

        class Add(TrainerCallback):
            def on_pre_optimizer_step(self, args, state, control, model=None, total=total, **kwargs):
                for name, parameter in model.named_parameters():
                    if parameter.grad is not None:
                        total[name] = total.get(name, 0.0) + parameter.grad

        trainer.add_callback(Add())
        drawn, draw = [], trainer.term.draw if trainer.term else None

        def record(*args, draw=draw, drawn=drawn, **kwargs):
            drawn.append(draw(*args, **kwargs))
            return drawn[-1]

        if draw:
            trainer.term.draw = record
        trainer.train()
        sums.append(total)
        logs.append(trainer.state.log_history[0])
        if every == 3 and drawn:
            wanted = {n: 3 * g for n, g in expected_diversity_gradient(trainer, drawn[0], 2.0).items()}
    assert closest({name: sums[1][name] - sums[0][name] for name in wanted}, wanted) < 1e-4
    for name in ("lambda", "lambda_eff", "off_support_gain", "diversity_gradient", "gradient_share"):
        assert logs[1][f"polychromic/{name}"] == pytest.approx(logs[2][f"polychromic/{name}"], rel=1e-5)


def test_at_most_so_many_prompts_of_the_whole_window(make_trainer, first_gradients):
    trainer = make_trainer(
        section={"max_examples_for_diversity": 5}, per_device_train_batch_size=2, gradient_accumulation_steps=4
    )
    _, drawn = first_gradients(trainer)
    assert len(drawn.sets) == 5
    assert len({samples.prompt.id for samples in drawn.sets}) == 5


@pytest.mark.parametrize(("reward", "calls"), [("semantic", 3), ("answers", 0)])
def test_the_encoder_is_asked_once_a_step_and_for_what_is_new(make_trainer, reward, calls):
    asked = []

    class Watched(HashingEmbedder):
        def embed(self, texts):
            asked.append(list(texts))
            return super().embed(texts)

    trainer = make_trainer(section={"reward": reward}, own={"embedder": Watched()})
    trainer.train()
    assert len(asked) == calls
    texts = [text for some in asked for text in some]
    assert len(texts) == len(set(texts))


def test_a_task_whose_prompts_carry_nothing_is_asked_all_the_same(make_trainer, task):
    class Plain(type(task)):
        def prompts(self, split):
            return [replace(prompt, payload={}) for prompt in super().prompts(split)]

        def verify(self, prompt, completion):
            return Verdict(Status.PASSED, answer=completion.text)

    asked = {prompt.id for prompt in task.prompts("train")}
    trainer = make_trainer(own={"task": Plain()})
    trainer.train()
    judged = {samples.prompt.id for samples in trainer.term.latest[1].sets}
    assert judged
    assert judged <= asked
    assert trainer.term.latest[1].verdicts[0][0].passed


def test_demonstrations_of_another_task_are_refused(make_trainer, task):
    class Elsewhere(type(task)):
        def prompts(self, split):
            return [Prompt("x", "x=")]

    with pytest.raises(InputError, match=r"40 of 40 demonstrations have a prompt that is none of the task's"):
        make_trainer(own={"task": Elsewhere()})


def test_contexts_are_those_of_the_demonstrations(make_trainer, first_gradients, task):
    """Prompts are cut from the labels, and found in the task with their payloads."""
    _, drawn = first_gradients(make_trainer())
    known = {prompt.id: prompt for prompt in task.prompts("train")}
    for tokens, samples in zip(drawn.prompts, drawn.sets, strict=True):
        assert samples.prompt == known[samples.prompt.id]
        assert samples.prompt.payload
        assert len(tokens) == len(samples.prompt.content)
    assert set(task.asked) == {samples.prompt.id for samples in drawn.sets}


def test_conversations(make_trainer, first_gradients, tiny_tokenizer_factory):
    rows = [
        {
            "prompt": [{"role": "user", "content": f"{d}+1"}],
            "completion": [{"role": "assistant", "content": str(d + 1)}],
        }
        for d in range(8)
    ]
    with pytest.warns(UserWarning, match="8 of 8 demonstrations hold no end token"):
        trainer = make_trainer(
            rows=rows,
            section={"gate": {"kind": "wellformed", "truncated": "valid"}, "reward": "lexical"},
            own={"task": None},
        )
    _, drawn = first_gradients(trainer)
    tokenizer = tiny_tokenizer_factory()
    allowed = {tuple(tokenizer(f"u:{d}+1\na:")["input_ids"]) for d in range(8)}
    assert set(map(tuple, drawn.prompts)) <= allowed


def test_rows_with_nothing_before_their_target_are_refused(make_trainer):
    trainer = make_trainer(rows=[{"input_ids": [3]}] * 8)
    with pytest.raises(InputError, match="none of the 4 sequences of this step has a token before its target"):
        trainer.train()


def test_prompts_that_leave_no_room_are_left_out(make_trainer, first_gradients):
    rows = [{"prompt": "a" * 95, "completion": "1"}] * 4 + [{"prompt": "ab=", "completion": "1"}] * 4
    trainer = make_trainer(
        rows=rows,
        per_device_train_batch_size=8,
        section={"gate": {"kind": "wellformed", "truncated": "valid"}, "reward": "lexical"},
        own={"task": None},
    )
    _, drawn = first_gradients(trainer)
    assert {len(prompt) for prompt in drawn.prompts} == {3}


def test_unsound_settings_are_refused_at_once(make_trainer):
    with pytest.raises(UnsoundObjectiveError, match="set_size"):
        make_trainer(section={"set_size": 9})


def test_a_step_whose_draw_fails_is_skipped_and_the_third_in_a_row_stops_the_run(make_trainer, monkeypatch):
    real, calls = drawing.generate_in_memory, []

    def broken(*args):
        calls.append(1)
        if len(calls) == 1 or len(calls) > 3:
            raise NumericalError("no numbers")
        return real(*args)

    monkeypatch.setattr(drawing, "generate_in_memory", broken)
    trainer = make_trainer(max_steps=20)
    with pytest.raises(NumericalError):
        trainer.train()
    assert trainer.state.global_step == 5
    assert [row["polychromic/failed_draws"] for row in trainer.state.log_history] == [1.0, 0.0, 0.0, 1.0, 1.0]


def test_identical_samples_and_dead_sets_change_nothing(make_trainer, first_gradients):
    """One token, the same for all: no credit, a finite zero, SFT's own gradient."""
    plain, _ = first_gradients(make_trainer(0.0))
    trainer = make_trainer(section={"temperature": 1e-3, "max_new_tokens": 1, "baseline": "leave_one_out"})
    trainer.term.task = None
    trainer.term.objective.gate = type("Never", (), {"validity": lambda self, samples, verdicts: (0.0,) * 4})()
    found, drawn = first_gradients(trainer)
    assert drawn.report["frac_reward_zero_std"] == 1.0
    assert same(found, plain)


def test_numbers_are_logged_and_kept(make_trainer, tmp_path):
    trainer = make_trainer(2.0, section={"schedule": {"monitor_every": 1}})
    trainer.train()
    trainer.save_state()
    rows = [
        row for row in json.loads((tmp_path / "out/trainer_state.json").read_text())["log_history"] if "loss" in row
    ]
    assert len(rows) == 3
    for row in rows:
        assert row["polychromic/combined_loss"] == pytest.approx(row["loss"] - 2.0 * row["polychromic/diversity_value"])
        assert row["polychromic/lambda"] == 2.0
        assert row["polychromic/lambda_eff"] == pytest.approx(2.0 * 2)  # a digit and the end token
        assert row["polychromic/off_support_gain"] == pytest.approx(
            2 * row["polychromic/lambda_eff"] * row["polychromic/similarity"]
        )
        assert 0 < row["polychromic/gradient_share"] < 1
        assert -1 <= row["polychromic/gradient_cosine"] <= 1
        assert 0 <= row["polychromic/frac_valid"] <= 1
        assert row["polychromic/tokens_generated"] > 0
        assert row["polychromic/logprob_gap"] < 1e-4
        assert 0 < row["polychromic/entropy"] < 4
        for name in (
            "polychromic/frac_unique",
            "frac_reward_zero_std",
            "completions/clipped_ratio",
            "completions/mean_length",
            "polychromic/seconds_sampling",
            "polychromic/seconds_scoring",
        ):
            assert row[name] >= 0
        assert not any(isinstance(value, bool) for value in row.values())


def test_scores_of_another_distribution_are_refused(make_trainer, monkeypatch):
    """The samples say by which log-probabilities they were drawn; scoring them at another temperature is found out."""
    real = term_module.completion_logprobs
    monkeypatch.setattr(term_module, "completion_logprobs", lambda m, p, c, temperature: real(m, p, c, temperature * 3))
    with pytest.raises(UnsoundObjectiveError, match="nats a token away"):
        make_trainer().train()


def test_out_of_memory_while_sampling_halves_the_batch(make_trainer, monkeypatch):
    from polychromic.samplers import transformers as engine

    real, sizes = engine.generate, []

    def tight(model, prompts, request):
        sizes.append(len(prompts))
        if len(prompts) > 2:
            raise torch.OutOfMemoryError("on purpose")
        return real(model, prompts, request)

    monkeypatch.setattr(engine, "generate", tight)
    trainer = make_trainer(max_steps=1)
    trainer.train()
    assert sizes == [4, 2, 2]
    assert trainer.state.log_history[0]["polychromic/tokens_generated"] > 16


def test_evaluation_neither_samples_nor_logs_the_term(make_trainer, monkeypatch):
    trainer = make_trainer(2.0)
    trainer.train()
    monkeypatch.setattr(drawing, "generate_in_memory", None)
    found = trainer.evaluate(trainer.train_dataset.select(range(4)))
    assert found["eval_loss"] > 0
    assert "polychromic/diversity_value" not in trainer.state.log_history[-1]
