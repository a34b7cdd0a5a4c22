"""Tokens of small texts by hand; nltk's and sacrebleu's are theirs."""

from __future__ import annotations

import pytest

from polychromic.core.errors import InputError
from polychromic.diversity import tokenizers


def test_tokenizers() -> None:
    assert tokenizers.words("Don't stop_it, 3*4!") == ["Don", "'", "t", "stop_it", ",", "3", "*", "4", "!"]
    assert tokenizers.tokenizer("13a")("Hello, world. 3.5") == ["Hello", ",", "world", ".", "3.5"]
    assert tokenizers.tokenizer("chars")("é ") == ["é", " "]
    assert tokenizers.tokenizer("split")(" a  b\n") == ["a", "b"]
    for name in tokenizers.TOKENIZERS:
        assert tokenizers.tokenizer(name)("") == []
    with pytest.raises(InputError, match="unknown tokenizer 'punkt'; there are words"):
        tokenizers.tokenizer("punkt")


def test_nltks_are_called_by_their_names() -> None:
    text = "I can't (x=1) :) #tag"
    assert tokenizers.tokenizer("treebank")(text) == ["I", "ca", "n't", "(", "x=1", ")", ":", ")", "#", "tag"]
    assert tokenizers.tokenizer("toktok")(text) == ["I", "can", "'", "t", "(", "x=1", ")", ":", ")", "#tag"]
    assert tokenizers.tokenizer("tweet")(text) == ["I", "can't", "(", "x", "=", "1", ")", ":)", "#tag"]
