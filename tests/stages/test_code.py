"""Code experiments from YAML to one table, against a scripted server; broken-off runs; every shipped configuration."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from click.testing import CliRunner

from polychromic.cli import commands
from polychromic.code.json_programs import SCHEMA
from polychromic.code.prompting import strategy
from polychromic.core.errors import InputError, MissingResourceError, SettingsError
from polychromic.records.jsonl import read_json, read_rows
from polychromic.settings.code import load_code
from polychromic.stages import code
from polychromic.tasks.functions18 import Functions18

ROOT = Path(__file__).parents[2]
GOLD = {problem.entry_point: problem.gold for problem in Functions18().problems}


@pytest.fixture
def answering_server(serving):
    """A server that knows the gold programs: right in chat, wrong in completion; it can be told to fail."""
    state = {"requests": 0, "fail_after": 10**9}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state["requests"] += 1
            status = 200 if state["requests"] <= state["fail_after"] else 500
            asked = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
            name = asked.rpartition("def ")[2].partition("(")[0]
            right = f"```python\n{GOLD[name]}```"
            message = {"message": {"role": "assistant", "content": right}, "text": "    return None\n"}
            answer = json.dumps({"id": "1", "choices": [{"index": 0, "finish_reason": "stop", **message}]}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments):
            pass

    with serving(Handler) as url:
        yield url, state


def configuration(tmp_path: Path, url: str, extra: str = "") -> Path:
    path = tmp_path / "code.yaml"
    path.write_text(
        f"output: {tmp_path / 'out'}\n"
        "task: {kind: functions18, only: [filter_even, is_prime, factorial, find_index]}\n"
        "defaults:\n"
        "  model: tiny\n"
        f"  engine: {{kind: server, base_url: '{url}', parallel: 1, attempts: 1, longest_pause_s: 0}}\n"
        "  n: 2\n"
        "experiments:\n"
        "  - {name: chat, strategy: chat_cot}\n"
        "  - {name: base, strategy: minimal}\n"
        "  - {name: off, strategy: fewshot, enabled: false}\n" + extra
    )
    return path


def test_experiments_run_into_one_table_with_taxonomy_and_regression(tmp_path, answering_server):
    url, state = answering_server
    result = read_json(code.run(load_code(configuration(tmp_path, url))))
    chat, base = result["experiments"]
    assert [chat["name"], base["name"]] == ["chat", "base"]
    assert (chat["passed"], chat["samples"], chat["pass_at_k"]["1"]["score"]) == (8, 8, 1.0)
    assert (base["passed"], base["outcomes"]) == (0, {"wrong_answer": 8})
    assert (chat["rules"], base["rules"]) == ({"fence": 8}, {"body": 8})
    (change,) = result["regressions"]
    assert (change["a"], change["b"], change["lost"], change["gained"]) == ("chat", "base", 4, 0)
    assert change["p"] == pytest.approx(0.125)
    assert {item["group"] for item in change["changes"]} == {"wrong_answer"}
    assert state["requests"] == 16


def test_two_folders_of_verdicts_are_compared_by_problem(tmp_path, answering_server):
    url, _ = answering_server
    code.run(load_code(configuration(tmp_path, url)))
    arguments = ["code", "compare", str(tmp_path / "out" / "base"), str(tmp_path / "out" / "chat")]
    shown = CliRunner().invoke(commands, arguments, catch_exceptions=False).stdout
    assert "4 instead of 0 of 4 problems" in shown
    assert "gained 4, lost 0, exact McNemar p = 0.125" in shown
    assert "wrong_answer" in shown
    machine = json.loads(CliRunner().invoke(commands, [*arguments, "--json"], catch_exceptions=False).stdout)
    assert [change["gained"] for change in machine["changes"]] == [True] * 4
    with pytest.raises(MissingResourceError, match=r"has no verdicts\.jsonl"):
        code.compare(tmp_path, tmp_path)


def test_a_second_run_asks_nothing_and_a_larger_n_only_the_rest(tmp_path, answering_server):
    url, state = answering_server
    path = configuration(tmp_path, url)
    code.run(load_code(path), ["chat"])
    code.run(load_code(path), ["chat"])
    assert state["requests"] == 8
    path.write_text(path.read_text().replace("n: 2", "n: 3"))
    result = read_json(code.run(load_code(path), ["chat"]))
    assert state["requests"] == 12
    assert result["experiments"][0]["samples"] == 12


def test_a_server_that_goes_loses_no_finished_sample(tmp_path, answering_server):
    url, state = answering_server
    state["fail_after"] = 5
    path = configuration(tmp_path, url)
    result = read_json(code.run(load_code(path), ["chat"]))
    assert "refused with status 500" in result["experiments"][0]["failed"]
    kept = len(list(read_rows(tmp_path / "out" / "chat" / "samples.jsonl")))
    assert kept == 4
    state["fail_after"] = 10**9
    result = read_json(code.run(load_code(path), ["chat"]))
    assert result["experiments"][0]["passed"] == 8
    assert len(list(read_rows(tmp_path / "out" / "chat" / "samples.jsonl"))) == 8


def test_one_failing_experiment_does_not_take_the_others_down(tmp_path, answering_server):
    url, _ = answering_server
    extra = "  - {name: gone, engine: {kind: server, base_url: 'http://127.0.0.1:9/v1', attempts: 1}}\n"
    extra += "  - {name: lost, engine: transformers, adapter: ./nowhere}\n"
    path = configuration(tmp_path, url, extra)
    done = CliRunner().invoke(commands, ["code", str(path), "--only", "gone", "--only", "lost", "--only", "chat"])
    assert done.exit_code == 1
    assert "gone: failed: http://127.0.0.1:9/v1" in done.stdout
    assert "lost: failed: lost: there is no folder ./nowhere" in done.stdout
    assert "1.000" in done.stdout
    assert "8/8" in done.stdout


def test_a_changed_experiment_does_not_mix_with_the_old_samples(tmp_path, answering_server):
    url, _ = answering_server
    path = configuration(tmp_path, url)
    code.run(load_code(path), ["chat"])
    path.write_text(path.read_text().replace("chat_cot", "chat_direct"))
    with pytest.raises(InputError, match="holds an experiment with another strategy; give this one a new name"):
        code.run(load_code(path), ["chat"])


def test_an_experiment_that_drew_nothing_may_be_changed_and_shows_no_empty_table(tmp_path, answering_server):
    url, state = answering_server
    state["fail_after"] = 0
    path = configuration(tmp_path, url)
    shown = CliRunner().invoke(commands, ["code", str(path), "--only", "chat"]).stdout
    assert shown.lstrip().startswith("chat: failed: ")
    assert "extraction rules" not in shown
    state["fail_after"] = 10**9
    path.write_text(path.read_text().replace("chat_cot", "chat_direct"))
    assert read_json(code.run(load_code(path), ["chat"]))["experiments"][0]["passed"] == 8


def test_only_and_enabled(tmp_path):
    settings = load_code(configuration(tmp_path, "http://127.0.0.1:9/v1"))
    assert [item.name for item in code.choose(settings, [])] == ["chat", "base"]
    assert [item.name for item in code.choose(settings, ["off"])] == ["off"]
    with pytest.raises(InputError, match="'cht' is no experiment; did you mean chat"):
        code.choose(settings, ["cht"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("n: 2", "nn: 2"), r"code.yaml:6: experiments\[0\].nn: unknown key; did you mean n\?"),
        (("strategy: minimal", "strategy: maximal"), r"code.yaml:9: .*strategy: 'maximal' is no .*mean minimal"),
        (("strategy: minimal", "strategy: mine.yaml"), r"code.yaml:9: .*'mine.yaml': there is no such file"),
        (("n: 2", "sweep: {n: 2}"), r"code.yaml:8: experiments\[0\].sweep: must give a list"),
        (("output:", "outptu:"), r"outptu: unknown key|output: is missing"),
        (("name: base", "name: chat"), "two experiments have the same name"),
        (("parallel: 1", "paralel: 1"), "unknown option of server; did you mean parallel"),
        (("kind: functions18", "kind: functions81"), "unknown task 'functions81'; did you mean functions18"),
        (("n: 2", "n: 0"), r"experiments\[0\].n: must be greater than or equal to 1"),
        (("  model: tiny\n", ""), None),
        (("task:", "baseline: nobody\ntask:"), "baseline 'nobody' is no experiment"),
    ],
)
def test_a_wrong_configuration_is_one_line(tmp_path, change, message):
    path = configuration(tmp_path, "http://127.0.0.1:9/v1")
    path.write_text(path.read_text().replace(*change))
    if message is None:
        assert load_code(path).experiments[0].model == ""
        return
    with pytest.raises(SettingsError, match=message) as caught:
        load_code(path)
    assert "\n" not in str(caught.value)


def test_missing_files_and_tasks_without_programs_are_named(tmp_path):
    with pytest.raises(MissingResourceError):
        load_code(tmp_path / "none.yaml")
    path = configuration(tmp_path, "http://127.0.0.1:9/v1")
    path.write_text(
        path.read_text().replace(
            "{kind: functions18, only: [filter_even, is_prime, factorial, find_index]}", "countdown"
        )
    )
    with pytest.raises(InputError, match="judges no programs"):
        code.run(load_code(path))


@pytest.mark.parametrize("path", sorted((ROOT / "config" / "code").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_configuration_loads(path):
    settings = load_code(path)
    assert code.choose(settings, [])
    assert settings.output.startswith("runs/code/")


def test_the_embedded_base_goes_the_whole_way(tmp_path):
    settings = load_code(ROOT / "config" / "code" / "embedded.yaml")
    settings = settings.model_copy(update={"output": str(tmp_path)})
    result = read_json(code.run(settings, ["warm"]))
    (found,) = result["experiments"]
    assert (found["samples"], found["tasks"]) == (16, 4)
    assert found["passed"] == 0
    assert sum(found["outcomes"].values()) == 16


BOUNDED = """\
output: {out}
task: {{kind: functions18, only: [filter_even, is_prime]}}
defaults: {{model: "embedded:countdown", n: 3, max_new_tokens: 24, temperature: 1.0}}
experiments:
  - {{name: bounded, engine: {{kind: transformers, schema: {{enum: [return 1, return True]}}}}}}
  - {{name: tree, strategy: structured, enabled: false}}
  - {{name: asked, strategy: structured, engine: {{kind: transformers, schema: null}}, enabled: false}}
"""


def test_a_schema_bounds_the_model_in_process_and_is_known_again(tmp_path):
    pytest.importorskip("xgrammar", reason="the structured extra is not installed")
    path = tmp_path / "code.yaml"
    path.write_text(BOUNDED.format(out=tmp_path / "out"))
    settings = load_code(path)
    assert [code._engine(item, strategy(item.strategy)).get("schema") for item in settings.experiments[1:]] == [
        SCHEMA,
        None,
    ]
    code.run(settings)
    samples = tmp_path / "out" / "bounded" / "samples.jsonl"
    rows = [row for _, row in read_rows(samples)]
    assert {row["text"] for row in rows} <= {'"return 1"', '"return True"'}
    assert all(row["decoding"]["constraint"].startswith("json_schema:") for row in rows)
    drawn = samples.read_bytes()
    code.run(settings)
    assert samples.read_bytes() == drawn
