"""The train stage: a run folder that says what it is, and an interrupted run that ends as if nothing had happened."""

import json
import math
import os
import shutil
import signal
import warnings
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from polychromic.core.errors import InputError, NumericalError
from polychromic.core.stopping import StoppedError
from polychromic.records.jsonl import read_json, read_rows
from polychromic.records.locks import only_process
from polychromic.reporting import runs
from polychromic.settings import adapters
from polychromic.settings.load import load_settings, resolved_yaml
from polychromic.settings.schema import DuringTrainingSection, ModelSection, ScheduleSection
from polychromic.stages import train
from polychromic.stages.models import named_model
from polychromic.training import checkpoints
from tests import processes

KILLED = """
import os, signal, sys
from polychromic.records.locks import only_process
from polychromic.settings.load import load_settings
from polychromic.stages import train
def progress(work, done, total):
    if done == 5:
        os.kill(os.getpid(), signal.SIGKILL)
train.run(load_settings(sys.argv[1]), None, progress)
"""


def outcome(folder):
    """Everything a run computed: weights, and the log without its clocks."""
    clock = ("seconds", "runtime", "per_second")
    rows = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    kept = [{key: value for key, value in row.items() if not any(word in key for word in clock)} for row in rows]
    return folder.adapter.read_bytes(), kept


@pytest.fixture(scope="module")
def whole(settings_of):
    """The uninterrupted run."""
    return train.run(settings_of("whole"))


@pytest.mark.quick
def test_the_run_folder(whole, settings_of, tmp_path):
    names = {path.name for path in whole.path.iterdir()}
    assert names >= {
        "adapter_model.safetensors",
        "adapter_config.json",
        "tokenizer.json",
        "resolved.yaml",
        "run.json",
        "metrics.jsonl",
        "trainer_state.json",
        "checkpoints",
    }
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    mask = os.umask(0o022)
    os.umask(mask)
    kept = [
        path for path in whole.path.rglob("*") if path.is_file() and path.suffix != ".lock" and path.name != ".lock"
    ]
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o666 & ~mask}
    facts = read_json(whole.run_json)
    assert facts["finished"]
    assert facts["steps"] == 6
    assert facts["examples"] == 32
    assert facts["versions"]["trl"]
    assert facts["seeds"] == {"experiment": 3}
    settings = settings_of("whole")
    assert load_settings(whole.resolved) == settings
    history = read_json(whole.trainer_state)["log_history"]
    assert [row["polychromic/diversity_value"] for row in history if "loss" in row]
    assert len([1 for row in history if "polychromic/gradient_share" in row]) == 3
    health = whole.record().health
    assert health.diversity_steps == 6
    assert health.dead_share <= 1.0
    before = whole.adapter.stat().st_mtime_ns
    assert train.run(settings).adapter.stat().st_mtime_ns == before  # a finished run is left as it is


def test_samples_are_kept_only_when_asked_for(whole, settings_of):
    assert not whole.training_samples.exists()
    settings = settings_of("shown", max_steps=2)
    shown = train.run(settings.model_copy(update={"tracking": settings.tracking.model_copy(update={"log_samples": 3})}))
    rows = [json.loads(line) for line in shown.training_samples.read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 1, 1, 2, 2, 2]
    assert all(row["prompt"].endswith(":") and row["verdict"] for row in rows)


def test_a_killed_run_ends_as_if_nothing_had_happened(whole, settings_of, tmp_path):
    """SIGKILL in step 5; the same command continues from step 4. Samples and control variate are in the log."""
    settings = settings_of("killed")
    path = tmp_path / "killed.yaml"
    path.write_text(resolved_yaml(settings))
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    done = processes.run(script, path, environment=dict(os.environ))
    assert done.returncode == -signal.SIGKILL
    folder = train.run(settings)
    assert read_json(folder.run_json)["resumed_from"] == "checkpoint-4"
    assert outcome(folder) == outcome(whole)


def test_a_stopped_run_continues(whole, settings_of):
    def terminate(work, done, total):
        if done == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StoppedError, match="is saved at step 3"):
        train.run(settings_of("stopped"), None, terminate)
    folder = train.run(settings_of("stopped"))
    assert read_json(folder.run_json)["resumed_from"] == "checkpoint-3"
    assert outcome(folder) == outcome(whole)


def interrupted(settings, monkeypatch):
    """A run whose last checkpoint was being written when the machine went away."""
    real = checkpoints.seal

    def dies(folder, **facts):
        if folder.name == "checkpoint-4":
            raise KeyboardInterrupt
        real(folder, **facts)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "seal", dies)
        with pytest.raises(KeyboardInterrupt):
            train.run(settings)


def test_a_checkpoint_that_was_not_completed_is_passed_over(whole, settings_of, monkeypatch):
    settings = settings_of("half")
    interrupted(settings, monkeypatch)
    with pytest.warns(UserWarning, match="checkpoint-4: it was never completed"):
        folder = train.run(settings)
    assert read_json(folder.run_json)["resumed_from"] == "checkpoint-2"
    assert outcome(folder) == outcome(whole)


def test_damaged_checkpoints_alone_are_an_error(settings_of, monkeypatch):
    settings = settings_of("damaged")
    interrupted(settings, monkeypatch)
    folder = Path(settings.experiment.output_root) / "damaged/checkpoints"
    shutil.rmtree(folder / "checkpoint-4")
    (folder / "checkpoint-2/optimizer.pt").write_bytes(b"")
    with pytest.raises(InputError, match="every checkpoint is damaged"):
        train.run(settings)


def test_a_dead_term_ends_the_run_with_one_line_and_warn_goes_on(settings_of, tmp_path, monkeypatch, capsys):
    """No sample fits into one token: the run stops after two diversity steps, and goes on when it is told to."""
    from polychromic.__main__ import run as program

    monkeypatch.setattr("warnings.showwarning", None)
    settings = settings_of("dead")
    section = settings.polychromic.model_copy(update={"max_new_tokens": 1})
    path = tmp_path / "dead.yaml"
    path.write_text(resolved_yaml(settings.model_copy(update={"polychromic": section})))
    assert program(["train", str(path), "health.dead_steps=2"], debug=False) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith(
        "polychromic: step 2: the diversity term had no effect in 2 of the newest 2 diversity steps "
        "(no sample ends within max_new_tokens); raise polychromic.max_new_tokens; health.action=warn goes on"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert program(["train", str(path), "health.action=warn"], debug=False) == 0
    done = capsys.readouterr()
    assert done.out.splitlines()[0].startswith(
        "diversity term: had an effect in 0 of 6 diversity steps, without it: 6 x"
    )
    assert "warning: step 5: the diversity term had no effect in 5 diversity steps in a row" in done.err
    facts = read_json(Path(settings.experiment.output_root) / "dead/run.json")
    assert facts["health"]["findings"][0]["kind"] == "dead term"
    assert facts["resumed_from"] == "checkpoint-2"


def test_rows_longer_than_the_window_are_counted_and_named(settings_of, tmp_path):
    rows = tmp_path / "rows.jsonl"
    long = [("1+1=" * 9, "1"), ("1+1=", "1+1+1+1+1+1+1+1+1+1"), ("1+2=", "3"), ("2+2=", "4")]
    texts = [{"id": f"row{place}", "prompt": prompt, "completion": text} for place, (prompt, text) in enumerate(long)]
    rows.write_text("".join(json.dumps(row) + "\n" for row in texts))
    settings = settings_of("cut", weight=0.0, max_length=16, max_steps=1)
    data = settings.data.model_copy(update={"task": None, "train_file": str(rows)})
    with pytest.warns(UserWarning, match="2 of 4 demonstrations are longer than training.max_length"):
        folder = train.run(settings.model_copy(update={"data": data}))
    (finding,) = folder.record().health.findings
    assert finding.rows == ("row0", "row1")
    assert finding.text == (
        "2 of 4 demonstrations are longer than training.max_length (16 tokens); 1 of them are cut there, "
        "1 have no room for an answer and are left out: row0, row1"
    )
    assert folder.record().health.lines() == [finding.text]


def test_another_configuration_or_process_in_the_folder_is_refused(whole, settings_of):
    with pytest.raises(InputError, match=r"another configuration .*polychromic\.lambda"):
        train.run(settings_of("whole", weight=2.0))
    settings = settings_of("busy")
    folder = Path(settings.experiment.output_root) / "busy"
    from polychromic.records.artefacts import open_run
    from polychromic.settings.load import resolved

    open_run(folder, resolved(settings), {"experiment": 3})
    with only_process(folder), pytest.raises(InputError, match="another process"):
        train.run(settings)


def test_weights_that_are_no_numbers_are_never_saved(settings_of, monkeypatch):
    def spoilt(model):
        raise NumericalError("the trained weights are not numbers")

    monkeypatch.setattr("polychromic.training.faults.refuse_bad_weights", spoilt)
    settings = settings_of("nan", weight=0.0, max_steps=1)
    with pytest.raises(NumericalError):
        train.run(settings)
    folder = Path(settings.experiment.output_root) / "nan"
    assert not (folder / "adapter_model.safetensors").exists()
    assert not read_json(folder / "run.json")["finished"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"set_size": 9}, "9 samples cannot be chosen from 4 generations"),
        ({"n_generations": 1}, "a set of one sample has no diversity"),
        (
            {"schedule": ScheduleSection(calibrated="demonstrations")},
            r"needs at least 2 demonstrations of one prompt \(largest here: 1\); allowed",
        ),
        ({"reward": {"kind": "lexical", "statistic": "ead"}, "rival": "dra"}, "dra compares samples in pairs"),
        ({"reward": "semantic"}, "needs an encoder"),
    ],
)
def test_unsound_settings_are_refused_before_a_model_is_loaded(settings_of, monkeypatch, changes, expected):
    monkeypatch.setattr("polychromic.policy.load.load_base", None)
    settings = settings_of("unsound")
    section = settings.polychromic.model_copy(update=changes)
    evaluation = settings.evaluation.model_copy(update={"encoder": "none"})
    with pytest.raises(InputError, match=expected) as caught:
        train.run(settings.model_copy(update={"polychromic": section, "evaluation": evaluation}))
    assert "\n" not in str(caught.value)
    assert not (Path(settings.experiment.output_root) / "unsound").exists()


def test_what_the_settings_alone_forbid_is_said_before_data_is_read(settings_of, monkeypatch):
    monkeypatch.setattr(train, "load_data", None)
    settings = settings_of("unsound")
    section = settings.polychromic.model_copy(update={"set_size": 9})
    with pytest.raises(InputError, match="9 samples cannot be chosen"):
        train.run(settings.model_copy(update={"polychromic": section}))


def test_a_task_that_judges_nothing_is_no_verifier(settings_of, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "1+1=", "completion": "2"}\n' * 8)
    settings = settings_of("unsound")
    data = settings.data.model_copy(update={"task": {"kind": "conversations", "path": str(rows)}})
    with pytest.raises(InputError, match="verifier needs a task that judges completions"):
        train.run(settings.model_copy(update={"data": data}))


def test_junk_is_warned_of_once_and_before_a_model_is_loaded(settings_of, recwarn):
    """Without a gate: the general word, the number known beforehand, and later the monitor's first excess."""
    settings = settings_of("junk", weight=50.0, max_steps=4, save_steps=4)
    ungated = settings.polychromic.model_copy(update={"gate": "none", "reward": "lexical"})
    train.run(settings.model_copy(update={"polychromic": ungated}))
    said = [str(one.message) for one in recwarn if "junk" in str(one.message)]
    assert len(said) == 3
    assert said[0].startswith("polychromic.gate: none lets junk count")
    assert "without a gate junk pays while samples are more than" in said[1]
    assert "exceeds 1 and there is no gate" in said[2]


def test_bad_rows_stop_the_run_before_a_model_is_loaded(settings_of, tmp_path, monkeypatch):
    monkeypatch.setattr("polychromic.policy.load.load_base", None)
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "1+1=", "completion": "2"}\n{"prompt": 3}\n')
    settings = settings_of("rows", weight=0.0)
    data = settings.data.model_copy(update={"task": None, "train_file": str(rows)})
    with pytest.raises(InputError, match=r"rows.jsonl:2: "):
        train.run(settings.model_copy(update={"data": data}))
    with pytest.warns(UserWarning, match="1 bad rows were left out"):
        found = train.load_data(data.model_copy(update={"skip_bad_rows": True}))
    assert (len(found.examples), found.skipped) == (1, 1)


def test_a_held_out_file_is_watched_and_not_learnt_from(whole, settings_of, tmp_path):
    rows = tmp_path / "held_out.jsonl"
    task = train.load_data(settings_of().data).task
    examples = task.examples("validation")[:5]
    rows.write_text(
        "".join(f'{{"prompt": "{e.prompt.content}", "completion": "{e.demonstration}"}}\n' for e in examples)
    )
    settings = settings_of("watched", eval_strategy="steps", eval_steps=3)
    data = settings.data.model_copy(update={"eval_file": str(rows)})
    folder = train.run(settings.model_copy(update={"data": data}))
    seen = [row["eval_loss"] for _, row in read_rows(folder.metrics) if "eval_loss" in row]
    assert len(seen) == 2
    assert all(math.isfinite(loss) for loss in seen)
    weights, log = outcome(folder)
    assert (weights, [row for row in log if "eval_loss" not in row]) == outcome(whole)


@pytest.fixture(scope="module")
def looked_at(settings_of):
    """The whole run, looked at every second step on four held-out prompts."""
    settings = settings_of("looked-at", eval_steps=2)
    watching = {"during_training": DuringTrainingSection(prompts=4, n=4), "max_new_tokens": 12}
    return train.run(settings.model_copy(update={"evaluation": settings.evaluation.model_copy(update=watching)}))


def test_looking_at_held_out_prompts_leaves_curves_samples_and_the_same_weights(whole, looked_at):
    weights, log = outcome(looked_at)
    assert (weights, [row for row in log if "eval_pass@1" not in row]) == outcome(whole)
    rows = [row for _, row in read_rows(looked_at.metrics) if "eval_pass@1" in row]
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert {"eval_loss", "eval_pass@4", "eval_distinct_and_correct@4", "eval_length_in_tokens"} < set(rows[0])
    samples = [row for _, row in read_rows(looked_at.held_out_samples)]
    assert [row["step"] for row in samples] == [2] * 12 + [4] * 12 + [6] * 12
    assert samples[0]["prompt_id"] == samples[12]["prompt_id"]
    curves = runs.curves(looked_at.path)
    assert curves["held out: distinct and correct@4"][0] == [2.0, 4.0, 6.0]
    assert not [title for title in curves if "seconds" in title or "runtime" in title]
    (spent,) = runs.costs({"looked-at": looked_at.path}, "looked-at")
    (plain,) = runs.costs({"whole": whole.path}, "whole")
    assert spent.tokens == plain.tokens + sum(row["eval_tokens_generated"] for row in rows)


def test_a_run_looked_at_and_killed_ends_as_if_nothing_had_happened(looked_at, settings_of, tmp_path):
    settings = settings_of("killed-while-looked-at", eval_steps=2)
    watching = {"during_training": DuringTrainingSection(prompts=4, n=4), "max_new_tokens": 12}
    settings = settings.model_copy(update={"evaluation": settings.evaluation.model_copy(update=watching)})
    path, script = tmp_path / "killed.yaml", tmp_path / "killed.py"
    path.write_text(resolved_yaml(settings))
    script.write_text(KILLED)
    assert processes.run(script, path, environment=dict(os.environ)).returncode == -signal.SIGKILL
    folder = train.run(settings)
    assert outcome(folder) == outcome(looked_at)
    assert folder.held_out_samples.read_bytes() == looked_at.held_out_samples.read_bytes()


def test_the_best_by_a_set_metric_is_kept_and_the_run_stops_when_it_gets_no_better(settings_of, monkeypatch):
    """Checkpoints are rotated to two; the best is the first. It is the run's result, and can be evaluated by name."""
    from polychromic.training.held_out import HeldOut

    told = iter([0.5, 0.4, 0.3, 0.2, 0.1])
    real = HeldOut.numbers
    better = {"distinct_and_correct@4": 0.0}
    monkeypatch.setattr(HeldOut, "numbers", lambda *args: real(*args) | better | {"distinct_and_correct@4": next(told)})
    settings = settings_of(
        "best", max_steps=12, eval_steps=2, save_total_limit=2, metric_for_best_model="distinct_and_correct@4"
    )
    watching = {"during_training": DuringTrainingSection(prompts=4, n=4, patience=3), "max_new_tokens": 12}
    settings = settings.model_copy(update={"evaluation": settings.evaluation.model_copy(update=watching)})
    folder = train.run(settings)
    facts = read_json(folder.run_json)
    assert facts["best"] == {"metric": "distinct_and_correct@4", "value": 0.5, "step": 2}
    assert facts["steps"] == 8
    kept = sorted(path.name for path in folder.checkpoints.iterdir() if path.is_dir())
    assert kept == ["checkpoint-2", "checkpoint-6", "checkpoint-8"]
    best, last = (named_model("x", f"{folder.path}/checkpoint-{step}") for step in (2, 8))
    assert best.base == ModelSection.model_validate(facts["settings"]["model"])
    weights = [load_file(place / "adapter_model.safetensors") for place in (folder.path, best.adapter, last.adapter)]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])
    assert not all((weights[0][name] == weights[2][name]).all() for name in weights[0])


def test_an_evaluation_without_a_file_is_refused_at_once(settings_of, tmp_path):
    with pytest.raises(
        InputError, match=r"training.eval_strategy: there is nothing to evaluate on; give data.eval_file"
    ):
        train.run(settings_of("unwatched", eval_strategy="steps"))
    (tmp_path / "empty.jsonl").write_text("")
    data = settings_of().data.model_copy(update={"eval_file": str(tmp_path / "empty.jsonl")})
    with pytest.raises(InputError, match=r"empty.jsonl"):
        train.load_data(data)


def test_an_adapter_that_moves_the_base_is_measured_before_the_first_step(settings_of, monkeypatch):
    """Though its name said nothing: PiSSA, with what refuses it by name switched off."""
    settings = settings_of("moving")
    monkeypatch.setattr(adapters, "refusal", lambda config: None)
    moving = settings.model_copy(update={"lora": {**settings.lora, "init_lora_weights": "pissa"}})
    with pytest.raises(InputError, match=r"^lora: the adapter moves the base's own weights: .* differ by \d"):
        train.run(moving)
    assert not list((Path(settings.experiment.output_root) / "moving").rglob("adapter_model.safetensors"))
