"""A run's model card, and the run sent to a model hub with it."""

from __future__ import annotations

from pathlib import Path

from polychromic.core.errors import MissingResourceError, PublishError
from polychromic.records.artefacts import RunFolder
from polychromic.reporting.card import Shown, write_card
from polychromic.settings.schema import Settings

SENT = (
    *("README.md", "adapter_config.json", "adapter_model.safetensors", "figures/*.png", "chat_template.jinja"),
    *("config.json", "generation_config.json", "model*.safetensors", "model.safetensors.index.json"),
    *("tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt"),
)
"""What of a folder goes to the hub: weights, tokenizer, card; no settings, logs or paths of this machine."""


def run(folder: str | Path, evaluation: str | Path | None = None, repository: str = "") -> Path:
    """The path of the run's card; ``repository`` is the name to load it by, its folder without one.

    Raises:
        MissingResourceError: there is no finished run, or no comparison that knows it.
    """
    place = Path(folder)
    return write_card(place, Path(evaluation) if evaluation else None, Shown(place, repository or str(folder)))


def refuse_unpublishable(settings: Settings) -> str:
    """The full name of the repository on the hub, made if it is not there; empty when nothing is to be pushed.

    Asked before training: a key that is missing or may not write costs nothing then.

    Raises:
        MissingResourceError: no key, a key that may not write there, or no hub.
    """
    if not settings.training.get("push_to_hub"):
        return ""
    return repository(settings.training.get("hub_model_id") or settings.experiment.name, _visible(settings))


def _visible(settings: Settings) -> str:
    return "public" if settings.training.get("hub_private_repo") is False else "private"


def repository(name: str, visible: str = "private") -> str:
    """The full name of a repository on the hub, made if it is not there; raises as ``refuse_unpublishable``."""
    from huggingface_hub import HfApi, get_token

    if not get_token():
        raise MissingResourceError("training.push_to_hub: no key: set HF_TOKEN in the environment, or: hf auth login")
    api = HfApi()
    try:
        api.whoami()
        return str(api.create_repo(name, private=visible == "private", exist_ok=True).repo_id)
    except _refusals() as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MissingResourceError(f"training.push_to_hub: {api.endpoint} refuses {name}: {reason}") from None


def _refusals() -> tuple[type[Exception], ...]:
    """What a hub that is not there or says no raises; the hub's error is one of its HTTP library, whichever that is."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    return (*HfHubHTTPError.__bases__, OfflineModeIsEnabled, ValueError)


def push(folder: str | Path, name: str) -> str:
    """The address of the folder's weights, tokenizer and card on the hub, in the repository of that name.

    Raises:
        PublishError: the hub did not take them; the folder is as it was.
    """
    from huggingface_hub import HfApi

    try:
        done = HfApi().upload_folder(
            repo_id=name,
            folder_path=str(folder),
            allow_patterns=list(SENT),
            commit_message="Weights, tokenizer and card",
        )
    except _refusals() as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise PublishError(
            f"{folder} is whole, but the hub did not take it: {reason}; again: polychromic card {folder} --push {name}"
        ) from None
    return str(done.repo_url if hasattr(done, "repo_url") else done)


def finish(folder: str | Path, name: str) -> str:
    """Writes the card of a finished run, and pushes it where a repository is named; its address, else empty."""
    if not RunFolder(Path(folder)).adapter.is_file():
        return ""
    run(folder, None, name)
    return push(folder, name) if name else ""
