"""Strategies are data: files of the package and of the user's, rows of an experiment, grids of rows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from polychromic.code.prompting import Strategy, content, digest, strategies, strategy
from polychromic.core.errors import InputError, MissingResourceError, SettingsError
from polychromic.core.nouns import Completion
from polychromic.records.samples import content_out
from polychromic.settings.code import load_code
from polychromic.tasks.functions18 import Functions18

CONFIG = Path(__file__).parents[2] / "config" / "strategies"
FIRST = Functions18().problems[0]
HASHES = {
    "chat_cot": "2f3a7a5a803e",
    "chat_direct": "2666921d61bf",
    "fewshot": "f5a6fa5e81ae",
    "fewshot_devise": "965ec6343f09",
    "minimal": "ea3fb9cd59f9",
    "structured": "c8d5eebad33d",
}


def test_the_six_strategies_of_the_package_say_what_they_always_said():
    """The hash of every prompt and demonstration of the eighteen functions, from before strategies were files."""
    shown = {}
    for name in strategies():
        examples = Functions18(strategy=name).examples("test")
        shown[name] = [[content_out(example.prompt), example.demonstration] for example in examples]
    found = {name: hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:12] for name, rows in shown.items()}
    assert found == HASHES


@pytest.mark.parametrize("name", ["direct_instruction", "six_devise"])
def test_the_shipped_files_are_strategies_of_about_ten_lines(name):
    path = CONFIG / f"{name}.yaml"
    assert len(path.read_text().splitlines()) <= 12
    task = Functions18(strategy=str(path))
    prompts = task.prompts("test")
    answers = [Completion(f"```python\n{problem.gold}\n```") for problem in task.problems]
    assert all(verdict.passed for verdict in task.verify_many(prompts, answers))
    assert FIRST.prompt in str(content_out(prompts[0])) or FIRST.prompt in prompts[0].content[-1].content


def test_templates_fill_each_name_once_and_leave_other_braces():
    problem = FIRST._replace(prompt="def f(x={'{code}': '{number}'}):\n")
    how = Strategy("x", "{number} {code}{json} {entry_point}", exemplars=())
    assert content(problem, how) == "1 def f(x={'{code}': '{number}'}):\n{json} letter_grade"


def test_a_text_file_is_the_message_of_a_chat(tmp_path):
    (tmp_path / "mine.txt").write_text("Solve it.")
    (message,) = content(FIRST, strategy(str(tmp_path / "mine.txt")))
    assert (message.role, message.content) == ("user", f"Solve it.\n\n{FIRST.prompt}")


def test_stop_region_preamble_and_post_processing_are_the_files(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text('until: "END"\nstop: END\npreamble: import math\npost_processing: none\nuser: "{code}"\n')
    task = Functions18(strategy=str(path), only=("factorial",))
    (prompt,) = task.prompts("test")
    verdict = task.verify(prompt, Completion("def factorial(n):\n    return math.factorial(n)\nEND\n)("))
    assert verdict.detail.startswith("exception [as_given"), verdict
    assert "ValueError: factorial()" in verdict.detail, "math is there, what follows the end is not"
    assert strategy(str(path)).stop == ("END",)


def test_a_role_and_an_instruction_are_rows_of_an_experiment():
    (system, user) = Functions18(strategy="chat_direct", system="You are a poet.").prompts("test")[0].content
    assert (system.content, user.content) == ("You are a poet.", f"```python\n{FIRST.prompt}```")
    (system, _) = Functions18(strategy="chat_direct", instruction="Return something.").prompts("test")[0].content
    assert system.content.endswith("no tests. Return something.")
    text = Functions18(instruction="Return something.").prompts("test")[0].content
    assert text == f"# Return something.\n{FIRST.prompt}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sytem: x", "sytem: unknown key; did you mean system"),
        ("chat: 1", "chat: must be true or false"),
        ("user: [x]", "user: must be a text"),
        ("stop: [1]", "stop: must be texts"),
        ("post_processing: magic", "unknown post-processing 'magic'; allowed: ast, completion, none"),
        ("exemplars: none.yaml", "none.yaml: there is no such file"),
        ("exemplars: [{cod: x}]", "must be a list"),
        ("exemplars: [{code: x, bdy: y}]", "bdy: unknown key; did you mean body"),
        ("- x", "expected keys"),
        ("a: [", "cannot be read"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path, text, message):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message) as caught:
        strategy(str(path))
    assert str(caught.value).startswith(str(path))


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="did you mean chat_direct"):
        strategy("chat_dirct")
    with pytest.raises(MissingResourceError):
        strategy("none.yaml")


def test_a_sweep_is_a_grid_of_experiments(tmp_path):
    (tmp_path / "mine.yaml").write_text("user: '{code}'")
    path = tmp_path / "code.yaml"
    path.write_text(
        "output: out\ndefaults: {model: tiny}\nexperiments:\n"
        "  - {name: one}\n"
        "  - name: grid\n"
        "    sweep: {temperature: [0.2, 1.0], strategy: [minimal, mine.yaml],\n"
        "      instruction: ['', 'Must include return.']}\n"
    )
    settings = load_code(path)
    names = [item.name for item in settings.experiments]
    assert len(names) == 1 + 8
    assert names[1:4] == ["grid-0.2-minimal-1", "grid-0.2-minimal-2", "grid-0.2-mine-1"]
    assert settings.experiments[3].strategy == str(tmp_path / "mine.yaml")
    assert settings.experiments[2].instruction == "Must include return."
    path.write_text(path.read_text().replace("[0.2, 1.0]", "[0.2, -1.0]"))
    with pytest.raises(SettingsError, match=r"code.yaml:5: experiments\[1\].temperature: must be greater"):
        load_code(path)


def test_a_changed_file_is_another_strategy(tmp_path):
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("user: 'a {code}'")
    two.write_text("user: 'b {code}'")
    assert digest(str(one)) != digest(str(two)) != digest("minimal")
