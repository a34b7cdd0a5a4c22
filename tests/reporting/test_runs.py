"""What a report reads from training runs' folders, and the figures made of it."""

import json

import pytest

from polychromic.records.metric_names import ALIASES
from polychromic.reporting import runs
from polychromic.stages import report


@pytest.fixture
def run_folders(tmp_path):
    def build(name, weight, seconds, drawn):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        facts = {
            "settings": {"polychromic": {"lambda": weight}, "tracking": {"price_per_hour": 3.6}},
            "seconds": seconds,
        }
        (folder / "run.json").write_text(json.dumps(facts))
        rows = [{"step": s, "loss": 2.0 / s, "num_tokens": 100.0 * s} for s in range(1, 9)]
        if drawn:
            rows = [
                row | {"polychromic/tokens_generated": drawn, "polychromic/diversity_value": 0.1 * row["step"]}
                for row in rows
            ]
            rows[0]["polychromic/gradient_cosine"] = 0.5
        rows.append({"step": 8, "train_runtime": seconds})
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return folder

    return {"sft": build("sft", 0.0, 100.0, 0), "moderate": build("moderate", 1.0, 250.0, 50.0)}


def test_curves(run_folders):
    found = runs.curves(run_folders["moderate"])
    assert found["demonstration loss"] == ([float(s) for s in range(1, 9)], [2.0 / s for s in range(1, 9)])
    assert "cosine of the gradients" not in found  # one number is no curve
    assert set(runs.curves(run_folders["sft"])) == {"demonstration loss"}


@pytest.mark.parametrize("before", [False, True], ids=["names of today", "names of an older run"])
def test_the_composition_of_the_loss_has_curves(run_folders, before):
    """Both parts, both gradients, their share and angle, the strength and the off-support gain."""
    logged = {name: place / 10 for place, name in enumerate(runs.PANELS.values())}
    if before:
        old = {today: name for name, today in ALIASES.items()}
        logged = {old.get(name, name): value for name, value in logged.items()}
        assert {"quality_loss", "gate_rate", "junk_monitor", "diversity_value", "combined_loss"} < set(logged)
    path = run_folders["moderate"] / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": step} | logged) + "\n" for step in (1, 2)))
    assert sorted(values for _, values in runs.curves(path.parent).values()) == sorted([v, v] for v in logged.values())


def test_cost(run_folders):
    rows = runs.costs(run_folders, "sft")
    assert [row.tokens for row in rows] == [800, 1200]
    assert rows[1].multiplier == 2.5
    assert rows[0].dollars == pytest.approx(0.1)


def test_health_and_equal_weights_are_flags(run_folders, folder, tmp_path):
    path = run_folders["moderate"] / "run.json"
    record = {
        "diversity_steps": 4,
        "dead_steps": {"the gate lets no sample through": 3},
        "findings": [{"kind": "x", "text": "<b>bad</b>", "first_step": 2, "last_step": 5, "times": 3}],
    }
    path.write_text(json.dumps(json.loads(path.read_text()) | {"health": record}))
    (tmp_path / "comparison.json").write_bytes((folder / "comparison.json").read_bytes())
    digests = {"base": "", "bare": "", "sft": "a", "moderate": "a", "other": "b"}
    (tmp_path / "evaluation.json").write_text(json.dumps({"weights": digests}))
    found = runs.health_flags(run_folders, digests)
    assert [(flag.kind, flag.level) for flag in found] == [("training", "warning")] * 2 + [("same weights", "warning")]
    assert found[0].text == "moderate: <b>bad</b> (3 times, steps 2 to 5)."
    assert "had an effect in 1 of 4 diversity steps, without it: 3 x the gate lets no sample through" in found[1].text
    assert found[2].text.startswith("sft and moderate have the same adapter")
    html = report.run(tmp_path, run_folders).read_text()
    assert found[2].text in html
    assert "&lt;b&gt;bad" in html
    record["dead_steps"] = {}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"health": record}))
    assert [flag.level for flag in runs.health_flags(run_folders, {})] == ["warning", "note"]


def test_a_folder_that_says_nothing(tmp_path):
    assert runs.curves(tmp_path) == {}
    assert runs.weight(tmp_path) is None
    assert runs.health_flags({"sft": tmp_path}, {}) == []
    assert runs.costs({"sft": tmp_path}, "sft") == []


def test_report_with_runs(folder, run_folders, tmp_path):
    (tmp_path / "comparison.json").write_bytes((folder / "comparison.json").read_bytes())
    page = report.run(tmp_path, run_folders)
    html = page.read_text()
    assert 'id="figure-dose-response"' in html
    assert 'id="figure-training"' in html
    assert "Cost of training" in html
    assert "## Cost" in (tmp_path / "report.md").read_text()
    assert 'id="prompts"' not in html  # there are no samples here


def test_a_line_of_doses_holds_what_differs_in_nothing_else(tmp_path):
    """Two seeds are one point of a line; without the term its other settings are idle, the adapter's are not."""

    def run(name, weight, size, rank=4):
        settings = {
            "polychromic": {"lambda": weight, "set_size": size},
            "lora": {"r": rank},
            "experiment": {"seed": name},
        }
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps({"settings": settings}))
        return name, tmp_path / name

    dosed = [run("a@1", 1.0, 2), run("a@2", 1.0, 2), run("b", 2.0, 2), run("c", 1.0, 4), run("d", 2.0, 4)]
    plain = [run("none", 0.0, 8), run("other", 0.0, 8, rank=16)]
    found = runs.lines(dict(dosed + plain))
    assert found == {"set_size 2": ["a@1", "a@2", "b", "none"], "set_size 4": ["c", "d", "none"]}
    assert runs.lines(dict(plain)) == {}
    assert runs.lines(dict([*dosed[:3], plain[0]])) == {"": ["a@1", "a@2", "b", "none"]}
