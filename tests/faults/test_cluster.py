"""Ray over real local nodes: one of them is removed while a run trains on it, and while an evaluation draws on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from polychromic.cli import commands
from polychromic.core.errors import EngineError, InputError
from polychromic.project import cluster
from polychromic.records.jsonl import read_json
from polychromic.settings.load import resolved_yaml
from tests import processes

FILES = ("samples.jsonl", "verdicts.jsonl", "measurements.jsonl")
EVALUATE = ["evaluate", "--models", "base=embedded:countdown,again=embedded:countdown", "--task", "countdown"]
EVALUATE += ["--max-prompts", "40", "--n", "8", "--max-new-tokens", "16", "--batch-size", "8", "--encoder", "hashing"]
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


def test_parts_of_a_lost_worker_are_done_by_the_others_and_errors_come_as_they_are(tmp_path, monkeypatch):
    lost = tmp_path / "lost"

    def fragile(part):
        if part == 3 and not lost.exists():
            lost.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if part < 0:
            raise InputError("no such part")
        return part * part

    def deadly(part):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setenv("RAY_ADDRESS", "local")
    with cluster.joined(False) as kind:
        crew = cluster.RayCrew("CPU")
        assert kind == "CPU"
        with pytest.warns(UserWarning, match="a worker of the cluster is gone"):
            found = dict(crew.keeping(fragile, range(6)))
        assert found == {part: part * part for part in range(6)}
        assert list(crew.each(fragile, [2, 1, 0])) == [4, 1, 0]
        for work in (crew.each, crew.keeping):
            with pytest.raises(InputError, match=r"^no such part$"):
                list(work(fragile, [-1]))
        with pytest.warns(UserWarning, match="is gone"), pytest.raises(EngineError, match="the same command continues"):
            list(crew.keeping(deadly, [1]))


def test_a_run_that_ended_by_itself_is_not_started_again():
    wrong, gone, dead = cluster.RankEndedError(2), cluster.RankEndedError(75), RuntimeError("the node has died")
    assert cluster._ended({0: wrong, 1: cluster.RankEndedError(1)})
    assert not cluster._ended({0: wrong, 1: dead})
    assert not cluster._ended({0: gone})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--backend", "ray", "--gpus", "0,1"], "--gpus and --when-done are tmux's"),
        (["--backend", "ray", "--sbatch", "nodes=2"], "--sbatch is slurm's"),
        (["--ranks", "2"], "torchrun --nproc_per_node 2"),
    ],
)
def test_options_of_another_backend_are_refused(options, said):
    done = CliRunner().invoke(commands, ["launch", "a.yaml", *options])
    assert said in str(done.exception)


@pytest.fixture(scope="module")
def nodes():
    """A cluster of two nodes with a CPU each; the second may be taken away."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
    yield made
    made.shutdown()


def begin(nodes, *arguments):
    environment = os.environ | {"RAY_ADDRESS": nodes.address, "RAY_USAGE_STATS_ENABLED": "0"}
    return subprocess.Popen([sys.executable, "-m", "polychromic", *map(str, arguments)], env=environment)


def until(condition, program, seconds=240):
    deadline = time.monotonic() + seconds
    while not condition() and program.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


@pytest.mark.slow
def test_a_run_that_loses_its_node_goes_on_from_its_checkpoint_and_one_that_fails_does_not(
    nodes, settings_of, tmp_path
):
    second, configs = nodes.add_node(**NODE), []
    for name, model in (("lost", "embedded:countdown"), ("wrong", "/nowhere/at/all")):
        settings = settings_of(name, max_steps=40)
        base = settings.model.model_copy(update={"name_or_path": model})
        configs.append(tmp_path / f"{name}.yaml")
        configs[-1].write_text(resolved_yaml(settings.model_copy(update={"model": base})))
    run = Path(settings.experiment.output_root) / "lost"
    program = begin(nodes, "launch", "--backend", "ray", "--ranks", 2, *configs, "--json")
    until((run / "checkpoints" / "checkpoint-4" / "MANIFEST.json").exists, program)
    nodes.remove_node(second)
    nodes.add_node(**NODE)
    assert program.wait(300) == 1
    facts = read_json(run / "run.json")
    assert facts["finished"]
    assert facts["ranks"] == 2
    assert facts["resumed_from"]
    log = run.with_name("wrong.log").read_text()
    (line,) = [line for line in log.splitlines() if line.startswith("polychromic: ")]
    assert "/nowhere/at/all" in line
    processes.two_ranks("-m", "polychromic", "train", configs[0], "experiment.name=undisturbed")
    adapter = "adapter_model.safetensors"
    assert (run / adapter).read_bytes() == (run.with_name("undisturbed") / adapter).read_bytes()


@pytest.mark.slow
def test_an_evaluation_that_loses_a_node_has_the_files_of_one_machine(nodes, tmp_path):
    second = nodes.add_node(**NODE)
    out, alone = tmp_path / "out", tmp_path / "alone"
    program = begin(nodes, *EVALUATE, "--backend", "ray", "--out", out)
    until(lambda: len(list((out / "samples.parts").glob("*.jsonl"))) > 4, program)
    nodes.remove_node(second)
    assert program.wait(300) == 0
    done = processes.run("-m", "polychromic", *EVALUATE, "--out", alone, environment=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert [(out / name).read_bytes() for name in FILES] == [(alone / name).read_bytes() for name in FILES]
    assert read_json(out / "comparison.json") == read_json(alone / "comparison.json")
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in alone.iterdir())
    rows = [json.loads(line) for line in (out / "costs.jsonl").read_text().splitlines()]
    assert sum(row["stage"] == "sample" for row in rows) == 80  # a row a set: none was drawn twice and kept
