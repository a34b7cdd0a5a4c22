"""The samples in the page: grouped, counted, cut to size, never lost without a word."""

import json

import pytest

from polychromic.reporting import drilldown


def rows(prompts, texts, model="sft", temperature=1.0):
    for i in range(prompts):
        for j, text in enumerate(texts(i)):
            yield {
                "model": model,
                "adapter": "",
                "seed": 0,
                "prompt_id": f"p{i:04d}",
                "prompt": f"question {i}",
                "decoding": {"temperature": temperature},
                "sample_index": j,
                "text": text,
                "finished": j != 3,
            }


def write(path, found):
    path.write_text("".join(json.dumps(row) + "\n" for row in found))


def verdict(prompt, index, status, answer=None, model="sft"):
    common = {"model": model, "prompt_id": prompt, "temperature": 1.0, "sample_index": index}
    return common | {"status": status, "answer": answer}


def test_equal_samples_are_grouped_and_counted(tmp_path):
    write(tmp_path / "samples.jsonl", rows(1, lambda i: ["a", "b", "a", "a"]))
    found = drilldown.load(tmp_path, ["sft"])
    ((model, temperature, groups, hidden),) = found["prompts"][0]["sets"]
    assert (model, temperature, hidden) == (0, 0, [])
    assert [group[:2] for group in groups] == [["a", 2], ["a", 1], ["b", 1]]  # the third "a" was cut off
    assert [group[4] for group in groups] == [1, 0, 1]


def test_right_answers_come_first_and_share_a_place(tmp_path):
    write(tmp_path / "samples.jsonl", rows(1, lambda i: ["w", "3+4", "4+3"]))
    judged = [verdict("p0000", 0, "failed"), verdict("p0000", 1, "passed", "7"), verdict("p0000", 2, "passed", "7")]
    write(tmp_path / "verdicts.jsonl", judged)
    groups = drilldown.load(tmp_path, ["sft"])["prompts"][0]["sets"][0][2]
    assert [(group[0], group[2], group[3]) for group in groups] == [
        ("3+4", "passed", 0),
        ("4+3", "passed", 0),
        ("w", "failed", 1),
    ]


def test_prompts_with_the_largest_spread_come_first(tmp_path):
    found = [*rows(3, lambda i: ["x", "y"]), *rows(3, lambda i: ["x", "y"], "new")]
    write(tmp_path / "samples.jsonl", found)
    judged = [verdict("p0001", j, "passed", str(j), "new") for j in range(2)]
    write(tmp_path / "verdicts.jsonl", judged)
    assert drilldown.load(tmp_path, ["sft", "new"])["prompts"][0]["id"] == "p0001"


@pytest.mark.parametrize("length", [20, 4000])
def test_the_budget_is_kept_and_the_rest_is_counted(tmp_path, length):
    write(tmp_path / "samples.jsonl", rows(500, lambda i: [f"{j} " + "é" * length for j in range(12)]))
    found = drilldown.load(tmp_path, ["sft"])
    assert len(json.dumps(found)) <= drilldown.BUDGET + 1000
    assert found["all"] == 500
    assert len(found["prompts"]) == drilldown.MOST_PROMPTS
    for prompt in found["prompts"]:
        _, _, groups, hidden = prompt["sets"][0]
        assert sum(group[1] for group in groups) + sum(group[0] for group in hidden) == 12


def test_conversations_are_written_out(tmp_path):
    found = list(rows(1, lambda i: ["hi"]))
    found[0]["prompt"] = [{"role": "user", "content": "Say hi."}]
    write(tmp_path / "samples.jsonl", found)
    assert drilldown.load(tmp_path, ["sft"])["prompts"][0]["prompt"] == "user: Say hi."


def test_no_samples(tmp_path):
    assert drilldown.load(tmp_path, ["sft"]) is None
