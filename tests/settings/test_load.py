from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polychromic.core.errors import InputError, MissingResourceError, SettingsError
from polychromic.settings.load import load_settings, resolved, resolved_yaml, settings_from

GOOD = """\
experiment:
  name: x
model:
  name_or_path: m
data:
  train_file: a.jsonl
polychromic:
  lambda: 0.5
  reward: {kind: answers}
lora:
  r: 8
training:
  learning_rate: 1e-4
"""


@pytest.fixture
def write(tmp_path):
    def writer(text=GOOD, name="c.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return writer


def message_of(path, *overrides):
    with pytest.raises(InputError) as caught:
        load_settings(path, overrides)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_precedence_is_command_line_then_file_then_parent_then_default(write):
    write(GOOD + "evaluation:\n  n: 4\n", "base.yaml")
    path = write("extends: base.yaml\npolychromic:\n  diversity_weight: 1.0\n  n_generations: 5\n")
    loaded = load_settings(path, ["polychromic.n_generations=6", "lora.lora_alpha=32"])
    assert loaded.polychromic.diversity_weight == 1.0
    assert loaded.polychromic.n_generations == 6
    assert loaded.evaluation.n == 4
    assert loaded.lora == {"r": 8, "lora_alpha": 32}
    assert loaded.polychromic.temperature == 1.0
    assert loaded.training == {"learning_rate": 1e-4}


def test_an_entry_with_a_kind_replaces_the_parents_whole(write):
    write(GOOD.replace("{kind: answers}", "{kind: mixture, parts: [lexical]}"), "base.yaml")
    child = write("extends: base.yaml\npolychromic:\n  reward: {kind: answers}\n")
    assert load_settings(child).polychromic.reward == {"kind": "answers"}


def test_an_override_may_set_an_option_of_a_kind(write):
    loaded = load_settings(write(), ["polychromic.gate=wellformed", "polychromic.gate.ngram=4"])
    assert loaded.polychromic.gate == {"kind": "wellformed", "ngram": 4}
    assert load_settings(write(), ["evaluation.temperatures=[0.7, 1]"]).evaluation.temperatures == (0.7, 1.0)


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("lambda:", "lamda:", 8, "polychromic.lamda: unknown key; did you mean lambda?"),
        ("polychromic:", "polycromic:", 7, "polycromic: unknown section; did you mean polychromic?"),
        ("learning_rate", "learning_rte", 13, "training.learning_rte: unknown key; did you mean learning_rate?"),
        ("learning_rate: 1e-4", "lambda: 1", 13, "training.lambda: unknown key; did you mean polychromic.lambda?"),
        ("1e-4", "fast", 13, "training.learning_rate: must be a number, got 'fast'"),
        ("1e-4", "true", 13, "training.learning_rate: must be a number, got True"),
        ("r: 8", "r: 8.5", 11, "lora.r: must be an integer, got 8.5"),
        ("r: 8", "bias: some", 11, "lora.bias: must be 'none' or 'all' or 'lora_only', got 'some'"),
        ("lambda: 0.5", "lambda: -1", 8, "polychromic.lambda: must be greater than or equal to 0, got -1"),
        ("lambda: 0.5", "lambda: .nan", 8, "polychromic.lambda: must be a finite number"),
        ("lambda: 0.5", "n_generations: true", 8, "polychromic.n_generations: must be a valid integer, got True"),
        ("lambda: 0.5", "set_size: all", 8, "polychromic.set_size: must be a valid integer or 'shapley', got 'all'"),
        (
            "kind: answers",
            "kind: answer",
            9,
            "polychromic.reward: unknown reward 'answer'; did you mean answers?",
        ),
        ("kind: answers", "kind: answers, k: 1", 9, "polychromic.reward.k: unknown option of answers"),
        ("{kind: answers}", "{answers: 1}", 9, "polychromic.reward: expected a kind's name or a mapping with a kind"),
        ("  lambda: 0.5", "  gate: {kind: wellformed, ngram: x}", 8, "polychromic.gate.ngram: must be an integer"),
        ("  lambda: 0.5", "  gate: {kind: verifier, task: x}", 8, "task: is filled in by the program"),
        (
            "  lambda: 0.5",
            "  schedule: {warmup_step: 3}",
            8,
            "schedule.warmup_step: unknown key; did you mean warmup_st",
        ),
        ("  lambda: 0.5", "  lambda: 0.5\n  lambda: 0.6", 9, "polychromic.lambda: the key is given twice"),
        (
            "  lambda: 0.5",
            "  lambda: 1\n  diversity_weight: 1",
            9,
            "diversity_weight: is the same as polychromic.lambda",
        ),
        ("name: x", "name: ../x", 2, "experiment.name: string should match pattern"),
        ("name: x", "seed: 1", 1, "experiment.name: is missing"),
        ("train_file: a.jsonl", "train_file: a.jsonl\n  dataset: y", 5, "data: give train_file or dataset"),
        ("learning_rate: 1e-4", "output_dir: x", 13, "training.output_dir: cannot be set here"),
        ("learning_rate: 1e-4", "hub_token: x", 13, "training.hub_token: cannot be set here: it is a secret"),
        ("name: x", "name: x\n  notes: hf_0123456789abcdefABCD", 3, "experiment.notes: looks like a secret"),
        ("lambda: 0.5", "lambda: !!python/name:os.system 1", 8, "not allowed"),
        ("lambda: 0.5", "lambda: *x", 8, "not YAML: found undefined alias"),
        ("lambda: 0.5", "lambda: [", 10, "not YAML"),
        ("  r: 8", "  - r", 10, "lora: must hold keys, got ['r']"),
        ("  r: 8", "  <<: {r: 3}", 11, "merge keys"),
    ],
)
def test_a_wrong_configuration_is_one_line_with_file_line_key_and_neighbour(write, old, new, line, expected):
    assert old in GOOD
    path = write(GOOD.replace(old, new, 1))
    message = message_of(path)
    assert message.startswith(f"{path}:{line}: ")
    assert expected in message


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("polychromic.lamda=2", "command line: polychromic.lamda: unknown key; did you mean lambda?"),
        ("lambda=2", "command line: 'lambda=2': expected section.key=value"),
        ("polychromic.lambda", "expected section.key=value"),
        (
            "polychromic.lambda.x=2",
            "command line: polychromic.lambda.x: polychromic.lambda is not a section",
        ),
        ("polychromic.lambda=[", "command line: not YAML"),
        ("polychromic.lambda=-1", "command line: polychromic.lambda: must be greater"),
        ("polychromic.top_p=0.9", "polychromic.top_p: cannot be set here: it would draw from another distribution"),
        ("polychromic.repetition_penalty=1.1", "training samples come from the policy itself"),
        ("data.harvest={lamda: 2}", "command line: data.harvest.lamda: unknown key; did you mean lambda?"),
        (
            "evaluation.thresholds={signficance: 0.5}",
            "evaluation.thresholds.signficance: unknown key; did you mean significance?",
        ),
        (
            "evaluation.thresholds={matrix: [{metric: distinct, moderat: 0.1}]}",
            "evaluation.thresholds.matrix[0].moderat: unknown key; did you mean moderate?",
        ),
        (
            "evaluation.thresholds={matrix: [{metric: {kind: distinct, m: 2}, moderate: 0.1}]}",
            "evaluation.thresholds.matrix[0].metric.m: unknown option of distinct",
        ),
        (
            "evaluation.thresholds={matrix: [{metric: semantic, moderate: 0.5, strong: 0.1}]}",
            "evaluation.thresholds.matrix[0]: moderate and strong must rise, 0.5 is above 0.1",
        ),
        (
            "evaluation.thresholds.significance=-1",
            "evaluation.thresholds.significance: must be greater than or equal to",
        ),
        (
            "polychromic.schedule.warmup_steps=-1",
            "polychromic.schedule.warmup_steps: must be greater than or equal to 0",
        ),
        (
            "polychromic.schedule={target_share: 0.5, calibrated: 0.5}",
            "polychromic.schedule: target_share and calibrated both set lambda",
        ),
        ("polychromic.gate={kind: wellformed, ngram: 0}", "polychromic.gate: wellformed: max_repetition must lie"),
        (
            "polychromic.schedule={calibrated: data}",
            "calibrated: must be a valid number or 'demonstrations', got 'data'",
        ),
    ],
)
def test_a_wrong_override_is_named_as_such(write, override, expected):
    assert expected in message_of(write(), override)


def test_extends_takes_one_existing_file_over_several_levels(write, tmp_path):
    assert "c.yaml:1: extends: there is no file" in message_of(write("extends: none.yaml\n"))
    assert "extends: must be the path of one file" in message_of(write("extends: [a, b]\n"))
    write(GOOD, "a.yaml")
    (tmp_path / "deep").mkdir()
    write("extends: ../a.yaml\npolychromic: {lambda: 0.5, n_generations: 7}\n", "deep/b.yaml")
    settings = load_settings(write("extends: deep/b.yaml\npolychromic: {n_generations: 9}\n"))
    assert (settings.polychromic.diversity_weight, settings.polychromic.n_generations) == (0.5, 9)
    write("extends: c.yaml\n", "d.yaml")
    write("extends: d.yaml\n", "e.yaml")
    assert message_of(write("extends: e.yaml\n")).endswith("c.yaml leads back to itself")
    write(GOOD.replace("lambda", "lamda"), "a.yaml")
    assert message_of(write("extends: a.yaml\n")).startswith(f"{tmp_path / 'a.yaml'}:8: polychromic.lamda")


def test_a_section_can_be_removed_in_a_file_and_on_the_command_line(write):
    write(GOOD + "quantization: {load_in_4bit: true}\n", "base.yaml")
    assert load_settings(write("extends: base.yaml\n")).quantization == {"load_in_4bit": True}
    settings = load_settings(write("extends: base.yaml\nquantization: null\nlora: null\n"))
    assert (settings.quantization, settings.lora) == (None, {})
    assert load_settings(write("extends: base.yaml\nlora:\n")).lora == {"r": 8}
    settings = load_settings(write("extends: base.yaml\n"), ["quantization=null", "lora=null", "lora.r=9"])
    assert (settings.quantization, settings.lora) == (None, {"r": 9})
    assert "experiment: is missing" in message_of(write("extends: base.yaml\n"), "experiment=null")
    assert "unknown section; did you mean quantization?" in message_of(
        write("extends: base.yaml\n"), "quantisation=null"
    )


def test_files_that_are_no_configuration(write, tmp_path):
    with pytest.raises(MissingResourceError, match="no such configuration file"):
        load_settings(tmp_path / "none.yaml")
    assert "c.yaml:1: expected sections" in message_of(write("- a\n"))
    assert "experiment: is missing" in message_of(write(""))
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"experiment:\n  name: caf\xe9\n")
    assert "latin.yaml:2: not UTF-8" in message_of(path)
    bomb = "a: &a [1, 2]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)).replace(
        "*a0", "*a"
    )
    assert "too large" in message_of(write(bomb))
    assert "nested too deeply" in message_of(write("a: &a [*a]\n"))


def test_resolved_settings_load_to_the_same(write):
    loaded = load_settings(write(), ["evaluation.metrics=null", "tracking.tags=[a, b]"])
    assert settings_from(resolved(loaded)) == loaded
    assert load_settings(write(resolved_yaml(loaded), "resolved.yaml")) == loaded
    assert "lambda: 0.5" in resolved_yaml(loaded)


def test_words_that_yaml_1_1_reads_as_booleans_stay_words(write):
    text = GOOD.replace("learning_rate: 1e-4", "save_strategy: no\n  logging_strategy: steps")
    assert load_settings(write(text)).training["save_strategy"] == "no"


def test_loading_a_configuration_imports_no_torch(write):
    code = (
        "import sys\nfrom polychromic.settings.load import load_settings\n"
        "load_settings(sys.argv[1])\n"
        "heavy = {'torch', 'transformers', 'trl', 'peft', 'numpy'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code, str(write())], check=True)


names = st.sampled_from(
    ["experiment", "polychromic", "lora", "training", "name", "lambda", "kind", "r", "extends", "é"]
)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | names | st.text(max_size=5)
trees = st.recursive(leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=3))


@settings(max_examples=300, deadline=None)
@given(trees)
def test_no_tree_of_values_gives_another_error_than_a_settings_error(tree):
    values = tree if isinstance(tree, dict) else {"polychromic": tree, "training": tree}
    said = "accepted"
    try:
        settings_from(values)
    except SettingsError as error:
        said = str(error)
    assert len(said.splitlines()) == 1


@settings(max_examples=500, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=4))
def test_no_damaged_file_gives_another_error_than_an_input_error(tmp_path_factory, at, piece):
    path = tmp_path_factory.mktemp("fuzz") / "c.yaml"
    raw = GOOD.encode()
    path.write_bytes(raw[:at] + piece + raw[at + len(piece) :])
    said = f"{path}: accepted"
    try:
        load_settings(path)
    except InputError as error:
        said = str(error)
    assert said.startswith(str(path))
    assert len(said.splitlines()) == 1
