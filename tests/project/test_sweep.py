"""A sweep's grid: every combination once, named, checked before anything is trained."""

import importlib
import itertools
from pathlib import Path

import pytest

import polychromic
from polychromic.core.errors import InputError, NumericalError, SettingsError
from polychromic.core.protocols import no_progress
from polychromic.project import sweep
from polychromic.settings.load import identity, load_settings

CONFIG = Path(polychromic.__path__[0]).parent / "config" / "demo" / "sft.yaml"
GRID = ["polychromic.lambda=0.3,1,2,4", "polychromic.set_size=2,4"]


@pytest.fixture
def planned(tmp_path):
    def make(*arguments, seeds=1):
        return sweep.runs(CONFIG, arguments, seeds, tmp_path / "all")

    return make


def test_every_combination_is_trained_with_every_seed(planned, tmp_path):
    found = planned(*GRID, "experiment.seed=5", seeds=3)
    sections = [(run.settings.polychromic, run.settings.experiment) for run in found]
    assert [(s.diversity_weight, s.set_size, e.seed) for s, e in sections] == list(
        itertools.product((0.3, 1, 2, 4), (2, 4), (5, 6, 7))
    )
    assert [run.model for run in found[:4]] == [
        *(f"lambda_0.3-set_size_2@{n}" for n in (1, 2, 3)),
        "lambda_0.3-set_size_4@1",
    ]
    assert found[1].folder == tmp_path / "all" / "lambda_0.3-set_size_2-seed6"
    assert len({run.folder for run in found}) == 24
    assert {e.group for _, e in sections} == {"demo"}
    again = load_settings(CONFIG, found[7].overrides)
    assert again == found[7].settings


def test_a_single_value_belongs_to_all_and_brackets_hold_together(planned):
    found = planned("training.learning_rate=1e-5,2e-4", "evaluation.temperatures=[0.7,1]", "polychromic.lambda=2")
    assert [run.model for run in found] == ["learning_rate_1e-05", "learning_rate_0.0002"]
    assert [run.settings.training["learning_rate"] for run in found] == [1e-5, 2e-4]
    assert {run.settings.polychromic.diversity_weight for run in found} == {2.0}
    assert {run.settings.evaluation.temperatures for run in found} == {(0.7, 1.0)}


def test_lambda_zero_is_one_run_whatever_else_the_term_is_given_and_the_baseline(planned):
    found = planned("polychromic.lambda=0,2", "polychromic.set_size=2,shapley", "lora.r=4,8")
    assert [run.model for run in found] == [
        "lambda_0-r_4",
        "lambda_0-r_8",
        *(f"lambda_2-set_size_{k}-r_{r}" for k in (2, "shapley") for r in (4, 8)),
    ]
    assert sweep.baseline_of(found) == "lambda_0-r_4"
    assert sweep.baseline_of(found[2:]) == "base"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["polychromic.lambda=1,-1"], "polychromic.lambda: must be greater than or equal to 0, got -1"),
        (["polychromic.lamda=1,2"], "polychromic.lamda: unknown key; did you mean lambda"),
        (["polychromic.lambda=1,1"], "polychromic.lambda: a value is given twice"),
        (["polychromic.lambda=1", "polychromic.lambda=2"], "polychromic.lambda: is given twice"),
        (["polychromic.lambda=,1"], "command line"),
        (["polychromic.lambda"], "expected section.key=value,value"),
        (["experiment.seed=1,2"], "experiment.seed: runs of a sweep may differ in .*--seeds"),
        (["evaluation.n=4,8"], "evaluation.n: runs of a sweep may differ in"),
        (["lora.init_lora_weights=true,pissa"], "lora.init_lora_weights: pissa is not served"),
        (["polychromic.set_size=2,9", "polychromic.lambda=1"], "set_size"),
        (["training.optim=a!,a+"], "two combinations of values would both be called optim_a"),
    ],
)
def test_a_bad_value_is_one_line_before_anything_is_trained(planned, tmp_path, arguments, said):
    with pytest.raises(InputError, match=said) as caught:
        planned(*arguments)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "all").exists()


def test_the_best_is_not_chosen_on_prompts_of_the_report(planned):
    found = planned("polychromic.lambda=0,2")
    with pytest.raises(InputError, match=r"--choose-on test: has prompts of evaluation.split \(test\)"):
        sweep.sections(found, sweep.Choice(split="test"))
    with pytest.raises(InputError, match="distinct_corect"):
        sweep.sections(found, sweep.Choice("distinct_corect"))
    report, ours = sweep.sections(found, sweep.Choice("semantic"))
    assert (report.split, ours.split, ours.metrics) == ("test", "validation", ("semantic",))


def test_a_folder_of_another_run_is_refused_before_the_first_is_trained(planned, tmp_path):
    (tmp_path / "all" / "lambda_2").mkdir(parents=True)
    (tmp_path / "all" / "lambda_2" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds no run of ours"):
        planned("polychromic.lambda=0,2")


def test_an_unreadable_list_is_a_settings_error():
    with pytest.raises(SettingsError, match="command line"):
        sweep.grid(["polychromic.lambda=[1,2"])


def test_a_run_whose_numbers_fail_is_named_and_the_others_go_on(planned, monkeypatch):
    importlib.import_module("polychromic.training.health")  # torch warns when it is imported
    found, trained = planned("polychromic.lambda=0,2,64"), []

    def train(settings, folder, progress):
        if settings.polychromic.diversity_weight == 2:
            raise NumericalError("the loss is not finite")
        trained.append(folder.name)

    monkeypatch.setattr("polychromic.stages.train.run", train)
    with pytest.warns(UserWarning, match="lambda_2: left out of the sweep: the loss is not finite"):
        done, failed = sweep._trained(found, no_progress)
    assert trained == [run.model for run in done] == ["lambda_0", "lambda_64"]
    assert failed == {"lambda_2": "the loss is not finite"}


def test_a_written_configuration_is_the_run_itself(planned, tmp_path):
    found = planned(*GRID, seeds=2)
    paths = sweep.write(found, tmp_path / "configs")
    assert [path.stem for path in paths] == [run.folder.name for run in found]
    for path, run in zip(paths, found, strict=True):
        assert identity(load_settings(path)) == identity(run.settings)
