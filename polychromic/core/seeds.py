"""Child seeds, so that every stage, step and prompt draws from a stream of its own and no global generator is used."""

from __future__ import annotations

import hashlib

SEED_BITS = 63


def child_seed(root: int, *path: int | str) -> int:
    """A seed in ``[0, 2**63)`` that depends only on ``root`` and ``path``, such as ``("train", step, rank)``.

    The parts are hashed with their type and length (SHA-256), so ``("a", 1)``, ``("a1",)`` and ``("a", "1")`` differ.
    """
    digest = hashlib.sha256()
    for part in (root, *path):
        text = str(part)
        digest.update(f"{type(part).__name__}:{len(text)}:{text};".encode())
    return int.from_bytes(digest.digest()[:8], "big") >> (64 - SEED_BITS)
