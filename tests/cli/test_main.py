from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import click
import pytest

import polychromic
from polychromic.__main__ import run
from polychromic.cli import commands
from polychromic.core.errors import EngineError, InputError, SettingsError

ROOT = Path(polychromic.__path__[0]).parent


@pytest.fixture
def raising(monkeypatch):
    """The program with its one verb replaced by one that raises."""

    def use(error):
        @click.command()
        def verb():
            raise error

        monkeypatch.setattr(type(commands), "get_command", lambda *_: verb)

    return use


@pytest.mark.parametrize(
    ("error", "status", "shown"),
    [
        (SettingsError("c.yaml:3: a.b: unknown\nkey"), 2, "polychromic: c.yaml:3: a.b: unknown key\n"),
        (InputError("x"), 2, "polychromic: x\n"),
        (EngineError("the server is down"), 1, "polychromic: the server is down\n"),
        (KeyboardInterrupt(), 130, "polychromic: interrupted by SIGINT; finished results are kept"),
        (OSError(28, "No space left on device", "/v/x"), 1, "polychromic: no space left on device: /v/x\n"),
        (MemoryError("no\nroom"), 1, "polychromic: out of memory: no room; take fewer rows at once"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), 1, "polychromic: out of memory: CUDA; take fewer rows"),
        (ZeroDivisionError("division\nby zero"), 1, "unexpected ZeroDivisionError: division by zero (--debug shows"),
    ],
)
def test_every_error_is_one_line_and_a_status(raising, capsys, error, status, shown):
    raising(error)
    assert run(["train"], debug=False) == status
    caught = capsys.readouterr()
    assert shown in caught.err
    assert caught.err.strip().count("\n") == 0
    assert caught.out == ""


def test_debug_shows_where_it_was(raising):
    raising(ZeroDivisionError("x"))
    with pytest.raises(ZeroDivisionError):
        run(["train"], debug=True)


def test_a_warning_is_one_line(monkeypatch, capsys):
    @click.command()
    def verb():
        warnings.warn("two bad rows\nwere left out", UserWarning, stacklevel=1)

    monkeypatch.setattr(type(commands), "get_command", lambda *_: verb)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert run(["train"], debug=False) == 0
    assert capsys.readouterr().err == "polychromic: warning: two bad rows were left out\n"


def polychromic_says(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "polychromic", *map(str, arguments)], capture_output=True, text=True, **options
    )


@pytest.mark.long
def test_debug_may_stand_anywhere_and_gives_a_traceback(tmp_path):
    done = polychromic_says("plan", tmp_path / "none.yaml", "--debug")
    assert done.returncode != 0
    assert "Traceback" in done.stderr
    assert "Traceback" not in polychromic_says("plan", tmp_path / "none.yaml").stderr


def test_a_wrong_verb_or_option_is_the_users_and_status_2():
    done = polychromic_says("trian")
    assert done.returncode == 2
    assert "trian" in done.stderr
    assert polychromic_says("plan", "--devise", "x").returncode == 2
    assert polychromic_says("plan").returncode == 2


def test_a_reader_that_leaves_early_is_no_error():
    process = subprocess.Popen(
        [sys.executable, "-m", "polychromic", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() in (0, 1)


@pytest.mark.long
def test_data_check_counts_lengths_duplicates_and_bad_rows(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text('{"prompt": "a b", "completion": "c"}\n{"prompt": "a b", "completion": "c"}\n{"prompt": "x"}\n[]\n')
    done = polychromic_says("data", "check", path, "--json")
    assert done.returncode == 2
    found = json.loads(done.stdout)
    assert found["rows"] == 4
    assert found["forms"] == {"prompt + completion": 2, "prompt only": 1}
    assert found["repeated_rows"] == 1
    assert found["bad"] == [f"{path}:4: expected an object, got an array"]
    assert found["prompt_words"] == {"median": 2, "p95": 2, "longest": 2}
    text = polychromic_says("data", "check", path).stdout
    assert "rows dropped with data.skip_bad_rows: 1" in text
    path.write_text("")
    assert "is empty" in polychromic_says("data", "check", path).stderr


@pytest.mark.long
def test_plan_forecasts_from_the_configuration_alone():
    done = polychromic_says(
        "plan", ROOT / "config/experiments/polychromic_1.0_moderate.yaml", "tracking.price_per_hour=2", "--json"
    )
    assert done.returncode == 0, done.stderr
    (plan,) = json.loads(done.stdout)["runs"]
    assert plan["steps"] == 189
    assert plan["diversity_steps"] == 63
    assert plan["sampled_tokens"] == 63 * 8 * 5 * 128
    assert 0.1 < plan["price"] < 2
    assert any("assumed 1,000 rows" in note for note in plan["notes"])
    (base,) = json.loads(polychromic_says("plan", ROOT / "config/experiments/baseline.yaml", "--json").stdout)["runs"]
    assert base["sampled_tokens"] == 0
    assert sum(base["seconds"].values()) < sum(plan["seconds"].values())


@pytest.mark.parametrize("verb", [("plan",), ("train", "--dry-run"), ("train",)], ids=" ".join)
@pytest.mark.long
def test_unsound_settings_are_one_sentence_before_anything_is_paid_for(verb, tmp_path):
    """Also where the run's folder could not be used."""
    (tmp_path / "moderate").mkdir()
    (tmp_path / "moderate" / "holiday.jpg").touch()
    place = f"experiment.output_root={tmp_path}"
    done = polychromic_says(*verb, ROOT / "config/demo/online.yaml", place, "polychromic.set_size=9")
    assert done.returncode == 2
    reason = "9 samples cannot be chosen from 8 generations; allowed: 1 to 8, or shapley"
    assert done.stderr == f"polychromic: polychromic.set_size: {reason}\n"


@pytest.mark.long
def test_doctor_names_what_the_machine_can_do():
    done = polychromic_says("doctor", "--json")
    assert done.returncode == 0, done.stderr
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert {"python", "packages", "gpu", "memory", "disk", "encoder", "sandbox", "tracking", "tmux"} <= set(findings)
    assert all("\n" not in finding["advice"] for finding in findings.values())
    assert polychromic_says("doctor").stdout.count("\n") >= len(findings)
