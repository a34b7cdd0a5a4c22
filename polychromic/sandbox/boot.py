"""How the sandbox's own processes are started: exec'd, isolated, with an empty environment."""

from __future__ import annotations

import os
import sys
from typing import Any

from polychromic.sandbox.nouns import Limits

# The package is entered without running its __init__ files, which would import what the evaluator needs. The standard
# library's at-fork handlers would run in every child, to mend locks and seeds that no child of these processes uses.
_SCRIPT = (
    "import os, sys, types\n"
    "os.register_at_fork = lambda **handlers: None\n"
    "for name, path in (('polychromic', sys.argv[1]), ('polychromic.sandbox', sys.argv[1] + '/sandbox')):\n"
    "    sys.modules[name] = module = types.ModuleType(name)\n"
    "    module.__path__ = [path]\n"
    "sys.path += sys.argv[3:]\n"
    "from polychromic.sandbox import {module}\n"
    "{module}.start(int(sys.argv[2]))\n"
)


def command(module: str, descriptor: int, paths: list[str]) -> list[str]:
    """The command line of an isolated interpreter that calls ``start(descriptor)`` of a module of this package.

    ``paths`` are folders of the extra modules that programs may import.
    """
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    script = _SCRIPT.format(module=module)
    return [sys.executable, "-I", "-S", "-B", "-c", script, package, str(descriptor), *paths]


def config_of(limits: Limits, paths: list[str], unsafe: str) -> dict[str, Any]:
    """What a worker has to know, as plain data (``limits_from`` reads the limits)."""
    return {"limits": plain(limits), "paths": paths, "unsafe": unsafe}


def plain(limits: Limits) -> dict[str, Any]:
    """Limits as plain data."""
    return {name: getattr(limits, name) for name in Limits.__slots__}


def limits_from(config: dict[str, Any]) -> Limits:
    """The limits that were sent as plain data."""
    return Limits(**config["limits"])
