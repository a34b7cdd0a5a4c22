"""Routing: policies against enumeration, honest halves, prices of every unit, and the verb."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from polychromic.analysis.resampling import Plan
from polychromic.analysis.routing import Served, Traffic, route
from polychromic.cli.route import command
from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet
from polychromic.records.samples import StoredSet
from polychromic.reporting.page import write_report
from polychromic.stages import compare, measure
from polychromic.stages.route import Price, Routes, _dollars, run

QUICK = Plan(resamples=300)
PRICES = {"small": "1/sample", "large": "10/sample"}


def served(right, answers=None, logprobs=None, dollars=1.0):
    nothing = (float("nan"),) * len(right)
    return Served(tuple(right), tuple(answers or ["x"] * len(right)), tuple(logprobs or nothing), dollars)


def by_policy(traffic, **more):
    found = route(traffic, PRICES, QUICK, **more)
    return {row.policy: row for row in found.rows}, found


def test_the_oracle_is_that_of_enumeration():
    """Every outcome of one sample each: the cheapest that is right is paid, the cheapest of all when none is."""
    generator = np.random.default_rng(0)
    rates = generator.integers(0, 5, (6, 3)) / 4
    names, dollars = ("small", "middle", "large"), (1.0, 3.0, 9.0)
    models = {
        name: [served([i < rate * 4 for i in range(4)], dollars=price) for rate in rates[:, place]]
        for place, (name, price) in enumerate(zip(names, dollars, strict=True))
    }
    right = paid = 0.0
    for prompt in rates:
        for passed in itertools.product((0, 1), repeat=3):
            chance = np.prod([rate if ok else 1 - rate for rate, ok in zip(prompt, passed, strict=True)])
            right += chance * any(passed)
            paid += chance * next((price for price, ok in zip(dollars, passed, strict=True) if ok), dollars[0])
    row = by_policy(Traffic(models, [""] * 6))[0]["oracle"]
    assert (row.rate, row.dollars) == pytest.approx((right / 6, paid / 6))


def test_each_category_gets_its_own_model():
    kinds = ["sums", "words"] * 20
    small = [served([kind == "sums"] * 2, dollars=1.0) for kind in kinds]
    large = [served([kind == "words"] * 2, dollars=10.0) for kind in kinds]
    rows, found = by_policy(Traffic({"small": small, "large": large}, kinds))
    row = rows["by category"]
    assert (row.rate, row.dollars) == pytest.approx((1.0, 5.5))
    assert row.learned == "sums: small, words: large"
    assert row.gain == pytest.approx(1.0 - rows["best single model"].rate)
    assert "by category: 100.0% right at 5.5 dollars" in found.advice
    same, _ = by_policy(Traffic({"small": small, "large": large}, [""] * 40))
    assert same["by category"].reason == "the prompts have no categories to tell apart"


def test_a_cascade_asks_the_strong_model_where_the_cheap_one_doubts():
    """The cheap model is right where its samples agree; its log-probabilities say the same."""
    small, large = [], []
    for prompt in range(40):
        easy = prompt % 2 == 0
        answers = ["a", "a", "a", "a"] if easy else ["b", "c", "d", "a"]
        small.append(served([easy] * 4, answers, [-0.1] * 4 if easy else [-2.0] * 4, dollars=1.0))
        large.append(served([True] * 4, dollars=100.0))
    rows, _ = by_policy(Traffic({"small": small, "large": large}, [""] * 40))
    agreed, sure = rows["by self-consistency"], rows["by log-probability"]
    assert (agreed.rate, agreed.dollars) == pytest.approx((1.0, 4.0 + 50.0))  # four samples, and the large one for half
    assert (sure.rate, sure.dollars) == pytest.approx((1.0, 1.0 + 50.0))
    assert sure.learned == "small from -0.1 on, else large"
    assert rows["best single model"].learned == "large"


@pytest.mark.long
def test_what_is_learned_is_tried_where_it_was_not_learned():
    """Models that are right at random: the best on one half gains nothing on the other, however many there are."""
    generator, gains = np.random.default_rng(1), []
    for _ in range(60):
        models = {f"m{i}": [served(generator.random(1) < 0.5) for _ in range(30)] for i in range(8)}
        kinds = [f"k{i % 5}" for i in range(30)]
        rows, _ = by_policy(Traffic(models, kinds))
        gains.append(rows["by category"].rate)
    assert np.mean(gains) == pytest.approx(0.5, abs=3 * np.std(gains) / np.sqrt(60))


def test_routers_without_a_signal_say_so():
    small, large = [served([True], dollars=2.0)] * 8, [served([False], dollars=1.0)] * 8
    rows, found = by_policy(Traffic({"small": small, "large": large}, [""] * 8))
    assert rows["by self-consistency"].reason == "self-consistency needs two samples a prompt or more"
    assert rows["by log-probability"].reason == "samples without a log-probability cannot be routed by it"
    assert found.advice.startswith("small alone: 100.0% right at 2 dollars a prompt; no router")
    cheap, _ = by_policy(Traffic({"small": [served([True] * 2)] * 8, "large": [served([False] * 2, dollars=9.0)] * 8}, [""] * 8))  # fmt: skip  # noqa: E501
    assert "both the best and the cheapest" in cheap["by self-consistency"].reason


@pytest.mark.parametrize(
    ("traffic", "said"),
    [
        (lambda: Traffic({"a": [served([True])] * 9}, [""] * 9), "two models"),
        (lambda: Traffic({"a": [], "b": []}, []), "four prompts"),
        (lambda: Price.read("cheap"), "expected DOLLARS/M"),
        (lambda: Price.read("1.2.3/h"), "expected DOLLARS/M"),
    ],
)
def test_what_cannot_be_routed(traffic, said):
    with pytest.raises(InputError, match=said):
        traffic()


def generations(path, model, right):
    rows = [
        {"prompt_id": f"p{i}", "prompt": f"Question {i}", "text": [f"{model} {j}" for j in range(3)], "model": model}
        | {"passed": [(i + j) % 4 < right for j in range(3)], "answer": [str(j) for j in range(3)]}
        for i in range(24)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_verb_and_the_reports_section(tmp_path):
    files = {name: generations(tmp_path / f"{name}.jsonl", name, right) for name, right in (("small", 2), ("large", 4))}
    priced = ["--price", "small=0.001/sample", "--price", "large=0.03/sample"]
    done = CliRunner().invoke(command, [*map(str, files.values()), *priced, "--json"], catch_exceptions=False)
    found = json.loads(done.output)
    assert found["prices"] == {"small": "0.001/sample", "large": "0.03/sample"}
    rows = {row["policy"]: row for row in found["rows"]}
    assert rows["large alone"]["rate"] == 1.0
    assert rows["small alone"]["dollars"] == pytest.approx(0.001)
    folder = measure.adopt(files, tmp_path / "e")
    measure.run(folder, measure.Measuring(["pass_at_k"]))
    compare.run(folder, "small", None)
    done = CliRunner().invoke(command, [str(folder), *priced], catch_exceptions=False)
    assert done.output.rstrip().splitlines()[-1] == found["advice"]
    page = write_report(folder)
    assert 'id="routing"' in page.read_text()
    assert "## Routing" in (folder / "report.md").read_text()


@pytest.mark.parametrize(
    ("price", "said"),
    [
        ({"small": "1/M", "large": "1/M"}, "no tokens to count"),
        ({"small": "1/h", "large": "1/h"}, "does not know what the samples of small took"),
        ({"tiny": "1/h", "large": "1/h"}, "price of 'tiny': there is no such model; there are small, large"),
    ],
)
def test_prices_that_cannot_be_counted(tmp_path, price, said):
    files = {name: generations(tmp_path / f"{name}.jsonl", name, 2) for name in ("small", "large")}
    folder = measure.adopt(files, tmp_path / "e")
    with pytest.raises(InputError, match=said):
        run(folder, Routes({name: Price.read(text) for name, text in price.items()}))


def test_a_model_without_a_price_is_left_out_and_said(tmp_path):
    files = {name: generations(tmp_path / f"{name}.jsonl", name, 2) for name in ("small", "middle", "large")}
    priced = [f"--price={name}=0.01/sample" for name in ("small", "large")]
    with pytest.warns(UserWarning, match="left out, as they have no price: middle"):
        done = CliRunner().invoke(command, [*map(str, files.values()), *priced, "--json"], catch_exceptions=False)
    assert set(json.loads(done.output)["prices"]) == {"small", "large"}


@pytest.mark.parametrize(
    ("text", "dollars"), [("2/M", 8e-6), ("2+1/M", 15e-6), ("36/h", 0.02), ("0.5/sample", 0.5), ("2+0/M", 8e-6)]
)
def test_a_sample_is_asked_for_alone_and_pays_for_its_prompt(text, dollars):
    """Two samples of 3 and 5 tokens that one request drew, whose prompt of 7 tokens the server read once."""
    drawn = (Completion("a", counted=3, read=7), Completion("b", token_ids=(1, 2, 3, 4, 5), read=0))
    stored = StoredSet(SampleSet(Prompt("p", "?"), drawn, Decoding(), "m"), "", 0, (0, 1))
    seconds = {("m", "p", 1.0, index): took for index, took in enumerate((1.0, 3.0))}
    assert _dollars(stored, Price.read(text), seconds, Path()) == pytest.approx(dollars)
    unread = replace(stored, samples=replace(stored.samples, completions=(Completion("a", counted=3), drawn[1])))
    assert _dollars(unread, Price.read("2/M"), {}, Path()) == pytest.approx(8e-6)
    none = tuple(replace(each, read=None) for each in drawn)
    nobody = replace(stored, samples=replace(stored.samples, completions=none))
    with pytest.raises(InputError, match="nobody counted the tokens of its prompts"):
        _dollars(nobody, Price.read("2+1/M"), {}, Path())


@pytest.mark.parametrize("text", ["1", "2+1/h", "2+/M", "x/M", "1.2.3/M"])
def test_a_price_that_is_none_is_refused(text):
    with pytest.raises(InputError, match=r"expected DOLLARS/M, WRITTEN\+READ/M, DOLLARS/h or DOLLARS/sample"):
        Price.read(text)
