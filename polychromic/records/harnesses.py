"""Other harnesses' files as rows of ours: inspect, lm-evaluation-harness, lighteval, evalplus, NoveltyBench, by form.

A row says ``prompt_id``, ``text`` (a string, or a list of all the prompt's samples), and what the harness knows of
``passed``, ``answer``, ``score``, ``finished``, ``prompt``, ``sample_index`` and ``temperature``. A score is
of one sample: where a harness has one number for several samples, they are not judged. None of the harnesses is needed.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from polychromic.core.errors import MissingResourceError, RecordError
from polychromic.core.escaping import one_line
from polychromic.records.jsonl import MAX_LINE_BYTES, Row, read_json, read_rows

WORDS = {"C": 1.0, "I": 0.0, "N": 0.0, "P": 0.5}
"""inspect's words for correct, incorrect, no answer and partly correct."""
CUT = ("max_tokens", "model_length")
"""inspect's reasons to stop that cut an answer off."""
ATTACHED = "attachment://"


def first_row(path: str | Path) -> Row:
    """The first row of a JSONL file, empty for any other."""
    try:
        return next((row for _, row in read_rows(path)), {})
    except RecordError:
        return {}


def harness_rows(path: str | Path) -> Iterator[tuple[int, Row]] | None:
    """The file's samples with a number for each, that of its line or place; None when it is no harness's file.

    Raises:
        RecordError: the file is damaged, or holds no text that a model wrote.
        MissingResourceError: it is Parquet and pyarrow is not installed, or there is no such file.
    """
    suffix = Path(path).suffix
    if suffix == ".eval":
        return _converted(path, enumerate(_inspect_archive(path), start=1), _inspect)
    if suffix == ".parquet":
        return _converted(path, enumerate(_parquet(path)), _lighteval)
    if suffix == ".json":
        return _json_file(path)
    first = first_row(path)
    if isinstance(first.get("generations"), list):
        return _converted(path, read_rows(path), _novelty_bench)
    if "doc_id" in first and ("resps" in first or "filtered_resps" in first):
        wanted = first.get("filter")
        kept = ((line, row) for line, row in read_rows(path) if row.get("filter") == wanted)
        return _converted(path, kept, _lm_eval)
    return None


def _converted(
    path: str | Path, rows: Iterator[tuple[int, Row]], convert: Callable[[int, Row], Row]
) -> Iterator[tuple[int, Row]]:
    for number, row in rows:
        try:
            yield number, {name: value for name, value in convert(number, row).items() if value is not None}
        except (KeyError, IndexError, TypeError, AttributeError):
            raise RecordError(f"{path}:{number}: the sample lacks what its harness writes") from None
        except ValueError as error:
            raise RecordError(f"{path}:{number}: {error}") from None


def _json_file(path: str | Path) -> Iterator[tuple[int, Row]] | None:
    try:
        whole = read_json(path)
    except RecordError:  # JSON Lines under another name
        return None
    about, samples = whole.get("eval"), whole.get("samples")
    if isinstance(samples, list) and isinstance(about, dict):
        facts = _inspect_facts(whole)
        return _converted(path, enumerate(({**facts, **each} for each in samples), start=1), _inspect)
    if isinstance(about, dict) and all(isinstance(each, list) for each in about.values()):
        found = [{**each, "task_id": task} for task, several in about.items() for each in several]
        return _converted(path, enumerate(found, start=1), _evalplus)
    return None


def _evalplus(_: int, row: Row) -> Row:
    status = row.get("plus_status") or row["base_status"]
    return {"prompt_id": row["task_id"], "text": row["solution"], "passed": status == "pass"}


def _novelty_bench(_: int, row: Row) -> Row:
    """Generations of one prompt, with the class of each as its answer and its score, as far as they were made."""
    partition, scores = row.get("partition"), row.get("generation_scores")
    return {
        "prompt_id": row["id"],
        "text": row["generations"],
        "prompt": row.get("prompt"),
        "answer": None if partition is None else [str(each) for each in partition],
        "score": scores,
    }


def _inspect_archive(path: str | Path) -> Iterator[Row]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            start = next(name for name in ("header.json", "_journal/start.json", "start.json") if name in names)
            facts = _inspect_facts(_member(archive, start))
            for name in sorted(each for each in names if each.startswith("samples/") and each.endswith(".json")):
                yield {**facts, **_member(archive, name)}
    except FileNotFoundError:
        raise MissingResourceError(f"{path}: there is no such file") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, StopIteration, RuntimeError, ValueError) as error:
        reason = one_line(str(error)) or "it has no header"
        raise RecordError(f"{path}: not a log of inspect that can be read: {reason}") from None


def _member(archive: zipfile.ZipFile, name: str) -> Row:
    if archive.getinfo(name).file_size > MAX_LINE_BYTES:
        raise ValueError(f"a member is longer than {MAX_LINE_BYTES // 2**20} MB")
    found = json.loads(archive.read(name))
    if not isinstance(found, dict):
        raise ValueError("a member holds no object")
    return found


def _inspect_facts(header: Mapping[str, Any]) -> Row:
    """What every sample of a log shares: its temperature."""
    about, plan = header.get("eval") or {}, header.get("plan") or {}
    settings = {**(about.get("model_generate_config") or {}), **(plan.get("config") or {})}
    return {"_temperature": settings.get("temperature")}


def _inspect(_: int, row: Row) -> Row:
    output, scores = row.get("output") or {}, row.get("scores") or {}
    choice: Mapping[str, Any] = next(iter(output.get("choices") or ()), {})
    text = output.get("completion") or _content((choice.get("message") or {}).get("content"))
    attached = row.get("attachments") or {}
    if text.startswith(ATTACHED):
        text = attached[text.removeprefix(ATTACHED)]
    judged: Mapping[str, Any] = next(iter(scores.values()), {})
    return {
        "prompt_id": row["id"],
        "sample_index": row.get("epoch", 1) - 1,
        "text": text,
        "prompt": _turns(row.get("input")),
        "answer": judged.get("answer"),
        "finished": choice.get("stop_reason") not in CUT,
        "temperature": row["_temperature"],
        **_graded(judged.get("value")),
    }


def _content(content: Any) -> str:
    """A message's text: a string, or the text parts of a list."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    return content or ""


def _turns(given: Any) -> Any:
    if not isinstance(given, list):
        return given
    return [{"role": turn["role"], "content": _content(turn["content"])} for turn in given]


def _graded(value: Any) -> Row:
    """A score in [0, 1] and whether it is full; a score on another scale alone; nothing for anything else."""
    if isinstance(value, str):
        value = WORDS.get(value)
    if isinstance(value, bool | int | float):
        return {"score": float(value)} | ({"passed": value >= 1} if 0 <= value <= 1 else {})
    return {}


def _lm_eval(_: int, row: Row) -> Row:
    texts = row["resps"][0] if "resps" in row else row["filtered_resps"]
    texts = [texts] if isinstance(texts, str) else list(texts)
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError("holds log-likelihoods, and no text that a model wrote")
    metric = next((name for name in row.get("metrics") or () if isinstance(row.get(name), int | float)), None)
    single, filtered = len(texts) == 1, row.get("filtered_resps") or [None]
    named = filtered[0] if single and isinstance(filtered[0], str) and filtered[0] != texts[0] else None
    prompt, settings = _request(row.get("arguments"))
    return {
        "prompt_id": row["doc_id"],
        "text": texts,
        "prompt": prompt if isinstance(prompt, str) else None,
        "temperature": settings.get("temperature") if settings.get("do_sample", True) else 0.0,
        "answer": None if named is None else [named],
        **({name: [value] for name, value in _graded(row[metric]).items()} if single and metric else {}),
    }


def _request(arguments: Any) -> tuple[Any, Mapping[str, Any]]:
    """Prompt and settings of the first request, in both of the forms that were written."""
    if isinstance(arguments, dict):
        first: Mapping[str, Any] = next(iter(arguments.values()), {})
        pair = (first.get("arg_0"), first.get("arg_1"))
    else:
        pair = (*(arguments or [[]])[0], None, None)[:2]
    return pair[0], pair[1] if isinstance(pair[1], dict) else {}


def _parquet(path: str | Path) -> Iterator[Row]:
    try:
        from pyarrow import ArrowInvalid, parquet  # type: ignore[import-untyped]
    except ImportError:
        raise MissingResourceError(f"{path}: reading Parquet needs pyarrow: pip install pyarrow") from None
    try:
        for batch in parquet.ParquetFile(path).iter_batches(batch_size=256):
            yield from batch.to_pylist()
    except FileNotFoundError:
        raise MissingResourceError(f"{path}: there is no such file") from None
    except (ArrowInvalid, OSError) as error:
        raise RecordError(f"{path}: not a Parquet file that can be read: {one_line(str(error))}") from None


def _lighteval(number: int, row: Row) -> Row:
    document, answered = row.get("doc") or {}, row.get("model_response") or {}
    texts = answered.get("text") or row.get("predictions")
    texts = [texts] if isinstance(texts, str) else list(texts or ())
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError("holds no text that a model wrote")
    metrics = row.get("metric") or row.get("metrics") or {}
    value = next((each for each in metrics.values() if isinstance(each, bool | int | float)), None)
    return {
        "prompt_id": document.get("id") or str(number),
        "text": texts,
        "prompt": document.get("query") or row.get("full_prompt") or row.get("example"),
        **({name: [value] for name, value in _graded(value).items()} if len(texts) == 1 else {}),
    }
