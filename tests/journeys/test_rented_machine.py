"""From nothing over another machine to a page and a table: every command as a person gives it, without a network."""

from __future__ import annotations

import json
import re
import shlex
import signal

import pytest

from tests import browser, processes
from tests.wandb_file import decoded, facts, of_kind

SHORT = (
    "training.max_steps=2",
    "training.logging_steps=1",
    "evaluation.during_training.n=2",
    "evaluation.during_training.prompts=2",
    "training.eval_strategy=steps",
    "training.eval_steps=1",
    "data.max_examples=24",
    "lora.r=2",
    "tracking.wandb=offline",
    "polychromic.reward=lexical",  # this model has no right answer here to learn from
    "polychromic.gate=none",
)
PRICE = {"POLYCHROMIC_PRICE_PER_HOUR": "2.5"}


@pytest.fixture
def start(environment, tmp_path):
    """Starts a command in a folder."""

    def begin(words, folder=tmp_path):
        given = shlex.split(words) if isinstance(words, str) else [str(word) for word in words]
        assert given.pop(0) == "polychromic"
        return processes.Program("-m", "polychromic", *given, environment=environment | PRICE, folder=folder)

    return begin


@pytest.fixture
def give(start):
    """Runs a command in a folder and gives what it printed; the command must end well."""

    def run(words, *folder):
        program = start(words, *folder)
        said, complained = program.communicate(400)
        assert program.returncode == 0, complained
        return said

    return run


def test_from_init_over_a_bundle_to_a_page_and_a_table(give, start, tmp_path):
    pod = packed_and_unpacked(give, tmp_path)
    result = trained_and_evaluated(give, pod)
    w_and_b_would_be_sent(pod)

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
    assert text.startswith(r"\begin{tabular}{@{}l")
    assert "\nmodel & base & baseline & diverse " in text
    if browser.CHROMIUM is None:
        pytest.skip(f"all but the pages was tried: {browser.ABSENT}")
    looked_at(start, pod, tmp_path / "profile", result["verdicts"][0]["level"])


def packed_and_unpacked(give, home):
    """The folder on another machine, which holds nothing but what was in the bundle."""
    rows = [{"prompt": f"{n} and {n} is", "completion": str(2 * n), "answer": str(2 * n)} for n in range(1, 41)]
    (home / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    give("polychromic init first --data mine.jsonl --judge answer --model embedded:countdown --gpu cpu")
    assert "36 demonstrations, judged by answer" in give("polychromic doctor first/diverse.yaml")
    assert "what it could show: 4 prompts with 16 samples each" in give(
        "polychromic plan first/baseline.yaml first/diverse.yaml --device cpu"
    )
    give("polychromic bundle first/baseline.yaml first/diverse.yaml --device cpu --out bundle.tar")
    for path in (home / "first").iterdir():
        path.unlink()  # nothing of it is needed from here on
    (home / "mine.jsonl").unlink()

    pod = home / "pod"
    *_, train, _ = give(f"polychromic unbundle bundle.tar --to {pod}").splitlines()
    assert train == "polychromic launch configs/baseline.yaml configs/diverse.yaml"
    return pod


def trained_and_evaluated(give, pod):
    """What the evaluation says that the last training told to do."""
    for name in ("baseline", "diverse"):
        said = give(["polychromic", "train", f"configs/{name}.yaml", *SHORT], pod)
    following = next(line for line in said.splitlines() if line.startswith("next: "))
    assert "baseline=runs/first/baseline,diverse=runs/first/diverse" in following
    small = " --n 2 --temperatures 1.0 --max-new-tokens 8 --encoder hashing"
    result = json.loads(give(following.removeprefix("next: ") + small + " --json", pod))
    assert [verdict["model"] for verdict in result["verdicts"]] == ["diverse"]
    return result


def w_and_b_would_be_sent(pod):
    """The offline files hold the run's sections and samples, and the evaluation's scores."""
    records = decoded(pod / "runs" / "first" / "diverse")
    (about, *_) = of_kind(records, "run")
    assert (about.job_type, about.run_group) == ("train", "first")
    logged = {name for history in of_kind(records, "history") for name in facts(history.item)}
    assert {"train/loss", "eval/pass@2", "health/polychromic/frac_valid", "cost/polychromic/dollars"} <= logged
    records = decoded(pod / "runs" / "first" / "evaluation")
    (about, *_) = of_kind(records, "run")
    assert (about.job_type, about.run_group) == ("evaluate", "first")
    assert facts(about.config.update)["models"] == ["base", "baseline", "diverse"]
    summed = {name for summary in of_kind(records, "summary") for name in facts(summary.update)}
    assert {"eval/pass@1/diverse", "verdict/diverse"} <= summed
    logged = {name for history in of_kind(records, "history") for name in facts(history.item)}
    assert any(name.startswith("tables/scores") for name in logged)
    assert any(name.startswith("figures/differences") for name in logged)


def looked_at(start, pod, profile, level):
    """The pages of `view` in a browser, each found by a link of the one before."""
    serving = start("polychromic view runs --port 0", pod)
    try:
        home = serving.first_line().split(" ")[0]
        pages = {}

        def look(at, *more):
            pages[at], console = browser.browse(home + at.removeprefix("/"), profile, "--dump-dom", *more)
            assert console == []
            return pages[at]

        listed = look("/")
        assert f'<a class="level {level.replace(" ", "-")}"' in listed
        run = re.search(r'href="(/run\?at=\w+)">first/diverse<', listed)[1]
        assert look(run).count("<polyline") > 5
        assert "polychromic.n_generations" in pages[run]
        both = re.findall(r'name="at" value="(\w+)"', listed)
        assert "polychromic.lambda" in look("/compare?" + "&".join(f"at={each}" for each in both))
        samples, report = (re.search(rf'href="(/{kind}\?at=\w+)">{kind}<', listed)[1] for kind in ("samples", "report"))
        assert look(samples).count('class="prompt"') == 4
        assert 'id="verdict"' in look(report)
    finally:
        serving.send_signal(signal.SIGINT)
        serving.communicate(60)
    assert serving.returncode == 0
