"""Tokenisers by name, none of which needs a download. The only door to nltk."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Literal

from polychromic.core.errors import InputError
from polychromic.diversity.overlap import mteval_13a

WORD = re.compile(r"\w+|[^\w\s]")

Tokenizer = Callable[[str], list[str]]
TokenizerName = Literal["words", "13a", "chars", "split", "treebank", "toktok", "tweet"]
"""Ours: words, chars, split (white space). sacrebleu's: 13a. nltk's: treebank, toktok, tweet."""


def words(text: str) -> list[str]:
    """Runs of letters, digits and underscores, and every other visible sign by itself; case is kept."""
    return WORD.findall(text)


@functools.cache
def _of_nltk(name: str) -> Tokenizer:
    from nltk.tokenize import ToktokTokenizer, TreebankWordTokenizer, TweetTokenizer

    classes = {"treebank": TreebankWordTokenizer, "toktok": ToktokTokenizer, "tweet": TweetTokenizer}
    split: Tokenizer = classes[name]().tokenize
    return split


TOKENIZERS: dict[str, Tokenizer] = {
    "words": words,
    "13a": mteval_13a,
    "chars": list,
    "split": str.split,
    "treebank": lambda text: _of_nltk("treebank")(text),
    "toktok": lambda text: _of_nltk("toktok")(text),
    "tweet": lambda text: _of_nltk("tweet")(text),
}


def tokenizer(name: str) -> Tokenizer:
    """The tokeniser called ``name``, of ``TokenizerName``; raises InputError for another name."""
    if name not in TOKENIZERS:
        raise InputError(f"unknown tokenizer {name!r}; there are {', '.join(TOKENIZERS)}")
    return TOKENIZERS[name]
