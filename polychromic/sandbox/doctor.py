"""What the sandbox is worth on this machine."""

from __future__ import annotations

import functools
from typing import Any

from polychromic.core.errors import SandboxError
from polychromic.sandbox.box import Sandbox


@functools.cache
def _report() -> dict[str, Any]:
    try:
        with Sandbox(workers=1) as box:
            return box.report
    except SandboxError as error:
        return {"level": "refused", "layers": {}, "selftest": {}, "failed": [], "advice": str(error)}


def sandbox_report() -> dict[str, Any]:
    """Level (full, seccomp or refused), layers and self-test of the sandbox on this machine; never raises for those."""
    return dict(_report())
