from __future__ import annotations

from collections.abc import Iterator

import pytest

from polychromic.sandbox import Limits, Sandbox


@pytest.fixture(scope="session")
def box() -> Iterator[Sandbox]:
    """A sandbox with short limits, shared by the tests that do not break it."""
    with Sandbox(Limits(cpu_seconds=1.0, memory_bytes=256 * 2**20), workers=2) as opened:
        yield opened
