"""The house keeps its promises: shelves, configurations and verbs are what their folders say they are."""

from __future__ import annotations

import dataclasses
import importlib
import os
import pkgutil
import resource
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml

import polychromic
from polychromic.cli import VERBS
from polychromic.settings.catalog import SHELVES, build, kind_class, kinds, options, parts_on
from polychromic.settings.load import load_settings, resolved, settings_from

ROOT = Path(polychromic.__path__[0]).parent
SHIPPED = ("demo", "experiments", "own", "rivals")
CONFIGS = sorted(path for path in (ROOT / "config").rglob("*.yaml") if path.parent.name in SHIPPED)
ON_SHELVES = [(shelf, kind) for shelf in SHELVES for kind in kinds(shelf)]


@pytest.mark.parametrize(("shelf", "kind"), ON_SHELVES, ids=lambda value: value)
def test_a_kind_is_a_frozen_dataclass_with_the_shelfs_method_and_defaults_for_its_options(shelf, kind):
    cls = kind_class(shelf, kind)
    assert dataclasses.is_dataclass(cls)
    assert cls.__dataclass_params__.frozen, f"{shelf}/{kind} can be changed after it is built"
    assert callable(getattr(cls, SHELVES[shelf].method))
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    assert set(options(shelf, kind)) == set(fields) - parts_on(shelf)
    for name, field in fields.items():
        if name not in parts_on(shelf):
            given = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
            assert given, f"{shelf}/{kind}: the option {name} has no default"
    assert cls.__doc__


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_configuration_loads_builds_and_says_what_it_is(path):
    assert path.read_text().startswith("# "), "a configuration starts with a line that says what it is"
    settings = load_settings(path)
    assert settings_from(resolved(settings)) == settings
    section = settings.polychromic
    parts = {"embedder": object(), "reference": object()}
    task = build("tasks", settings.data.task) if settings.data.task else None
    build("rewards", section.reward, task=task, **parts)
    build("gates", section.gate, task=task, **parts)
    if settings.evaluation.task:
        build("tasks", settings.evaluation.task)


def test_the_experiments_have_names_of_their_own_and_differ_only_in_lambda():
    found = {path.stem: load_settings(path) for path in CONFIGS if path.parent.name == "experiments"}
    del found["rehearsal"]
    assert {name: settings.polychromic.diversity_weight for name, settings in found.items()} == {
        "baseline": 0.0,
        "polychromic_0.3_conservative": 0.3,
        "polychromic_1.0_moderate": 1.0,
        "polychromic_2.0_aggressive": 2.0,
    }
    for name, settings in found.items():
        assert settings.experiment.name == name
        plain = resolved(settings)
        plain["experiment"]["name"] = plain["polychromic"]["lambda"] = None
        base = resolved(found["baseline"])
        base["experiment"]["name"] = base["polychromic"]["lambda"] = None
        assert plain == base


def test_the_rehearsal_keeps_the_objective_of_the_experiment_that_it_rehearses():
    folder = ROOT / "config" / "experiments"
    rehearsal, real = (load_settings(folder / f"{name}.yaml") for name in ("rehearsal", "polychromic_1.0_moderate"))
    shorter = real.polychromic.model_copy(update={"max_new_tokens": rehearsal.polychromic.max_new_tokens})
    assert rehearsal.polychromic == shorter
    assert rehearsal.evaluation.temperatures == real.evaluation.temperatures
    assert (rehearsal.quantization, rehearsal.lora) == (None, real.lora)


def test_a_shipped_experiment_runs_on_any_base_from_the_command_line():
    changes = ("model.name_or_path=embedded:countdown", "quantization=null", "data.train_file=null")
    settings = load_settings(ROOT / "config" / "experiments" / "baseline.yaml", [*changes, "data.task=countdown"])
    assert (settings.model.name_or_path, settings.quantization) == ("embedded:countdown", None)


@pytest.mark.parametrize("path", sorted((ROOT / "config" / "accelerate").glob("*.yaml")), ids=lambda path: path.name)
def test_every_accelerate_configuration_is_one(path, monkeypatch):
    from accelerate.commands.config.config_args import load_config_from_file

    for name in [name for name in os.environ if name.startswith("ACCELERATE_")]:
        monkeypatch.delenv(name)
    config = load_config_from_file(str(path))
    assert config.num_processes == (2 if "2" in path.stem else 1)
    assert yaml.safe_load(path.read_text())["use_cpu"] is ("cpu" in path.stem)


def test_the_arguments_trl_takes_accept_every_training_section():
    from trl import SFTConfig

    for path in CONFIGS:
        training = load_settings(path).training
        assert set(training) <= set(SFTConfig.__dataclass_fields__)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_has_its_file_and_a_help_text(verb):
    module = importlib.import_module(f"polychromic.cli.{verb.replace('-', '_')}")
    assert isinstance(module.command, click.Command)
    assert module.command.help or module.command.get_short_help_str()


def test_every_file_of_the_cli_with_a_command_is_a_verb():
    files = [module.name for module in pkgutil.iter_modules([str(ROOT / "polychromic" / "cli")])]
    having = {name for name in files if hasattr(importlib.import_module(f"polychromic.cli.{name}"), "command")}
    assert having == {verb.replace("-", "_") for verb in VERBS}


def test_no_verb_imports_anything_heavy_before_it_runs():
    code = (
        "import sys, importlib\n"
        "from polychromic.cli import VERBS\n"
        "import polychromic.__main__\n"
        "for verb in VERBS:\n"
        "    importlib.import_module('polychromic.cli.' + verb.replace('-', '_'))\n"
        "heavy = {'torch', 'transformers', 'trl', 'peft', 'numpy', 'scipy', 'pydantic', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.long
def test_a_configuration_is_refused_before_torch_is_imported():
    """What a plan, a dry run and a training refuse by the settings alone."""
    code = (
        "import sys\n"
        "from polychromic.project import plan_project\n"
        "from polychromic.settings.load import load_settings\n"
        "from polychromic.stages import train\n"
        f"train.refuse_early(load_settings({str(ROOT / 'config/demo/online.yaml')!r}))\n"
        "print(sorted({'torch', 'transformers', 'trl', 'peft'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def used():
    """Processor seconds of all children so far: what a loaded machine leaves alone, unlike the clock on the wall."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def test_help_appears_at_once():
    seconds = []
    for _ in range(5):
        begun = used()
        done = subprocess.run([sys.executable, "-m", "polychromic", "--help"], capture_output=True, text=True)
        seconds.append(used() - begun)
        assert done.returncode == 0
        assert all(verb in done.stdout for verb in VERBS)
    assert min(seconds) < 0.4


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, polychromic; print(len([n for n in sys.modules if n.split('.')[0] in ('torch', 'numpy')]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def test_no_file_of_the_package_is_called_after_nothing_in_particular():
    stray = [
        path for path in (ROOT / "polychromic").rglob("*.py") if path.stem in ("utils", "helpers", "misc", "common")
    ]
    assert stray == []
