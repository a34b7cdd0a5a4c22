from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polychromic.core.errors import InputError
from polychromic.core.protocols import Embedder
from polychromic.embedding.hashing import HashingEmbedder


@given(st.lists(st.text(max_size=20), max_size=5))
def test_unit_rows_that_depend_on_the_text_alone(texts: list[str]) -> None:
    encoder = HashingEmbedder(16)
    assert isinstance(encoder, Embedder)
    rows = encoder.embed(texts)
    assert rows.shape == (len(texts), 16)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(HashingEmbedder(16).embed([*texts, "more"])[:-1], rows)


def test_like_spelling_is_near() -> None:
    rows = HashingEmbedder().embed(["the cat sat down", "the cat sat up", "quantum flux 9000"])
    assert rows[0] @ rows[1] > 0.5 > rows[0] @ rows[2]
    assert HashingEmbedder(64).name == "hashing-64"
    with pytest.raises(InputError, match="at least 2 dimensions"):
        HashingEmbedder(1)


def test_the_same_on_every_machine() -> None:
    row = HashingEmbedder(8).embed(["abc"])[0]
    np.testing.assert_allclose(row, GOLDEN, atol=1e-6)


GOLDEN = [0.0, -2 / 7**0.5, 1 / 7**0.5, 0.0, 1 / 7**0.5, 0.0, 0.0, 1 / 7**0.5]
