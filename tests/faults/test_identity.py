"""Identity by content over an evaluation: whatever a stage is made of, a change of it changes the result or is refused.

The property is: after a change the folder ends as one does that has nothing but its samples, or the command refuses in
one line and nothing is lost. Each change is proved to be one: the result is another than before.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from polychromic.analysis.controls import Trust
from polychromic.core.errors import InputError, PolychromicError
from polychromic.records.jsonl import read_rows
from polychromic.records.samples import read_sets
from polychromic.settings.schema import EvaluationSection, ModelSection
from polychromic.stages import pipeline
from polychromic.stages.models import NamedModel

pytestmark = pytest.mark.filterwarnings("ignore:.*(are made anew|are sampled anew)")
JUDGE = """
def right(prompts, completions, answer, **columns):
    return [wanted in text[0]["content"] for wanted, text in zip(answer, completions)]
"""
METRIC = """
from dataclasses import dataclass
from typing import ClassVar
from polychromic.core.facts import Role
from polychromic.metrics._sets import PerSet, Value

@dataclass(frozen=True)
class Starts(PerSet):
    kind: ClassVar[str] = "starts"
    title: ClassVar[str] = "different beginnings"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = 1

    def _value(self, samples, judged):
        return Value(len({text[:1] for text in samples.texts}), len(samples.texts))
"""


@dataclass
class World:
    """All that an evaluation is made of, in files under one folder, and what the command line says."""

    root: Path
    section: dict = field(default_factory=dict)
    seed: int = 0
    baseline: str = "base"

    @classmethod
    def made(cls, root, base_folder, adapter):
        """A base, its adapter, three problems, a judge and a metric."""
        shutil.copytree(base_folder, root / "base")
        shutil.copytree(adapter, root / "sft")
        (root / "judge.py").write_text(JUDGE)
        (root / "starts.py").write_text(METRIC)
        world = cls(root)
        world.write_rows([{"id": f"p{n}", "prompt": [turn(f"{n}+{n}")], "answer": "a"} for n in range(3)])
        return world

    @property
    def out(self):
        """The evaluation's folder."""
        return self.root / "out"

    def rows(self):
        return [row for _, row in read_rows(self.root / "rows.jsonl")]

    def write_rows(self, rows):
        (self.root / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def edit(self, name, old, new):
        path = self.root / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def evaluate(self):
        """Every number of the evaluation: texts, verdicts, measurements and the comparison without its versions."""
        base = ModelSection(name_or_path=str(self.root / "base"))
        models = [NamedModel("base", base), NamedModel("sft", base, self.root / "sft")]
        values = {
            "task": {"kind": "function", "path": f"{self.root}/rows.jsonl", "functions": f"{self.root}/judge.py:right"},
            "metrics": ["pass_at_k", f"{self.root}/starts.py:Starts"],
            "n": 3,
            "max_new_tokens": 6,
            "encoder": "none",
            "bootstrap_resamples": 100,
        }
        section = EvaluationSection(**values | self.section)
        trust = Trust(anyway=True)  # a judge that a change makes wrong must judge too
        pipeline.run(pipeline.Evaluation(models, section, self.seed, self.baseline, trust=trust), self.out)
        return self.results()

    def results(self):
        sets = sorted(
            read_sets(self.out / "samples.jsonl"), key=lambda one: (one.model, one.temperature, one.samples.prompt.id)
        )
        verdicts = {}
        for _, row in read_rows(self.out / "verdicts.jsonl"):  # the last of a sample counts
            key = (row["model"], row["prompt_id"], row["temperature"], row["sample_index"])
            verdicts[key] = (row["status"], row["answer"])
        measured = sorted(json.dumps(row, sort_keys=True) for _, row in read_rows(self.out / "measurements.jsonl"))
        compared = json.loads((self.out / "comparison.json").read_text())
        compared.pop("versions", None)
        texts = [(one.model, one.temperature, one.samples.prompt, one.samples.texts) for one in sets]
        return sorted(texts, key=str), verdicts, measured, compared


def turn(text):
    return {"role": "user", "content": text}


def reworded(world):
    rows = world.rows()
    rows[1]["prompt"] = [turn("what is 1+1")]
    world.write_rows(rows)


def answers(world):
    world.write_rows([row | {"answer": "b"} for row in world.rows()])


def one_more(world):
    world.write_rows([*world.rows(), {"id": "p9", "prompt": [turn("9+9")], "answer": "a"}])


def one_less(world):
    world.write_rows(world.rows()[:2])


def weights(folder, part):
    def change(world):
        path = next((world.root / folder).glob("*.safetensors"))
        held = load_file(path)
        name = next(name for name in sorted(held) if part in name)
        save_file(held | {name: held[name] + 0.3}, path, metadata={"format": "pt"})

    return change


def alpha(world):
    path = world.root / "sft/adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"lora_alpha": 64}))


def half(world):
    path = world.root / "sft/adapter_model.safetensors"
    save_file({name: value for name, value in load_file(path).items() if "layers.1" not in name}, path)


def setting(**values):
    return lambda world: world.section.update(values)


def text_of_a_sample(world):
    path = world.out / "samples.jsonl"
    rows = [row for _, row in read_rows(path)]
    rows[0]["text"] += "a" if "a" not in rows[0]["text"] else "b"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


ANEW, REFUSED = "anew", "refused"
CHANGES = {
    "a prompt is reworded": (reworded, ANEW),
    "the right answers are put right": (answers, ANEW),
    "the judge's code": (lambda world: world.edit("judge.py", "wanted in", "wanted not in"), ANEW),
    "the metric's code": (lambda world: world.edit("starts.py", "text[:1]", "text[:2]"), ANEW),
    "a prompt more": (one_more, ANEW),
    "more samples": (setting(n=4), ANEW),
    "another temperature": (setting(temperatures=(1.0, 0.5)), ANEW),
    "other metrics": (setting(metrics=["pass_at_k", "length"]), ANEW),
    "resamples": (setting(bootstrap_resamples=120), ANEW),
    "thresholds": (setting(thresholds={"significance": 0.01}), ANEW),
    "the baseline": (lambda world: setattr(world, "baseline", "sft"), ANEW),
    "a prompt less": (one_less, REFUSED),
    "the base's weights": (weights("base", "embed"), REFUSED),
    "the chat template": (
        lambda world: world.edit("base/chat_template.jinja", "message.role[0]", "message.role"),
        REFUSED,
    ),
    "the adapter's weights": (weights("sft", "lora_B"), REFUSED),
    "the adapter's alpha": (alpha, REFUSED),
    "half of the adapter": (half, REFUSED),
    "the seed": (lambda world: setattr(world, "seed", 1), REFUSED),
    "the token limit": (setting(max_new_tokens=7), REFUSED),
    "a schema": (setting(engine={"kind": "transformers", "schema": {"type": "object"}}), REFUSED),
    "another engine": (setting(engine={"kind": "server", "base_url": "http://127.0.0.1:9/v1"}), REFUSED),
}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, base_folder, add_adapter):
    """A world whose evaluation is done, its results, and a copy of all its files. Nothing is drawn as a page."""
    from polychromic.policy.load import load_base

    root = tmp_path_factory.mktemp("identity")
    add_adapter(load_base(ModelSection(name_or_path=str(base_folder))).model).save_pretrained(root / "adapter")
    (root / "world").mkdir()
    made = World.made(root / "world", base_folder, root / "adapter")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "_report", lambda *_: None)
        results = made.evaluate()
        shutil.copytree(made.root, root / "kept")
        yield made.root, root / "kept", results


@pytest.fixture
def world(evaluated):
    """The world as it was when its evaluation was done."""
    root, kept, _ = evaluated
    shutil.rmtree(root)
    shutil.copytree(kept, root)
    return World(root)


def attempted(work):
    """What the work gives, and the error with which it refuses."""
    try:
        return work(), None
    except PolychromicError as error:
        return None, error


def without_results(folder):
    """Only the samples, and what they are an evaluation of, stay."""
    for name in ("verdicts.jsonl", "measurements.jsonl", "measurements.json", "comparison.json"):
        (folder / name).unlink()
    path = folder / "evaluation.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"stages": {}}))


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_input_changes_the_evaluation_or_is_refused(world, evaluated, name):
    (change, wanted), before = CHANGES[name], evaluated[2]
    change(world)
    kept = {path.name: path.read_bytes() for path in world.out.glob("*.json*")}
    found, error = attempted(world.evaluate)
    if error is not None:
        assert wanted == REFUSED, error
        assert "\n" not in str(error)
        assert kept == {path.name: path.read_bytes() for path in world.out.glob("*.json*")}
        return
    assert wanted == ANEW
    assert found != before
    without_results(world.out)
    assert world.evaluate() == found


def test_an_unchanged_evaluation_stays_as_it_is(world, evaluated):
    kept = {path.name: path.stat().st_mtime_ns for path in world.out.glob("*.jsonl")}
    assert world.evaluate() == evaluated[2]
    assert kept == {path.name: path.stat().st_mtime_ns for path in world.out.glob("*.jsonl")}


def test_what_a_reworded_prompt_was_answered_before_does_not_count(world):
    reworded(world)
    texts = world.evaluate()[0]
    assert {prompt.content[0].content for _, _, prompt, _ in texts} == {"0+0", "what is 1+1", "2+2"}


class Served(BaseHTTPRequestHandler):
    """A server with one model, which can be exchanged behind its name or with it."""

    name, root = "one", "/weights/one"

    def answer(self, found):
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer({"object": "list", "data": [{"id": self.name, "object": "model", "root": self.root}]})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        choice = {"index": 0, "message": {"role": "assistant", "content": self.name}, "finish_reason": "stop"}
        self.answer({"id": "x", "object": "chat.completion", "created": 0, "model": self.name, "choices": [choice]})

    def log_message(self, *_):
        pass


SWITCHES = [({"name": "two"}, "model one, now two"), ({"root": "/b"}, "root /w.*, now /b")]


@pytest.mark.parametrize(("change", "said"), SWITCHES)
def test_a_server_that_switched_models_does_not_extend_the_samples(world, serving, monkeypatch, change, said):
    shutil.rmtree(world.out)
    with serving(Served) as url:
        world.section = {"engine": {"kind": "server", "base_url": url, "attempts": 1}}
        before = world.evaluate()
        for name, value in change.items():
            monkeypatch.setattr(Served, name, value)
        assert world.evaluate() == before  # nothing is asked for
        world.section["n"] = 4
        with pytest.raises(InputError, match=said):
            world.evaluate()
        assert world.results() == before
    assert world.results()[0][0][3] == ("one",) * 3


def test_samples_that_do_not_say_what_drew_them_are_read_and_not_added_to(world):
    path = world.out / "samples.jsonl"
    rows = [{name: value for name, value in row.items() if name != "source"} for _, row in read_rows(path)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    world.evaluate()
    world.section["n"] = 4
    with pytest.raises(InputError, match=r"does not say what drew the samples of base .an older version"):
        world.evaluate()


def damaged(name, damage):
    def change(world):
        path = world.out / name
        path.write_bytes(damage(path.read_bytes()))

    return change


@pytest.mark.filterwarnings("ignore:.*the last row was cut off by a crash")
@pytest.mark.parametrize("damage", [lambda raw: raw[:-9], lambda raw: raw[:-9] + bytes(9)], ids=["torn", "nul"])
@pytest.mark.parametrize(
    "name", ["samples.jsonl", "verdicts.jsonl", "measurements.jsonl", "comparison.json", "costs.jsonl"]
)
def test_a_torn_file_of_the_folder_is_mended(world, evaluated, name, damage):
    damaged(name, damage)(world)
    assert world.evaluate()[1:] == evaluated[2][1:] or name == "samples.jsonl"  # what is redrawn has another seed
