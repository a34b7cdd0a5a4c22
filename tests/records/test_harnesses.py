"""Files that other harnesses write, in rows of the same form: each becomes sample sets and verdicts, or one line."""

import json
import zipfile

import pytest

from polychromic.core.errors import InputError, RecordError
from polychromic.core.nouns import Message, Status
from polychromic.records.foreign import is_native, read_foreign
from polychromic.stages import measure

PASSED, FAILED, ABSENT = Status.PASSED, Status.FAILED, Status.ABSENT


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def found(path):
    """Texts, statuses and answers of each prompt."""
    sets, verdicts = read_foreign(path, "m")
    assert not is_native(path)
    assert {stored.model for stored in sets} == {"m"}
    judged = {}
    for (_, prompt, _, _), verdict in verdicts.items():
        judged.setdefault(prompt, []).append((verdict.status, verdict.answer))
    return {stored.samples.prompt.id: (stored.samples.texts, judged.get(stored.samples.prompt.id)) for stored in sets}


def lm_eval(doc, texts, **more):
    request = {"arg_0": f"Question {doc}", "arg_1": {"until": ["\n"], "do_sample": True, "temperature": 0.7}}
    return {"doc_id": doc, "doc": {}, "target": "4", "arguments": {"gen_args_0": request}, "resps": [texts]} | more


def test_lm_eval_with_one_response(tmp_path):
    more = {"filter": "strict-match", "metrics": ["exact_match"]}
    rows = [
        lm_eval(0, ["so 4"], filtered_resps=["4"], exact_match=1.0, **more),
        lm_eval(1, ["so 5"], filtered_resps=["5"], exact_match=0.0, **more),
        lm_eval(0, ["so 4"], filtered_resps=["four"], exact_match=0.0, **(more | {"filter": "flexible"})),
    ]
    path = lines(tmp_path / "samples_gsm8k.jsonl", rows)
    assert found(path) == {"0": (("so 4",), [(PASSED, "4")]), "1": (("so 5",), [(FAILED, "5")])}
    (first, _), _ = read_foreign(path, "m")
    assert (first.temperature, first.samples.prompt.content) == (0.7, "Question 0")


def test_lm_eval_with_repeats_has_no_verdict_on_one_of_them(tmp_path):
    row = lm_eval(0, ["a", "b"], filtered_resps=["a"], metrics=["exact_match"], exact_match=1.0, filter="none")
    old = row | {"arguments": [["Question 0", {"do_sample": False}]]}
    assert found(lines(tmp_path / "new.jsonl", [row])) == {"0": (("a", "b"), None)}
    assert found(lines(tmp_path / "old.jsonl", [old])) == {"0": (("a", "b"), None)}


def test_lm_eval_of_log_likelihoods_has_no_text(tmp_path):
    path = lines(tmp_path / "x.jsonl", [lm_eval(0, [["-1.2", "False"]])])
    with pytest.raises(RecordError, match=r"x\.jsonl:1: holds log-likelihoods"):
        read_foreign(path, "m")


def inspect_log():
    def sample(name, epoch, text, value, answer=None, stop="stop"):
        choice = {"message": {"role": "assistant", "content": text}, "stop_reason": stop}
        return {
            "id": name,
            "epoch": epoch,
            "input": [{"role": "user", "content": "2+2?"}],
            "output": {"model": "x", "choices": [choice], "completion": text},
            "scores": {"match": {"value": value, "answer": answer}},
            "attachments": {"0f": "a long answer"},
        }

    return {
        "version": 2,
        "eval": {"task": "sums", "model": "openai/x"},
        "plan": {"config": {"temperature": 0.5}},
        "samples": [
            sample("q", 1, "4", "C", "4"),
            sample("q", 2, "attachment://0f", "I", stop="max_tokens"),
            sample(7, 1, [{"type": "text", "text": "4"}, {"type": "image"}], 0.5) | {"output": {"choices": [
                {"message": {"content": [{"type": "text", "text": "fo"}, {"type": "text", "text": "ur"}]}}
            ]}},
        ],
    }  # fmt: skip


def archive(path, log, header="header.json"):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(header, json.dumps({name: log[name] for name in ("version", "eval", "plan")}))
        for sample in log["samples"]:
            made.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample))
    return path


def test_inspect_logs_in_both_forms(tmp_path):
    log = inspect_log()
    (tmp_path / "log.json").write_text(json.dumps(log, indent=1))
    expected = {
        "q": (("4", "a long answer"), [(PASSED, "4"), (FAILED, None)]),
        "7": (("four",), [(FAILED, None)]),
    }
    assert found(tmp_path / "log.json") == expected
    for header in ("header.json", "start.json"):
        assert found(archive(tmp_path / "log.eval", log, header)) == expected
    stored = {each.samples.prompt.id: each for each in read_foreign(tmp_path / "log.json", "m")[0]}
    assert [each.finished for each in stored["q"].samples.completions] == [True, False]
    assert stored["q"].samples.prompt.content == (Message("user", "2+2?"),)
    assert (stored["q"].temperature, stored["7"].samples.prompt.payload) == (0.5, {"scores": [0.5]})


def test_evalplus_results(tmp_path):
    def of(status, plus):
        return {"task_id": "x", "solution": f"# {plus}", "base_status": status, "plus_status": plus}

    tasks = {"HumanEval/0": [of("pass", "pass"), of("pass", "fail")], "HumanEval/1": [of("pass", None)]}
    log = {"date": "now", "eval": tasks}
    (tmp_path / "x_eval_results.json").write_text(json.dumps(log))
    assert found(tmp_path / "x_eval_results.json") == {
        "HumanEval/0": (("# pass", "# fail"), [(PASSED, None), (FAILED, None)]),
        "HumanEval/1": (("# None",), [(PASSED, None)]),
    }
    path = lines(tmp_path / "samples.jsonl", [{"task_id": "HumanEval/0", "solution": "pass"}])
    assert found(path) == {"HumanEval/0": (("pass",), None)}


def test_lighteval_details_of_both_years(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    new = [
        {"doc": {"id": "a", "query": "2+2?"}, "model_response": {"text": ["4"]}, "metric": {"em": 1.0}},
        {"doc": {"id": "b", "query": "3+3?"}, "model_response": {"text": ["6", "7"]}, "metric": {"pass@1": 0.5}},
    ]
    parquet.write_table(arrow.Table.from_pylist(new), tmp_path / "new.parquet")
    assert found(tmp_path / "new.parquet") == {"a": (("4",), [(PASSED, None)]), "b": (("6", "7"), [(ABSENT, None)] * 2)}
    old = [{"full_prompt": "2+2?", "predictions": ["5"], "metrics": {"em": 0.0}}]
    parquet.write_table(arrow.Table.from_pylist(old), tmp_path / "old.parquet")
    assert found(tmp_path / "old.parquet") == {"0": (("5",), [(FAILED, None)])}


def test_damaged_files_are_one_line(tmp_path):
    log = inspect_log()
    del log["samples"][1]["id"]
    whole = tmp_path / "lacks.json"
    whole.write_text(json.dumps(log))
    with pytest.raises(RecordError, match=r"lacks\.json:2: the sample lacks what its harness writes"):
        read_foreign(whole, "m")
    raw = archive(tmp_path / "log.eval", inspect_log()).read_bytes()
    for content in (b"", b"PK\x03\x04", raw[: len(raw) // 2], raw[:60] + b"\x00" * 20 + raw[80:]):
        (tmp_path / "bad.eval").write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_foreign(tmp_path / "bad.eval", "m")
        assert "\n" not in str(caught.value)
    pytest.importorskip("pyarrow")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1" + b"\x00" * 50)
    with pytest.raises(RecordError, match="not a Parquet file"):
        read_foreign(tmp_path / "bad.parquet", "m")


def test_novelty_bench_with_its_partition_and_scores(tmp_path):
    """The form its partition and score steps write; a rating of 1 to 10, of a repetition 0."""
    row = {
        "id": "curated-1",
        "prompt": "Name a fruit.",
        "model": "them",
        "generations": ["plum", "fig", "a plum", "kiwi"],
    }
    path = lines(tmp_path / "scores.jsonl", [row | {"partition": [0, 1, 0, 2], "generation_scores": [4, 7, 0, 2]}])
    sets, judged = read_foreign(path, "m")
    (only,) = sets
    assert only.samples.texts == ("plum", "fig", "a plum", "kiwi")
    assert only.samples.prompt.payload["scores"] == [4.0, 7.0, 0.0, 2.0]
    assert [verdict.answer for verdict in judged.values()] == ["0", "1", "0", "2"]
    metrics = measure.pinned_metrics(sets, True, measure.Measuring())
    found = {row.signature: row.score for row in measure.scores(measure.measure(sets, judged, metrics))}
    utility = "noveltybench|score:utility|same_by:answer|k:4|patience:0.8|quality:score"
    assert found[utility] == pytest.approx((4 + 0.8 * 7 + 0.8**3 * 2) / (1 + 0.8 + 0.8**2 + 0.8**3))
    assert found["noveltybench|score:distinct|same_by:text|k:4"] == 4
    assert found["mean_score"] == 3.25
    assert found_texts(lines(tmp_path / "generations.jsonl", [row])) == {"curated-1": ("plum", "fig", "a plum", "kiwi")}


def found_texts(path):
    sets, judged = read_foreign(path, "m")
    assert judged == {}
    return {stored.samples.prompt.id: stored.samples.texts for stored in sets}


def test_bare_verdicts(tmp_path):
    """Prompt, sample and pass or fail, in any of the forms; no text, so that nothing is said of texts."""
    forms = [
        [{"prompt_id": "a", "sample_id": f"s{i}", "status": word} for i, word in enumerate(("Pass", "fail", "absent"))],
        [{"prompt_id": "a", "sample_index": i, "passed": value} for i, value in enumerate((True, False, None))],
        [{"prompt_id": "a", "passed": [True, False, None], "answer": None}],
    ]
    forms[1][2]["answer"] = "?"
    for number, rows in enumerate(forms):
        ((texts, judged),) = found(lines(tmp_path / f"{number}.jsonl", rows)).values()
        assert texts == ("", "", "")
        assert [status for status, _ in judged] == [PASSED, FAILED, ABSENT]
    rows = [{"prompt_id": f"p{i}", "passed": [True, i % 2 == 0]} for i in range(4)]
    sets, judged = read_foreign(lines(tmp_path / "v.jsonl", rows), "m")
    metrics = measure.pinned_metrics(sets, True, measure.Measuring())
    assert {"pass_at_k|k:1", "pass_at_k|k:2"} <= {metric.signature for metric in metrics}
    assert all("verifier" in metric.needs for metric in metrics)
    scored = lines(tmp_path / "s.jsonl", [{"prompt_id": f"p{i}", "score": i / 4} for i in range(4)])
    sets, judged = read_foreign(scored, "m")
    assert [metric.signature for metric in measure.pinned_metrics(sets, bool(judged), measure.Measuring())] == [
        "mean_score"
    ]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"prompt_id": "a"}], "neither a text nor a completion, and no passed, score or answer"),
        ([{"prompt_id": "a", "status": "perhaps"}], "status 'perhaps' is none of passed, pass, correct"),
        ([{"prompt_id": "a", "sample_id": "x", "passed": 1}] * 2, "sample 'x' of prompt 'a' is given twice"),
    ],
)
def test_bare_verdicts_that_cannot_be_read(tmp_path, rows, said):
    with pytest.raises(RecordError, match=said):
        read_foreign(lines(tmp_path / "x.jsonl", rows), "m")
