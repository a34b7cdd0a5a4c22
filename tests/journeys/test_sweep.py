"""A sweep as a person runs it: two variants to one report, and nothing done twice."""

from __future__ import annotations

import json
from pathlib import Path

import polychromic

CONFIG = Path(polychromic.__path__[0]).parent / "config" / "demo" / "sft.yaml"


def test_a_sweep_ends_with_a_report_and_a_best_variant_and_repeats_nothing(tmp_path, says, tiny):
    call = ["sweep", CONFIG, *tiny, "polychromic.lambda=0,4", "--out", tmp_path / "all"]
    dry = says(*call, "--dry-run", "--device", "cpu")
    assert dry.returncode == 0, dry.stderr
    assert "experiment.name=lambda_4" in dry.stdout
    assert "total: about" in dry.stdout
    assert not (tmp_path / "all").exists()
    done = says(*call, "--choose", "distinct_correct")
    assert done.returncode == 0, done.stderr
    page = tmp_path / "all" / "evaluation" / "report.html"
    lines = done.stdout.strip().splitlines()
    assert lines[-1] == f"report: {page}"
    assert 'id="figure-dose-response"' in page.read_text()
    kept = json.loads((tmp_path / "all" / "sweep.json").read_text())
    scores = {}
    for folder in ("validation", "evaluation"):
        found = json.loads((tmp_path / "all" / folder / "comparison.json").read_text())
        assert found["settings"]["baseline"] == "lambda_0"
        scores[folder] = {
            row["model"]: row["score"] for row in found["scores"] if row["signature"] == "distinct_correct|k:4"
        }
    assert {row["variant"]: row["validation"] for row in kept["standings"]} == {
        name: score for name, score in scores["validation"].items() if name != "base"
    }
    assert {row["variant"]: row["test"] for row in kept["standings"]}.items() <= scores["evaluation"].items()
    best = max(row["validation"] for row in kept["standings"])
    assert kept["standings"][0]["validation"] == best
    assert f"best on validation: {kept['standings'][0]['variant']}, " in done.stdout
    times = {path: path.stat().st_mtime_ns for path in [*(tmp_path / "all").rglob("*.safetensors"), page]}
    again = says(*call, "--choose", "distinct_correct")
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in times} == times
