from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from polychromic.core.errors import RecordError
from polychromic.embedding.cache import CachedEmbedder
from polychromic.embedding.hashing import HashingEmbedder


class Counting(HashingEmbedder):
    """Remembers what it was asked."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.asked = [*getattr(self, "asked", []), list(texts)]
        return super().embed(texts)

    def cut(self, texts: Sequence[str]) -> int:
        return len([text for text in texts if len(text) > 3])


def test_each_text_is_encoded_once_and_order_is_kept() -> None:
    inner = Counting(8)
    cache = CachedEmbedder(inner)
    plain = HashingEmbedder(8)
    for texts in (["b", "a", "b"], ["a", "c"], ["c", "b", "a"]):
        np.testing.assert_array_equal(cache.embed(texts), plain.embed(texts))
    assert inner.asked == [["b", "a"], ["c"]]
    assert cache.encoded == 3
    assert cache.name == "hashing-8"
    assert cache.embed([]).shape == (0, 8)
    assert (cache.cut(["abcd", "a"]), CachedEmbedder(plain).cut(["abcd"])) == (1, 0)


def test_memory_is_bounded() -> None:
    inner = Counting(8)
    cache = CachedEmbedder(inner, max_bytes=3 * 8 * 4)
    cache.embed(list("abcde"))
    assert len(cache._memory) == 3
    np.testing.assert_array_equal(cache.embed(list("abcde")), HashingEmbedder(8).embed(list("abcde")))
    assert inner.asked[1] == ["a", "b"]


def test_a_folder_serves_the_next_run(tmp_path: Path) -> None:
    first = CachedEmbedder(Counting(8), tmp_path)
    expected = first.embed(["x", "y\ud800", "z"])
    first.embed(["w", "x"])
    inner = Counting(8)
    again = CachedEmbedder(inner, tmp_path)
    np.testing.assert_array_equal(again.embed(["z", "x", "y\ud800"]), expected[[2, 0, 1]])
    assert not hasattr(inner, "asked")
    other = CachedEmbedder(Counting(16), tmp_path)
    assert other.embed(["x"]).shape == (1, 16)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    CachedEmbedder(HashingEmbedder(8), tmp_path).embed(["x"])
    path = next(tmp_path.rglob("*.vectors.npy"))
    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    with pytest.raises(RecordError, match=r"vectors\.npy: is no file of cached vectors"):
        CachedEmbedder(HashingEmbedder(8), tmp_path)
    path.write_bytes(whole)
    np.save(str(path).replace(".vectors.", ".keys."), np.zeros((2, 16), dtype=np.uint8))
    with pytest.raises(RecordError, match="2 digests for 1 vectors"):
        CachedEmbedder(HashingEmbedder(8), tmp_path)


def test_nothing_pickled_is_read(tmp_path: Path) -> None:
    CachedEmbedder(HashingEmbedder(8), tmp_path).embed(["x"])
    path = next(tmp_path.rglob("*.vectors.npy"))
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(RecordError, match="is no file of cached vectors"):
        CachedEmbedder(HashingEmbedder(8), tmp_path)
