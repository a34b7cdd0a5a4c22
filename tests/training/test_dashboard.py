"""The view of a W&B project: panels of numbers that are logged, and what is missing is said first."""

import json
import os
import re
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

import pytest

from polychromic.core.errors import InputError, MissingResourceError, PublishError
from polychromic.records.metric_names import in_section
from polychromic.settings.load import resolved, resolved_yaml, settings_from
from polychromic.training import dashboard
from tests import processes

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


class WandbStandIn(BaseHTTPRequestHandler):
    """W&B's door for views: says who asks, and takes what is sent."""

    saved: ClassVar[list] = []

    def do_POST(self):
        if self.path != "/graphql":  # telemetry
            self.send_error(404)
            return
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        viewer = {"id": "1", "entity": "me", "username": "me", "email": "", "flags": "{}", "teams": {"edges": []}}
        answer = {"viewer": viewer}
        if "upsertView" in asked["query"]:
            self.saved.append(asked["variables"])
            answer = {"upsertView": {"view": {"id": "v", "name": asked["variables"]["name"]}, "inserted": True}}
        said = json.dumps({"data": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


@pytest.mark.long
def test_the_view_reaches_wandb_as_it_was_laid_out(serving, tmp_path):
    """The verb as a person gives it; W&B is a stand-in on this machine, asked by its own client."""
    pytest.importorskip("wandb_workspaces")
    config = tmp_path / "c.yaml"
    config.write_text(resolved_yaml(settings()))
    WandbStandIn.saved.clear()
    with serving(WandbStandIn) as url:
        place = {"WANDB_BASE_URL": url.removesuffix("/v1"), "WANDB_API_KEY": "a" * 40, "HOME": str(tmp_path)}
        done = processes.run("-m", "polychromic", "dashboard", config, environment=os.environ | place, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (sent,) = WandbStandIn.saved
    assert (sent["entityName"], sent["projectName"], sent["displayName"]) == ("me", "mine", "polychromic sweep")
    assert done.stdout.startswith(f"{place['WANDB_BASE_URL']}/me/mine?nw=")
    sections = json.loads(sent["spec"])["section"]["panelBankConfig"]["sections"]
    panels = {each["name"]: each["panels"] for each in sections}
    assert list(panels)[:6] == ["over lambda", "held-out prompts", "training", "health", "cost", "verdict"]
    over = [(panel["config"]["xAxis"], panel["config"]["yAxis"]) for panel in panels["over lambda"]]
    assert ("config:polychromic.value.lambda", "summary:eval/pass@8") in over
    assert panels["held-out prompts"][0]["config"]["metrics"] == ["eval/pass@1"]
