"""From nothing over another machine to a table for a paper: every command as a person gives it, without a network."""

from __future__ import annotations

import json
import shlex

import pytest

from tests import processes

SHORT = (
    "training.max_steps=2",
    "training.logging_steps=1",
    "data.max_examples=24",
    "lora.r=2",
    "tracking.wandb=disabled",
)
PRICE = {"POLYCHROMIC_PRICE_PER_HOUR": "2.5"}


@pytest.fixture
def give(environment, tmp_path):
    """Runs a command in a folder and gives what it printed; the command must end well."""

    def run(words, folder=tmp_path):
        given = shlex.split(words) if isinstance(words, str) else [str(word) for word in words]
        assert given.pop(0) == "polychromic"
        done = processes.run("-m", "polychromic", *given, environment=environment | PRICE, folder=folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_from_init_over_a_bundle_to_a_table(give, tmp_path):
    rows = [{"prompt": f"{n} and {n} is", "completion": str(2 * n), "answer": str(2 * n)} for n in range(1, 41)]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    give("polychromic init first --data mine.jsonl --judge answer --model embedded:countdown --gpu cpu")
    assert "36 demonstrations, judged by answer" in give("polychromic doctor first/diverse.yaml")
    assert "what it could show: 4 prompts with 16 samples each" in give(
        "polychromic plan first/baseline.yaml first/diverse.yaml --device cpu"
    )
    give("polychromic bundle first/baseline.yaml first/diverse.yaml --device cpu --out bundle.tar")
    for path in (tmp_path / "first").iterdir():
        path.unlink()  # nothing of it is needed from here on
    (tmp_path / "mine.jsonl").unlink()

    pod = tmp_path / "pod"
    *_, train, _ = give(f"polychromic unbundle bundle.tar --to {pod}").splitlines()
    assert train == "polychromic launch configs/baseline.yaml configs/diverse.yaml"
    for name in ("baseline", "diverse"):
        said = give(["polychromic", "train", f"configs/{name}.yaml", *SHORT], pod)
    following = next(line for line in said.splitlines() if line.startswith("next: "))
    assert "baseline=runs/first/baseline,diverse=runs/first/diverse" in following
    small = " --n 2 --temperatures 1.0 --max-new-tokens 8 --encoder hashing"
    result = json.loads(give(following.removeprefix("next: ") + small + " --json", pod))
    assert [verdict["model"] for verdict in result["verdicts"]] == ["diverse"]

    account = json.loads(give("polychromic cost runs --device cpu --json", pod))
    assert {run["name"]: run["left"] for run in account["runs"]} == {"baseline": 0.0, "diverse": 0.0}
    assert all(run["spent"] > 0 for run in account["runs"])
    assert account["evaluation"] > 0
    assert account["spent"] == pytest.approx(account["training"] + account["evaluation"])

    give("polychromic card runs/first/diverse --evaluation runs/first/evaluation", pod)
    card = (pod / "runs" / "first" / "diverse" / "README.md").read_text()
    assert result["verdicts"][0]["sentence"].split("%")[0][:40] in card.replace("\\", "")
    assert "train.jsonl (SHA-256" in card
    assert str(tmp_path) not in card

    (table, *_) = give("polychromic report runs/first/evaluation --format latex", pod).splitlines()
    text = (pod / table).read_text()
    assert text.startswith(r"\begin{tabular}{l")
    assert "\ndiverse & " in text
