"""Ray, over the machines it knows: training runs as Ray Train's, an evaluation's parts as actors, verdicts as tasks.

Ray finds the places and notices what is lost. What is done there is the work of the stages, unchanged: each rank of a
run is the command ``polychromic train``, as under torchrun, and each actor draws what one process would draw.
"""

from __future__ import annotations

import os
import runpy
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from polychromic.core.errors import EngineError
from polychromic.core.escaping import one_line
from polychromic.project.launch import run_folders
from polychromic.settings.load import load_settings
from polychromic.training.ranks import RankLostError

TOLD = ("ACCELERATE_", "FSDP_", "HF_", "NCCL_", "POLYCHROMIC_", "TRANSFORMERS_", "WANDB_")
"""What of this environment the ranks are told, as a terminal would; the rest is their machine's own."""
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_CHDIR_TO_TRIAL_DIR": "0", "RAY_TRAIN_ENABLE_PRINT_PATCH": "0"}
"""Nothing is sent home, workers stay in the folder that paths are relative to, and ``print`` stays Python's own."""
PLACE = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
PATIENCE = 3
"""How often a run may lose a machine without a new checkpoint in between, and how often a verdict is tried again."""
WORDS = 300
"""Characters that are shown of why Ray lost a worker."""
Part = TypeVar("Part")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class ClusterRun:
    """One training over ``ranks`` workers: what ``polychromic train`` is called with, its folder and its log."""

    arguments: tuple[str, ...]
    folder: Path
    ranks: int
    seconds: float
    use_cpu: bool

    @property
    def log(self) -> Path:
        """What its ranks say."""
        return self.folder.with_name(f"{self.folder.name}.log")

    def last_words(self) -> str:
        """The last line that the program itself wrote to the log, such as why it ended; empty without one."""
        said = self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []
        return next((line for line in reversed(said) if line.startswith("polychromic: ")), "")

    @property
    def newest(self) -> str:
        """What tells its newest checkpoint from the one before; empty before the first."""
        from polychromic.training.checkpoints import SEALED

        sealed = self.folder / "checkpoints" / SEALED
        return sealed.read_text(encoding="utf-8") if sealed.exists() else ""


class RankEndedError(Exception):
    """A rank of a training ended with an exit status other than 0, its only argument; why stands in the log."""

    def __str__(self) -> str:
        return f"ended with status {self.args[0]}"


def runs(configs: Sequence[str], overrides: Sequence[str], ranks: int) -> list[ClusterRun]:
    """The trainings of ``configs``, all loaded first, so that a wrong one stops all before any starts.

    Raises:
        SettingsError: a configuration or an override is wrong.
        InputError: two runs have the same folder.
    """
    found = []
    for folder, config in run_folders(configs, overrides).items():
        training = load_settings(config, overrides).training
        seconds, on_cpu = float(training.get("ddp_timeout", 1800)), bool(training.get("use_cpu"))
        found.append(ClusterRun(("train", config, *overrides), folder.absolute(), ranks, seconds, on_cpu))
    return found


@contextmanager
def joined(told: bool) -> Iterator[str]:
    """Within it this process is a driver of the cluster of ``RAY_ADDRESS``, else of one that is this machine.

    It gives the cluster's scarce resource: "GPU" where there is one, else "CPU". What workers say is ``told`` here.

    Raises:
        MissingResourceError: Ray is not installed.
    """
    os.environ.update(QUIET)
    import ray

    ray.init(logging_level="ERROR", log_to_driver=told, configure_logging=False)
    try:
        yield "GPU" if ray.cluster_resources().get("GPU") else "CPU"
    finally:
        ray.shutdown()


def train(planned: Sequence[ClusterRun], kind: str, told: Callable[[ClusterRun, str], None]) -> bool:
    """Trains all runs, as many at a time as the cluster has room for, and tells how each ended; whether all did well.

    A run that loses a machine is started again where there is room, and continues from its newest sealed checkpoint.
    Must be called within ``joined``, which gives the ``kind`` of place that a rank takes.
    """
    import ray

    there, wanted = int(ray.cluster_resources()[kind]), planned[0].ranks
    if wanted > there:
        warnings.warn(f"--ranks {wanted}: the cluster has {there} {kind}s; it is waited for more", stacklevel=2)
    # beside this process, so that nothing but ranks is lost with another machine
    beside = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
    remote = ray.remote(num_cpus=0, max_retries=0, label_selector=beside)(_trained)
    environment = {name: value for name, value in os.environ.items() if name.startswith(TOLD)}
    waiting, good = deque(planned), True
    busy: dict[Any, ClusterRun] = {}
    while waiting or busy:
        while waiting and len(busy) < max(1, there // wanted):
            run = waiting.popleft()
            busy[remote.remote(run, kind, environment, os.getcwd())] = run
        (done,), _ = ray.wait(list(busy))
        run, reason = busy.pop(done), ray.get(done)
        good = good and not reason
        told(run, reason)
    return good


def _trained(run: ClusterRun, kind: str, environment: dict[str, str], folder: str) -> str:
    """Why the run has no end, empty where it has; started again as often as it lost a machine after a checkpoint."""
    from ray.train import LoggingConfig, RunConfig, ScalingConfig, WorkerGroupError
    from ray.train.torch import TorchConfig, TorchTrainer

    os.environ.update(QUIET)  # Ray tells them on to its workers
    gpu = kind == "GPU" and not run.use_cpu
    newest, losses = run.newest, 0
    while True:
        with TemporaryDirectory() as own:  # Ray's own notes; ours are in the run's folder
            trainer = TorchTrainer(
                partial(_rank, run, environment, folder),
                torch_config=TorchConfig("cpu:gloo,cuda:nccl" if gpu else "gloo", timeout_s=int(run.seconds)),
                scaling_config=ScalingConfig(num_workers=run.ranks, use_gpu=gpu),
                run_config=RunConfig(storage_path=own, logging_config=LoggingConfig("CRITICAL")),
            )
            try:
                trainer.fit()
            except WorkerGroupError as error:
                failures = error.worker_failures
            else:
                return ""
        reason = "; ".join(f"rank {rank}: {one_line(str(why))}" for rank, why in sorted(failures.items()))
        if _ended(failures):
            return run.last_words() or reason
        newest, losses = run.newest, losses + 1 if run.newest == newest else 1
        if losses == PATIENCE:
            return f"lost a machine {PATIENCE} times without a new checkpoint in between: {reason}"


def _ended(failures: Mapping[int, Exception]) -> bool:
    """Whether the ranks ended by themselves, none of them or of those they wait for being lost with a machine."""
    gone = (RankLostError.exit_code,)
    return all(isinstance(why, RankEndedError) and why.args != gone for why in failures.values())


def _rank(run: ClusterRun, environment: Mapping[str, str], folder: str) -> None:
    """What each worker of Ray Train does: the command, in its own folder, with its words in the run's log.

    Raises:
        RankEndedError: it ends with another status than 0.
    """
    os.environ.update(environment)
    os.chdir(folder)
    run.log.parent.mkdir(parents=True, exist_ok=True)
    with run.log.open("ab", buffering=0) as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    if run.ranks == 1:
        _leave_the_group()
    sys.argv = ["polychromic", *run.arguments]
    try:
        runpy.run_module("polychromic", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise RankEndedError(end.code) from None


def _leave_the_group() -> None:
    """A run of one process is that of ``polychromic train`` without a launcher."""
    from torch import distributed

    distributed.destroy_process_group()
    for name in PLACE:
        os.environ.pop(name, None)


class RayCrew:
    """Workers on the cluster that do a stage's parts, whose results come back to the one process that writes."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def keeping(self, work: Callable[[Part], Found], parts: Sequence[Part]) -> Iterator[tuple[int, Found]]:
        """Each part's place and what the work makes of it, as they are done; each worker keeps a copy of the work.

        There is a worker a GPU, or a CPU where the cluster has no GPU. Parts of a worker that is lost are done by the
        others.

        Raises:
            EngineError: all workers are lost.
        """
        import ray
        from ray.exceptions import RayActorError, RayTaskError

        place = {"num_gpus": 1} if self.kind == "GPU" else {"num_cpus": 1}
        count = min(len(parts), int(ray.cluster_resources()[self.kind]))
        kept, folder = ray.put(work), os.getcwd()
        workers = [ray.remote(**place)(_Worker).remote(kept, folder) for _ in range(count)]
        busy: dict[Any, tuple[Any, int]] = {worker.ready.remote(): (worker, -1) for worker in workers}
        waiting, idle = deque(range(len(parts))), deque[Any]()
        try:
            while waiting or any(part >= 0 for _, part in busy.values()):
                while waiting and idle:
                    worker, part = idle.popleft(), waiting.popleft()
                    busy[worker.do.remote(parts[part])] = worker, part
                if not busy:
                    raise EngineError(
                        "every worker of the cluster is gone; what is drawn is kept, and the same command continues"
                    )
                (done,), _ = ray.wait(list(busy))
                worker, part = busy.pop(done)
                try:
                    found = ray.get(done)
                except RayTaskError as error:
                    raise error.cause from None
                except RayActorError as error:
                    why = one_line(str(error))[:WORDS]
                    warnings.warn(f"a worker of the cluster is gone; the others go on: {why}", stacklevel=2)
                    waiting.extendleft([part] if part >= 0 else [])
                    continue
                idle.append(worker)
                if part >= 0:
                    yield part, found
        finally:
            for worker in workers:
                ray.kill(worker)

    def each(self, work: Callable[[Part], Found], parts: Sequence[Part]) -> Iterator[Found]:
        """What the work makes of each part, in order; a task a part, on a CPU each, again where a machine is lost."""
        import ray
        from ray.exceptions import RayTaskError

        remote, kept = ray.remote(num_cpus=1, max_retries=PATIENCE)(_done), ray.put(work)
        for ref in [remote.remote(kept, part, os.getcwd()) for part in parts]:
            try:
                yield ray.get(ref)
            except RayTaskError as error:
                raise error.cause from None


class _Worker:
    """A process that keeps the work, and with it the engine that the first part loads."""

    def __init__(self, work: Callable[[Any], Any], folder: str) -> None:
        self.work = work
        os.chdir(folder)

    def ready(self) -> None:
        """Returns when there is a place for it."""

    def do(self, part: Any) -> Any:
        """What the work makes of the part."""
        return self.work(part)


def _done(work: Callable[[Any], Any], part: Any, folder: str) -> Any:
    os.chdir(folder)
    return work(part)
