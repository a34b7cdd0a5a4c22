"""Processes that run cells, one thread each: the models are too small to share a matrix between threads."""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any


def follow(parent: int) -> None:
    """A worker's start: quiet, and gone within a second when the process that started it is."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    quiet()


def quiet() -> None:
    """Nothing but results on the screen, and one thread."""
    import torch
    from transformers import logging

    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)


class Pool:
    """Runs work in processes of their own and says what is done."""

    def __init__(self, workers: int) -> None:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        self.executor = ProcessPoolExecutor(
            workers, mp_context=get_context("spawn"), initializer=follow, initargs=(os.getpid(),)
        )
        self.began = time.time()

    def map(self, work: Any, jobs: list[tuple[Any, ...]], says: str) -> list[Any]:
        """Results in the jobs' order."""
        futures = {self.executor.submit(work, *job): place for place, job in enumerate(jobs)}
        found: list[Any] = [None] * len(jobs)
        for done, future in enumerate(as_completed(futures), start=1):
            found[futures[future]] = future.result()
            minutes = (time.time() - self.began) / 60
            print(f"\r{says}: {done}/{len(jobs)}, {minutes:.0f} min", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        return found
