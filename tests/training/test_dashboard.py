"""The view of a W&B project: panels of numbers that are logged, and what is missing is said first."""

import re
import sys
from pathlib import Path

import pytest

from polychromic.core.errors import InputError, MissingResourceError, PublishError
from polychromic.records.metric_names import in_section
from polychromic.settings.load import resolved, settings_from
from polychromic.training import dashboard

PAGE = Path(__file__).parents[2] / "docs" / "logged-numbers.md"


def settings(entity="me"):
    return settings_from(
        {
            "experiment": {"name": "a", "group": "sweep"},
            "model": {"name_or_path": "embedded:countdown"},
            "data": {"task": "countdown"},
            "evaluation": {"during_training": {"n": 8}},
            "tracking": {"entity": entity, "project": "mine"},
        }
    )


def test_the_layout_shows_scores_over_lambda_and_only_numbers_that_are_logged():
    pytest.importorskip("wandb_workspaces")
    view = dashboard.layout(settings())._to_model()
    assert (view.entity, view.project, view.display_name) == ("me", "mine", "polychromic sweep")
    sections = {each.name: each.panels for each in view.spec.section.panel_bank_config.sections}
    over = [(panel.config.x_axis, panel.config.y_axis) for panel in sections["over lambda"]]
    assert over[1] == ("config:polychromic.value.lambda", "summary:eval/pass@8")
    assert "lambda" in resolved(settings())["polychromic"]  # what is sent as the run's configuration
    documented = {in_section(name.replace("@k", "@8")) for name in re.findall(r"`([^`\s]+)`", PAGE.read_text())}
    names = ("held-out prompts", "training", "health", "cost")
    shown = [name for section in names for panel in sections[section] for name in panel.config.metrics]
    assert set(shown) <= documented
    assert len(shown) > 20


def test_what_is_missing_is_said(monkeypatch):
    monkeypatch.setattr(dashboard, "has_key", lambda: False)
    with pytest.raises(InputError, match=r"tracking\.entity: says whose project"):
        dashboard.save(settings(None))
    with pytest.raises(MissingResourceError, match="no key on this machine"):
        dashboard.save(settings())
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    with pytest.raises(MissingResourceError, match=r"wandb.workspaces is not installed: pip install"):
        dashboard.layout(settings())


def test_what_wandb_says_is_one_line(monkeypatch):
    class View:
        url = "https://wandb.ai/me/mine"

        def save(self):
            raise ConnectionError("no network\nand more")

    monkeypatch.setattr(dashboard, "has_key", lambda: True)
    monkeypatch.setattr(dashboard, "layout", lambda _: View())
    with pytest.raises(PublishError, match=r"^W&B did not take the view: no network$"):
        dashboard.save(settings())
    monkeypatch.setattr(View, "save", lambda self: self)
    assert dashboard.save(settings()) == View.url
