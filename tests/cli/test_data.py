from __future__ import annotations

import pytest

from polychromic.core.errors import MissingResourceError, RecordError
from polychromic.stages.data import Lengths, examine


def test_lengths_are_middle_95th_percentile_and_longest(tmp_path):
    path = tmp_path / "d.jsonl"
    rows = [f'{{"prompt": "{"w " * n}", "completion": "c"}}' for n in range(1, 101)]
    path.write_text("\n".join(rows))
    found = examine(path)
    assert found.prompt_words == Lengths(51, 96, 100)
    assert found.completion_words == Lengths(1, 1, 1)
    assert (found.rows, found.prompts, found.repeated_rows, found.shared_prompts) == (100, 100, 0, 0)


def test_a_prompt_with_two_completions_is_shared_but_not_repeated(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n{"prompt": "a", "completion": "c"}\n{"prompt": "a"}\n')
    found = examine(path)
    assert (found.shared_prompts, found.repeated_rows, found.prompts) == (1, 0, 1)


def test_missing_and_empty_files_are_refused(tmp_path):
    with pytest.raises(MissingResourceError):
        examine(tmp_path / "none")
    (tmp_path / "empty").touch()
    with pytest.raises(RecordError, match="is empty"):
        examine(tmp_path / "empty")
