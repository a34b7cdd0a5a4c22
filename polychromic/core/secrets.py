"""What must never be kept or shown: keys, tokens, and passwords in addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

SHAPES = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|wandb_v1_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{20,}"
    r"|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|A(?:KI|SI)A[0-9A-Z]{16}|AIza[A-Za-z0-9_-]{30,}"
    r"|xox[abprs]-[A-Za-z0-9-]{10,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*|(?i:bearer)\s+[\w.~+/-]{16,}=*)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
"""What the keys of Hugging Face, OpenAI, W&B, GitHub, GitLab, AWS, Google, Slack, and tokens of the web look like."""
_HASH = re.compile(r"\b[0-9a-f]{40}\b")
"""An old key of W&B, or a revision."""
_LOGIN = re.compile(r"(?<=://)[^\s/@?#]+@")
"""Who logs in, in an address: a name, a password, or a token alone."""
_NAMES = {"api_key", "apikey", "x_api_key", "token", "access_token", "auth_token", "hub_token", "password", "passwd"}
_NAMES |= {"secret", "client_secret", "authorization", "private_key"}
ADVICE = "secrets come from the environment, never from a file or a command"

Keys = tuple[str | int, ...]


def secrets_in(value: Any, path: Keys = ()) -> Iterator[tuple[Keys, str]]:
    """Where a nested value of settings holds a secret, and why it is taken for one."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(item, str) and item and str(key).lower().replace("-", "_") in _NAMES:
                yield (*path, key), f"is a secret by its name; {ADVICE}"
            else:
                yield from secrets_in(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from secrets_in(item, (*path, index))
    elif isinstance(value, str):
        if _LOGIN.search(value):
            yield path, f"is an address with a name or password in it; {ADVICE}"
        elif SHAPES.search(value) or (_HASH.search(value) and path[-1:] != ("revision",)):
            yield path, f"looks like a secret; {ADVICE}"


def redacted(text: str) -> str:
    """The text with every secret replaced by ``***``."""
    return SHAPES.sub("***", _LOGIN.sub("***@", text))
