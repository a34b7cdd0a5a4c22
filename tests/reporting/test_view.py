"""`polychromic view` by plain HTTP: it shows what the files say, to this machine alone, and writes nothing."""

import json
import re
from http.client import HTTPConnection

import pytest
from click.testing import CliRunner

from polychromic.cli.view import command
from polychromic.core.errors import InputError, MissingResourceError
from polychromic.project.view import Server
from polychromic.reporting import view


def get(server, path, method="GET", **headers):
    connection = HTTPConnection(*server.server_address[:2], timeout=20)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer, text


def cells(html, name):
    """The texts of the row whose link is ``name``."""
    row = next(row for row in html.split("<tr>") if f">{name}</a>" in row)
    return [re.sub("<[^>]*>", "", cell).strip() for cell in row.split("</td>")]


def states_of(root):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in root.rglob("*")}


def test_the_list_says_of_each_run_what_its_files_say(viewed, project):
    before = states_of(project)
    _, html = get(viewed, "/")
    assert cells(html, "a run")[1:4] == ["1.500", "", "3"]
    assert re.fullmatch(r"last number \d+ s ago", cells(html, "a run")[4])
    assert cells(html, "a run")[5:7] == ["", "2.50"]
    hostile = cells(html, "x&lt;img src=x onerror=alert(1)&gt;\\u202e")
    assert hostile[4] == "finished 2026-01-02 03:04"
    levels = {"moderate": json.loads((project / "evaluation" / "comparison.json").read_text())["verdicts"][0]["level"]}
    assert hostile[5] == levels["moderate"]
    assert "<img" not in html
    assert "base, sft, moderate, aggressive" in html
    assert states_of(project) == before


def test_settings_are_compared_where_they_differ(viewed, project):
    both = "&".join(f"at={view.address(path.name)}" for path in project.iterdir() if path.name != "evaluation")
    _, html = get(viewed, f"/compare?{both}")
    table = html.split('id="setting-list"')[1]
    assert "polychromic.lambda" in table
    assert "lora.r" not in table
    _, alone = get(viewed, f"/run?at={view.address('a run')}")
    assert "lora.r" in alone
    assert "&lt;/script&gt;" in alone  # the completion of a held-out prompt
    assert "sk-aaa" not in alone
    assert "<img" not in alone


def test_a_section_that_one_run_lacks_is_shown_by_its_settings():
    both = [{"a": {"b": {"c": 1}, "d": None}, "e": 2}, {"a": None, "e": 2}]
    assert view.setting_rows(both) == [("a.b.c", ["1", ""])]
    assert view.setting_rows([{"a": {"b": {"c": 1}, "d": []}}]) == [("a.b.c", ["1"]), ("a.d", ["[]"])]


def test_curves_follow_the_file(viewed, project):
    path = f"/curves?at={view.address('a run')}"
    first = json.loads(get(viewed, path)[1])
    assert first["panels"] == {"demonstration loss": [[1.0, 2.0, 3.0], [1.0, 0.5, 1 / 3]]}
    assert not first["done"]
    with (project / "a run" / "metrics.jsonl").open("a") as log:
        log.write('{"step": 4, "loss": 0.25}\n{"step": 5, "lo')  # a row that is being written
    assert json.loads(get(viewed, path)[1])["panels"]["demonstration loss"][0] == [1.0, 2.0, 3.0, 4.0]


def test_samples_and_the_report_of_an_evaluation(viewed):
    at = view.address("evaluation")
    answer, html = get(viewed, f"/samples?at={at}")
    assert 'id="which"' in html
    assert f"/report?at={at}" in html
    assert "test-0007" in html.split('id="data"')[1]
    answer, html = get(viewed, f"/report?at={at}")
    assert html == "<p>the report"
    assert "sandbox allow-scripts;" in answer.headers["Content-Security-Policy"]


def test_only_this_machine_reads_and_nobody_writes(viewed):
    assert viewed.server_address[0] == "127.0.0.1"
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", ""):
        answer, text = get(viewed, "/", Host=host)
        assert (answer.status, text) == (403, "only for this machine\n")
    assert get(viewed, "/", Host="localhost:1234")[0].status == 200
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert get(viewed, "/", method)[0].status == 501
    assert "Access-Control-Allow-Origin" not in get(viewed, "/")[0].headers


@pytest.mark.parametrize("path", ["/x", "/../etc/passwd", "/report?at=../../etc", "/run?at=evaluation"])
def test_nothing_else_is_served(viewed, path):
    answer, html = get(viewed, path)
    assert answer.status == 404
    assert "root:" not in html


def test_a_damaged_file_costs_its_row_alone(viewed, project):
    (project / "a run" / "run.json").write_text("{<b>")
    (project / "evaluation" / "comparison.json").write_text("[]")
    answer, html = get(viewed, "/")
    assert answer.status == 200
    assert html.count('class="text worse"') == 1
    assert "run.json: not JSON" in html
    assert "finished 2026" in html
    answer, html = get(viewed, f"/run?at={view.address('a run')}")
    assert (answer.status, "run.json: not JSON" in html) == (400, True)
    assert get(viewed, "/run")[0].status == 400


def test_long_curves_are_thinned_and_keep_their_end():
    steps, values = view.thinned(list(range(10_001)), list(range(10_001)))
    assert steps == values
    assert len(steps) <= view.MOST_POINTS
    assert steps[-1] == 10_000
    assert view.thinned([1.0, 2.0], [3.0, 4.0]) == ([1.0, 2.0], [3.0, 4.0])


def test_what_cannot_be_served(viewed, tmp_path):
    with pytest.raises(MissingResourceError, match="no such folder"):
        Server(tmp_path / "none")
    with pytest.raises(InputError, match=r"--port \d+: address already in use"):
        Server(tmp_path, viewed.server_address[1])
    assert CliRunner().invoke(command, ["--help"]).exit_code == 0
