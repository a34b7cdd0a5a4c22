"""The images and the composition parse, and install with the very steps of the Makefile, under the constraints."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml

import polychromic
from polychromic.cli import commands

ROOT = Path(polychromic.__path__[0]).parent
KNOWN = {"ARG", "FROM", "ENV", "WORKDIR", "COPY", "RUN", "USER", "ENTRYPOINT", "CMD"}


@pytest.fixture(scope="module")
def stages():
    """Each stage of the Dockerfile by name: its instructions, each with its argument."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
    found, name = {"": []}, ""
    for line in filter(None, (line.strip() for line in text.splitlines())):
        if line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        assert word in KNOWN, line
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found[name] = [("FROM", base)]
        else:
            found[name].append((word, rest))
    return found


def test_every_stage_is_built_on_one_that_is_there_and_runs_as_nobody_special(stages):
    assert set(stages) == {"", "code", "worker", "cuda", "cpu"}
    assert stages["cuda"] == stages["cpu"] == [("FROM", "worker")]
    steps = stages["worker"]
    assert steps[0] == ("FROM", "code")
    assert [word for word, _ in steps].index("USER") > [word for word, _ in steps].index("RUN")
    assert ("ENTRYPOINT", '["polychromic"]') in steps


def test_what_is_copied_is_there_and_not_ignored(stages):
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [source for word, rest in stages["code"] if word == "COPY" for source in rest.split()[:-1]]
    assert {Path(source).name for source in copied} == let_in
    assert all((ROOT / source).exists() for source in copied)


def makes(target, venv):
    """The commands that make would run for a target in a fresh environment."""
    asked = ["make", "--dry-run", "--always-make", "-C", ROOT, target, f"VENV={venv}"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if not line.startswith("make")]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_the_images_install_with_the_makefiles_steps_under_the_constraints(stages):
    (step,) = [rest for word, rest in stages["worker"] if word == "RUN" and rest.startswith("make")]
    _, target, venv = shlex.split(step)
    ran = makes(target, venv.removeprefix("VENV="))
    installs = [line for line in ran if "pip install" in line]
    assert len(installs) == 2
    assert all("--constraint constraints.txt" in line for line in installs)
    usual = [line for line in makes("demo", ".venv") if "pip install" in line]
    assert installs[0].replace("/opt/venv", ".venv") == usual[0]  # torch, at the pinned version
    assert f"ENV PATH={venv.removeprefix('VENV=')}/bin:$PATH" in (ROOT / "Dockerfile").read_text()


@pytest.mark.slow
def test_what_the_images_copy_is_enough_for_their_steps_and_the_worker_works(stages, tmp_path):
    """The Dockerfile's own instructions on this machine, in an empty folder and an environment of its own."""
    place, venv = tmp_path / "image", tmp_path / "venv"
    for word, rest in stages["code"]:
        if word == "COPY":
            *sources, target = rest.split()
            for source in sources:
                copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
                goal = place / target / (source if target.endswith("/") else "")
                goal.parent.mkdir(parents=True, exist_ok=True)
                copy(ROOT / source, goal)
    (install,) = [rest for word, rest in stages["worker"] if word == "RUN" and rest.startswith("make")]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def give(line):
        done = subprocess.run(shlex.split(line), cwd=place, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    give(install.replace("/opt/venv", str(venv)) + f" PYTHON={sys.executable}")
    program = next(json.loads(rest) for word, rest in stages["worker"] if word == "ENTRYPOINT")
    first = next(json.loads(rest) for word, rest in stages["worker"] if word == "CMD")
    worker = f"{venv}/bin/{shlex.join(program)}"
    assert "embedded:countdown" in give(f"{worker} {shlex.join(first)}")
    short = "training.max_steps=1 training.logging_steps=1 tracking.wandb=disabled"
    assert "next: polychromic evaluate" in give(f"{worker} train config/experiments/rehearsal.yaml {short}")


def expanded(text):
    """A text of the composition with the defaults of its variables."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def test_the_composition_names_verbs_options_and_stages_that_exist(stages):
    found = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert set(found["services"]) == {"vllm", "vllm-2", "evaluate"}
    worker = found["services"]["evaluate"]
    assert worker["build"]["target"] in stages
    assert worker["depends_on"] == {"vllm": {"condition": "service_healthy"}}
    assert "healthcheck" in found["services"]["vllm"]
    verb, *words = shlex.split(expanded(worker["command"]))
    command = commands.get_command(click.Context(commands), verb)
    known = {option for each in command.params for option in each.opts}
    assert {word for word in words if word.startswith("--")} <= known
    engine = yaml.safe_load(words[words.index("--engine") + 1])
    assert engine == {"kind": "server", "base_url": "http://vllm:8000/v1", "served_model": "moderate"}
    text = (ROOT / "compose.yaml").read_text()
    assert not re.search(r"(KEY|TOKEN): (?!\$\{)\S", text)
    for service in ("vllm", "vllm-2"):
        (port,) = found["services"][service]["ports"]
        assert port.startswith("127.0.0.1:")
