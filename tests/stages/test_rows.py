"""The rows of a configuration: one source or several, mixed by weights."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from polychromic.cli import data as verb
from polychromic.core.errors import InputError, SettingsError
from polychromic.records.conversations import refuse
from polychromic.settings.load import settings_from
from polychromic.settings.schema import DataSection
from polychromic.stages.data import examine
from polychromic.stages.demonstrations import load_data
from polychromic.stages.rows import read_demonstrations


@pytest.fixture
def files(tmp_path):
    """Ten rows a and twenty rows b, as CSV and JSONL."""
    (tmp_path / "a.csv").write_text("q,a\n" + "".join(f"a{n},{n}\n" for n in range(10)))
    (tmp_path / "b.jsonl").write_text(
        "".join(json.dumps({"prompt": f"b{n}", "completion": "x"}) + "\n" for n in range(20))
    )
    return tmp_path


def sources(files, *weights):
    found = [
        {"file": str(files / "a.csv"), "columns": {"prompt": "q", "completion": "a"}},
        {"file": str(files / "b.jsonl")},
    ]
    return [one | ({"weight": weight} if weight else {}) for one, weight in zip(found, weights, strict=True)]


@pytest.mark.parametrize(
    ("weights", "sizes"), [((None, None), (10, 20)), ((1, 1), (10, 10)), ((3, 1), (10, 3)), ((1, 4), (5, 20))]
)
def test_weights_are_shares_of_the_mixture_and_no_row_counts_twice(files, weights, sizes):
    section = DataSection(sources=sources(files, *weights))
    read = read_demonstrations(section, refuse)
    assert tuple(count for _, count in read.sources) == sizes
    contents = [example.prompt.content for example in read.examples]
    assert len(set(contents)) == len(contents) == sum(sizes)
    assert [example.prompt for example in read.examples] == [
        example.prompt
        for example in read_demonstrations(DataSection(sources=sources(files, *weights)), refuse).examples
    ]


def test_what_sources_may_say(files):
    with pytest.raises(ValueError, match="each a weight, or none"):
        DataSection(sources=sources(files, 1, None))
    with pytest.raises(ValueError, match="columns and subset stand with each"):
        DataSection(sources=sources(files, None, None), columns={"prompt": "q"})
    values = {"experiment": {"name": "x"}, "model": {"name_or_path": "m"}}
    with pytest.raises(SettingsError, match=r"data\.sources\[?\.?0\]?\.fil: unknown key; did you mean file"):
        settings_from(values | {"data": {"sources": [{"fil": "a"}]}})
    with pytest.raises(SettingsError, match="give file or dataset"):
        settings_from(values | {"data": {"sources": [{"split": "a"}]}})


def test_one_id_for_two_prompts_of_two_sources_is_refused(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"prompt": name, "completion": "x", "id": 1}) + "\n")
    section = DataSection(sources=[{"file": str(tmp_path / f"{name}.jsonl")} for name in "ab"])
    with pytest.raises(InputError, match=r"b\.jsonl:1: the id is that of .*a\.jsonl:1, which has another prompt"):
        read_demonstrations(section, refuse)


def test_no_row_after_the_wanted_ones_is_read(files):
    with (files / "b.jsonl").open("a") as file:
        file.write("{broken\n")
    section = DataSection(train_file=str(files / "b.jsonl"), max_examples=4)
    assert len(read_demonstrations(section, refuse).examples) == 4


def test_rows_of_one_prompt_that_differ_in_a_judged_column_are_said(tmp_path):
    rows = [{"prompt": "p", "completion": str(n), "answer": str(n)} for n in (1, 2)]
    rows += [{"prompt": f"p{n}", "completion": str(n), "answer": str(n)} for n in range(60)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    section = DataSection(train_file=str(tmp_path / "a.jsonl"), task={"kind": "answer"})
    with pytest.warns(UserWarning, match="1 prompts have rows that differ in columns such as 'answer'; answer sees"):
        load_data(section)


def test_data_check_takes_a_configuration_and_says_the_forms(files, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        json.dumps(
            {
                "experiment": {"name": "x"},
                "model": {"name_or_path": "m"},
                "data": {"sources": sources(files, None, None)},
            }
        )
    )
    found = CliRunner().invoke(verb.command, ["check", str(tmp_path / "mine.yaml")])
    assert found.exit_code == 0
    assert "30 rows (30 prompt + completion)" in found.output
    mixed = [
        {"instruction": "a", "output": "b", "level": 1},
        {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
    ]
    (tmp_path / "mixed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in mixed))
    report = examine(tmp_path / "mixed.jsonl")
    assert set(report.forms) == {"Alpaca (instruction, input, output)", "ShareGPT (conversations)"}
    assert report.lacking == {"level": 1}
    assert (
        "plain prompts among conversations: 1"
        in CliRunner().invoke(verb.command, ["check", str(tmp_path / "mixed.jsonl")]).output
    )
