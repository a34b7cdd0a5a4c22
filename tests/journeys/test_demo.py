"""The demo with tiny settings, as a person runs it: to the end, killed midway and continued, interrupted, refused."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

import polychromic

CONFIG = Path(polychromic.__path__[0]).parent / "config" / "demo" / "sft.yaml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory, says, tiny):
    out = tmp_path_factory.mktemp("demo") / "out"
    return out, says("demo", "--out", out, *tiny)


def test_the_demo_ends_with_verdict_table_and_report(finished):
    out, done = finished
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    assert lines[-1] == f"report: {out / 'evaluation' / 'report.html'}"
    assert Path(lines[-1].removeprefix("report: ")).stat().st_size > 10_000
    shown = {line.split()[0] for line in lines if line.strip()}
    assert {"model", "base", "sft"} <= shown
    assert "Traceback" not in done.stderr
    runs = sorted(path.parent.name for path in out.glob("*/adapter_model.safetensors"))
    assert "sft" in runs
    assert len(runs) >= 3
    for name in runs:
        facts = json.loads((out / name / "run.json").read_text())
        assert facts["finished"]
        assert {"settings_hash", "seeds", "versions"} <= set(facts)
        for file in ("resolved.yaml", "metrics.jsonl", "trainer_state.json", "adapter_config.json"):
            assert (out / name / file).exists(), f"{name}/{file}"


def test_a_second_call_repeats_nothing(finished, says, tiny):
    out, _ = finished
    page = out / "evaluation" / "report.html"
    kept = {path: path.stat().st_mtime_ns for path in [*out.rglob("*.safetensors"), page]}
    again = says("demo", "--out", out, "--json", *tiny)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["report"] == str(page)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_another_configuration_in_the_same_folder_is_refused_and_nothing_touched(finished, says, tiny):
    out, _ = finished
    kept = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    done = says("demo", "--out", out, *tiny, "lora.r=8")
    assert done.returncode == 2
    assert "holds a run of another configuration (different: lora.r)" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == kept


def wait_for(process, condition, seconds=240):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        if condition():
            return
        time.sleep(0.02)
    process.kill()
    pytest.fail(f"the demo never came to this point: {process.communicate()[1][-2000:]}")


def test_killed_while_training_and_while_sampling_it_continues_to_the_same_result(
    finished, tmp_path, says, begin, tiny
):
    whole, _ = finished
    out = tmp_path / "out"
    process = begin("demo", "--out", out, *tiny)
    wait_for(process, lambda: list(out.glob("sft/checkpoints/*/")))
    process.kill()
    process.communicate()
    assert not (out / "evaluation").exists()
    process = begin("demo", "--out", out, *tiny)
    wait_for(process, lambda: (out / "evaluation" / "samples.jsonl").exists())
    process.kill()
    process.communicate()
    done = says("demo", "--out", out, *tiny)
    assert done.returncode == 0, done.stderr
    for path in whole.glob("*/adapter_model.safetensors"):
        assert (out / path.relative_to(whole)).read_bytes() == path.read_bytes()
    rows = [sorted((folder / "evaluation" / "samples.jsonl").read_text().splitlines()) for folder in (whole, out)]
    assert rows[0] == rows[1]


def test_ctrl_c_is_one_line_and_status_130(tmp_path, begin, tiny):
    out = tmp_path / "out"
    process = begin("demo", "--out", out, *tiny)
    wait_for(process, lambda: (out / "sft" / "run.json").exists())
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "the same command continues" in errors.strip().splitlines()[-1]


def test_wrong_settings_and_missing_folders_are_refused_before_anything_is_made(tmp_path, says):
    done = says("demo", "--out", tmp_path / "out", "polychromic.lamda=1")
    assert done.returncode == 2
    assert done.stderr == "polychromic: command line: polychromic.lamda: unknown key; did you mean lambda?\n"
    assert not (tmp_path / "out").exists()
    done = says("demo", "--config", tmp_path / "none")
    assert done.returncode == 2
    assert "holds no configuration" in done.stderr


def test_training_on_users_rows_names_the_broken_one_and_counts_the_skipped(tmp_path, says, tiny):
    data = tmp_path / "train.jsonl"
    rows = [{"prompt": f"{n} 3 5 7 8 9 = 42:", "completion": f"{n} + 3"} for n in range(8)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"prompt": "secret-text"\n')
    base = ["train", CONFIG, f"experiment.output_root={tmp_path}", "data.task=null", *tiny[:7]]
    done = says(*base, f"data.train_file={data}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"polychromic: {data}:9: not JSON")
    assert "secret-text" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    done = says(*base, f"data.train_file={data}", "data.skip_bad_rows=true")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "sft" / "run.json").read_text())["finished"]


def test_dry_run_prints_the_whole_configuration_and_trains_nothing(tmp_path, says):
    done = says("train", CONFIG, f"experiment.output_root={tmp_path / 'x'}", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "lambda: 0.0" in done.stdout
    assert "steps:" in done.stdout
    assert not (tmp_path / "x").exists()
