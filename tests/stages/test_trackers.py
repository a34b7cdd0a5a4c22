"""``training.report_to``: transformers' own trackers beside ours, with the same numbers."""

import pytest

from polychromic.core.errors import InputError, MissingResourceError
from polychromic.records.logs import read_logs
from polychromic.settings.load import settings_from
from polychromic.stages import train
from polychromic.training import tracking


def test_what_is_no_tracker_is_refused(monkeypatch):
    assert tracking.trackers(None) == tracking.trackers("none") == tracking.trackers([]) == []
    with pytest.raises(InputError, match=r"report_to: wandb is tracking.wandb; allowed: .*mlflow.*tensorboard"):
        tracking.trackers(["wandb"])
    with pytest.raises(InputError, match="transformers has no tracker 'tensorbord'"):
        tracking.trackers("tensorbord")
    monkeypatch.setattr(tracking, "get_available_reporting_integrations", list)
    with pytest.raises(MissingResourceError, match="the package of mlflow is not installed"):
        tracking.trackers("mlflow")


@pytest.mark.long
def test_tensorboard_has_every_number_of_the_metrics_file(tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    settings = settings_from(
        {
            "experiment": {"name": "run", "output_root": str(tmp_path)},
            "model": {"name_or_path": "embedded:countdown", "dtype": "float32"},
            "data": {"task": {"kind": "countdown", "train_size": 16}},
            "lora": {"r": 4},
            "polychromic": {"lambda": 1.0, "n_generations": 4, "set_size": 2, "max_new_tokens": 4},
            "tracking": {"wandb": "disabled", "price_per_hour": 3600.0},
            "training": {
                "max_steps": 2,
                "per_device_train_batch_size": 2,
                "logging_steps": 1,
                "use_cpu": True,
                "report_to": ["tensorboard"],
            },
        }
    )
    run = train.run(settings)
    shown = event_accumulator.EventAccumulator(str(run.path / "tensorboard")).Reload()
    for log in read_logs(run.metrics):
        for name, value in log.numbers.items():
            if name in ("seconds", "train_runtime"):  # the file's own: over all parts of a run
                continue
            steps = {event.step: event.value for event in shown.Scalars(f"train/{name}")}
            assert steps[log.step] == pytest.approx(value), name
    dollars = [log.numbers["polychromic/dollars"] for log in read_logs(run.metrics)[:2]]
    assert 0 < dollars[0] < dollars[1]  # one a second
    assert not list(run.checkpoints.rglob("events*"))
