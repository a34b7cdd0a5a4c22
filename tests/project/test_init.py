"""From nothing to two configurations that `train --dry-run` takes, and what stands between them and a run."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

from polychromic.__main__ import run
from polychromic.cli.console import complete_setting
from polychromic.core.errors import InputError
from polychromic.project import following, init, needs
from polychromic.project.doctor import Level
from polychromic.records.artefacts import RunFolder, finish_run, open_run
from polychromic.records.conversations import read_prompts
from polychromic.settings.load import identity, load_settings, resolved_yaml


@pytest.fixture
def rows(tmp_path):
    """Forty demonstrations with a column of right answers; the first prompt twice."""
    path = tmp_path / "mine.jsonl"
    made = [{"prompt": f"{n} + {n}?", "completion": f"It is {2 * n}", "answer": str(2 * n)} for n in [1, *range(1, 41)]]
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return path


NUMBER = {"kind": "answer", "match": "number"}


def test_own_rows_become_two_configurations_that_a_dry_run_takes(rows, tmp_path, capsys):
    place = tmp_path / "mine"
    given = ["--data", rows, "--judge", "{kind: answer, match: number}", "--model", "embedded:countdown"]
    assert run(["init", str(place), *map(str, given)], debug=False) == 0
    for name in ("baseline", "diverse"):
        capsys.readouterr()
        assert run(["train", str(place / f"{name}.yaml"), "--dry-run"], debug=False) == 0
        shown = capsys.readouterr().out
        assert f"\n  name: {name}\n" in shown  # readable, a key a line
        assert "fits in" in shown
    learnt, asked = ({prompt.id for prompt in read_prompts(place / f"{name}.jsonl")} for name in ("train", "eval"))
    assert len(learnt) == 36
    assert len(asked) == 4
    assert not learnt & asked
    settings = load_settings(place / "diverse.yaml")
    assert settings.polychromic.diversity_weight == 1.0
    assert settings.polychromic.gate == "verifier"
    assert settings.evaluation.task == NUMBER | {"path": str(place / "eval.jsonl")}
    with pytest.raises(InputError, match="exists already"):
        init.write(place, init.Answers(str(rows)))


@pytest.mark.parametrize(
    ("completion", "wanted"),
    [
        ("{}", "answer"),
        ("It is {}.", "{kind: answer, match: number}"),
        ("So:\n#### {}", "{kind: answer, after: '####'}"),
        ("Hence \\boxed{{{}}}", "{kind: answer, after: boxed}"),
        ("I do not know.", "answer"),
    ],
)
def test_the_judge_is_read_off_the_demonstrations(completion, wanted, tmp_path):
    rows = [
        {"prompt": f"{n} + {n}?", "completion": completion.format(2 * n), "answer": str(2 * n)} for n in range(1, 10)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert init.suggested_judge(str(path)) == wanted
    path.write_text("".join(json.dumps(row | {"answer": None, "right": "1"}) + "\n" for row in rows))
    assert init.suggested_judge(str(tmp_path / "none.jsonl")) == init.NO_JUDGE


def test_a_judge_that_refuses_the_demonstrations_leaves_nothing_behind(rows, tmp_path):
    with pytest.raises(InputError, match="right answers"):
        init.write(tmp_path / "mine", init.Answers(str(rows), {"kind": "answer", "match": "exact"}))
    assert not (tmp_path / "mine").exists()


def test_a_table_of_any_form_is_split_into_rows(tmp_path):
    (tmp_path / "mine.csv").write_text("prompt,completion\n" + "".join(f"say {n},{n * n}\n" for n in range(40)))
    written = init.write(tmp_path / "mine", init.Answers(str(tmp_path / "mine.csv"), device="h100"))
    assert len(read_prompts(tmp_path / "mine" / "eval.jsonl")) == 4
    assert load_settings(written.diverse).data.train_file == str(tmp_path / "mine" / "train.jsonl")


def test_the_largest_batch_that_fits_and_four_bits_only_where_nothing_else_does(rows, tmp_path):
    found = {
        device: load_settings(
            init.write(tmp_path / device, init.Answers(str(rows), model="a/b-14B", device=device)).diverse
        )
        for device in ("rtx4090", "h200")
    }
    assert found["rtx4090"].quantization
    assert found["h200"].quantization is None
    for settings in found.values():
        sizes = [
            settings.training[f"{name}"] for name in ("per_device_train_batch_size", "gradient_accumulation_steps")
        ]
        assert sizes[0] * sizes[1] == init.BATCH
        assert settings.polychromic.reward == "semantic"  # nobody judges
    noted = init.write(tmp_path / "small", init.Answers(str(rows), model="a/b-70B", device="rtx4090"))
    assert "choose a smaller model" in noted.notes[0]


def test_without_a_terminal_nothing_is_asked(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert run(["init", str(tmp_path / "x")], debug=False) == 2
    assert "--data: is missing" in capsys.readouterr().err
    assert run(["init", str(tmp_path / "x"), "--data", "none.jsonl"], debug=False) == 2
    assert "there is no file none.jsonl" in capsys.readouterr().err


def test_in_a_terminal_it_asks_and_enter_takes_what_is_suggested(rows, tmp_path):
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "polychromic", "init", tmp_path / "asked"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(ours, f"{rows}\n\n\nh100\n".encode())
    said, asked = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0, asked
    assert "who judges an answer (none, answer, ...) [{kind: answer, match: number}]" in asked
    settings = load_settings(tmp_path / "asked" / "diverse.yaml")
    assert settings.model.name_or_path == "Qwen/Qwen3-8B"
    assert settings.data.task == NUMBER
    assert "polychromic launch" in said


def test_doctor_names_what_a_configuration_lacks(rows, tmp_path, monkeypatch, capsys):
    place = tmp_path / "mine"
    init.write(place, init.Answers(str(rows), NUMBER, model="nobody/none-8B", device="h100"))
    for name in ("WANDB_API_KEY", "POLYCHROMIC_SERVER_KEY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    options = [
        "tracking.wandb=online",
        "evaluation.engine={kind: server, base_url: https://api.example/v1}",
        f"experiment.output_root={tmp_path}",
    ]
    found = {one.value: one for one in needs.examine(load_settings(place / "diverse.yaml", options))}
    assert found["nobody/none-8B is not here, and HF_HUB_OFFLINE is set"].level is Level.MISSING
    assert found["of W&B"].level is Level.MISSING
    assert found["POLYCHROMIC_SERVER_KEY is not set"].level is Level.LIMITED
    assert found["37 demonstrations, judged by answer"].level is Level.READY
    assert found["4 for the evaluation"].level is Level.READY
    (place / "train.jsonl").unlink()
    assert run(["doctor", str(place / "diverse.yaml")], debug=False) == 1
    assert "train.jsonl: there is no such file" in capsys.readouterr().out


def test_doctor_names_the_extra_of_a_package_that_a_kind_imports(rows, tmp_path, monkeypatch):
    init.write(tmp_path / "mine", init.Answers(str(rows), NUMBER, model="embedded:countdown"))
    find = needs.importlib.util.find_spec
    monkeypatch.setattr(needs.importlib.util, "find_spec", lambda name: None if name == "openai" else find(name))
    settings = load_settings(tmp_path / "mine" / "diverse.yaml", ["evaluation.engine=server"])
    missing = [one for one in needs.examine(settings) if one.level is Level.MISSING]
    assert [one.advice for one in missing] == ["openai is not installed: pip install 'polychromic[server]'"]


def finished(path, settings):
    folder = open_run(path, identity(settings), {"experiment": 0})
    folder.resolved.write_text(resolved_yaml(settings))
    folder.adapter.touch()
    finish_run(folder)
    return folder


def test_a_finished_run_says_how_it_is_evaluated(rows, tmp_path):
    place, root = tmp_path / "mine", f"experiment.output_root={tmp_path / 'runs'}"
    init.write(place, init.Answers(str(rows), NUMBER, model="embedded:countdown"))
    diverse = finished(tmp_path / "runs" / "diverse", load_settings(place / "diverse.yaml", [root]))
    alone = following.after(diverse.path)
    assert "no run of lambda 0" in alone.lines[1]
    finished(tmp_path / "runs" / "baseline", load_settings(place / "baseline.yaml", [root]))
    other = ["experiment.name=other", "data.max_examples=3"]
    finished(tmp_path / "runs" / "other", load_settings(place / "baseline.yaml", [root, *other]))
    both = following.after(diverse.path)
    models = [f"{name}={tmp_path}/runs/{name}" for name in ("baseline", "diverse")]
    assert f"--models base=embedded:countdown,{','.join(models)} --baseline baseline --out" in both.command
    assert "--task" not in both.command  # the configuration has it
    assert following.after(RunFolder(tmp_path / "none").path) == following.Following("", ())


def test_settings_are_completed_by_section_then_key():
    def offered(text):
        return [item.value for item in complete_setting(None, None, text)]

    assert "polychromic." in offered("po")
    assert offered("polychromic.lam") == ["polychromic.lambda="]
    assert "training.learning_rate=" in offered("training.lear")
    assert offered("nonsense.x") == []
