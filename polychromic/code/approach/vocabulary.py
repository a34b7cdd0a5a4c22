"""What library names say of an approach: the words they stand for, and those that say nothing."""

from __future__ import annotations

from polychromic.code.approach.forms import DICTS, SETS

FOLDS = frozenset({"sum", "any", "all", "min", "max", "map", "filter", "set", "list", "tuple", "dict", "frozenset"}) | {
    "functools.reduce",
    "math.prod",
    "collections.Counter",
    "itertools.accumulate",
}
"""Calls that go through what they are given once."""
TAGGED_CALLS = {
    **dict.fromkeys(DICTS, "dict"),
    **dict.fromkeys(SETS, "set"),
    "sorted": "sort",
    "reversed": "reverse",
    "str": "text",
    "repr": "text",
    "ord": "codes",
    "chr": "codes",
    "bin": "bits",
    "divmod": "% //",
    "eval": "eval",
    "math.sqrt": "root",
    "math.isqrt": "root",
    "math.pow": "power",
    "collections.deque": "queue",
}
SILENT_CALLS = frozenset({"math.floor", "math.ceil", "math.inf", "itertools.chain", "itertools.count", "math.prod"})
TAGGED_MODULES = frozenset({"math", "itertools", "statistics", "string", "decimal", "fractions", "operator", "numpy"})
"""Modules of which each function is an approach of its own; of any other module the module is."""
SILENT_MODULES = frozenset(
    {"sys", "collections", "functools", "typing", "copy", "time", "random", "logging", "warnings"}
)
TAGGED_METHODS = {
    "sort": "sort",
    "reverse": "reverse",
    "popleft": "queue",
    "appendleft": "queue",
    "setdefault": "dict",
    "items": "dict",
    "keys": "dict",
    "most_common": "dict",
    "add": "set",
    "intersection": "set",
    "union": "set",
    "difference": "set",
    "format": "text",
    "split": "split",
    "partition": "split",
    "replace": "replace",
    "translate": "translate",
    "count": "count",
    "find": "find",
    "index": "find",
    "insert": "insert",
    "startswith": "prefix",
    "endswith": "prefix",
    "title": "letter case",
    "capitalize": "letter case",
    "swapcase": "letter case",
    "isalpha": "character class",
    "isdigit": "character class",
    "isalnum": "character class",
    "bit_count": "bits",
    "bit_length": "bits",
    **{
        name: name
        for name in [
            "split",
            "replace",
            "translate",
            "count",
            "find",
            "index",
            "title",
            "isalpha",
            "isdigit",
            "isalnum",
        ]
    },
    **{
        name: name
        for name in [
            "bit_count",
            "bit_length",
            "startswith",
            "endswith",
            "insert",
            "capitalize",
            "swapcase",
            "partition",
        ]
    },
}
