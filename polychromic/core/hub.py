"""Whether the hub answers, asked once and quickly: without a network its libraries try for a minute each.

Nothing heavy is imported, so that a name that cannot be had is refused before a library is loaded for it.
"""

from __future__ import annotations

import functools
import os
import ssl
import sys
import threading
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from polychromic.core.errors import MissingResourceError

HUB_SECONDS = 3.0
"""How long the hub may take to answer at all, the look-up of its name included."""


def refuse_absent_model(name: str, revision: str | None = None) -> None:
    """Nothing when ``name`` is a folder with a model, or one of the hub's that can be had.

    Raises:
        MissingResourceError: it cannot.
    """
    path = Path(name).expanduser()
    looks_local = name.startswith((".", "/", "~")) or name.count("/") > 1
    if path.exists() and not (path / "config.json").is_file():
        raise MissingResourceError(f"model {name}: the folder has no config.json")
    if looks_local and not path.exists():
        raise MissingResourceError(f"model {name}: there is no such folder")
    refuse_unreachable("model", name, revision=revision)


def refuse_unreachable(what: str, name: str, file: str = "config.json", revision: str | None = None) -> None:
    """Nothing when ``name`` is a folder, is in the hub's cache with its ``file``, or the hub answers.

    When the hub does not answer, this process does without it from here on.

    Raises:
        MissingResourceError: ``name`` is a hub's, is not in the cache, and the hub is not to be had.
    """
    if Path(name).expanduser().exists() or use_hub() or cached(name, file, revision) is not None:
        return
    from huggingface_hub import constants

    raise MissingResourceError(
        f"{what} {name}: cannot be loaded: it is no folder and not in the cache ({constants.HF_HUB_CACHE}), and "
        f"{why_offline()}; give a folder, fetch it where there is a network (hf download {name}) and set HF_HOME to "
        "that cache, or name a mirror in HF_ENDPOINT"
    )


def use_hub() -> bool:
    """Whether the hub may be asked; when it does not answer, its libraries are told to use their caches alone."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    if not _answers(constants.ENDPOINT):
        os.environ["HF_HUB_OFFLINE"] = "1"
        constants.HF_HUB_OFFLINE = True
        if (loaded := sys.modules.get("datasets.config")) is not None:
            loaded.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
    return not constants.HF_HUB_OFFLINE


def why_offline() -> str:
    """Why the hub is not asked, as part of a sentence."""
    from huggingface_hub import constants

    asked = _answers.cache_info().currsize > 0
    return f"{constants.ENDPOINT} does not answer" if asked else "HF_HUB_OFFLINE is set"


def cached(name: str, file: str, revision: str | None = None) -> Path | None:
    """A file of a hub's repository, where it is on this machine."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, file, revision=revision)
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


@functools.cache
def _answers(endpoint: str) -> bool:
    """Whether anybody speaks HTTP there, through the proxies of the environment; an error's status is an answer."""
    heard: list[bool] = []

    def ask() -> None:
        try:
            urlopen(Request(endpoint, method="HEAD"), timeout=HUB_SECONDS).close()
        except HTTPError:
            pass
        except (OSError, URLError) as error:
            if not isinstance(getattr(error, "reason", error), ssl.SSLError):  # other libraries know other certificates
                return
        heard.append(True)

    asking = threading.Thread(target=ask, daemon=True)  # the look-up of a name takes no time limit
    asking.start()
    asking.join(HUB_SECONDS)
    return bool(heard)
