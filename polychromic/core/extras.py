"""What is left out of the plain installation: which extra brings a package that is not here."""

from __future__ import annotations

import re
from importlib import metadata

from polychromic.core.errors import MissingResourceError

NAMED = re.compile(r"(?P<package>[\w.-]+).*;.*\bextra == ['\"](?P<extra>[\w.-]+)['\"]")


def absent(module: str, instead: str = "") -> MissingResourceError:
    """The error that says how to get ``module``, and what would do ``instead`` of it.

    The extras are those that the installed package declares in its own metadata.
    """
    package, extra = _declared(module.partition(".")[0])
    wanted = f"polychromic[{extra}]" if extra else package
    return MissingResourceError(f"{package} is not installed: pip install '{wanted}'{instead and ', or ' + instead}")


def brought_by_an_extra(module: str) -> bool:
    """Whether an extra of this package declares what ``module`` belongs to."""
    return bool(extra_of(module))


def extra_of(module: str) -> str:
    """The first extra of this package that declares what ``module`` belongs to; empty for a stranger."""
    return _declared(module.partition(".")[0])[1]


def _declared(module: str) -> tuple[str, str]:
    """The package of an import name and the first extra that brings it; the extra is empty for a stranger."""
    try:
        required = metadata.requires("polychromic") or []
    except metadata.PackageNotFoundError:
        required = []
    for found in filter(None, map(NAMED.match, required)):
        name = found["package"].replace("-", "_").lower()
        if name == module or name.startswith(f"{module}_"):  # mauve-text is imported as mauve
            return found["package"], found["extra"]
    return module, ""
