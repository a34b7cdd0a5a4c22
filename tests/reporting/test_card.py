"""The card says what a run is and what was found of it; a hub takes both, or refuses before anything is trained."""

from __future__ import annotations

import base64
import json
import shutil
from http.server import BaseHTTPRequestHandler

import pytest
import yaml

from polychromic.__main__ import run
from polychromic.core.errors import MissingResourceError, PublishError
from polychromic.project import card
from polychromic.records.artefacts import finish_run, open_run
from polychromic.settings.load import identity, resolved_yaml, settings_from

KEY = "key-of-the-test"


@pytest.fixture
def settings(tmp_path):
    def make(name="diverse", **training):
        return settings_from(
            {
                "experiment": {"name": name, "output_root": str(tmp_path / "runs"), "license": "apache-2.0"},
                "model": {"name_or_path": "Qwen/Qwen3-8B", "revision": "abc"},
                "data": {"train_file": str(tmp_path / "secret-place" / "train.jsonl"), "task": {"kind": "answer"}},
                "polychromic": {"lambda": 1.5, "n_generations": 8, "set_size": 4, "reward": "answers"},
                "lora": {"r": 32},
                "quantization": {"load_in_4bit": True},
                "training": training,
            }
        )

    return make


@pytest.fixture
def finished(settings, tmp_path):
    """A finished run with stand-ins for its weights; its data has a digest of its own."""
    (tmp_path / "secret-place").mkdir()
    (tmp_path / "secret-place" / "train.jsonl").write_text('{"prompt": "p", "completion": "c"}\n')
    folder = open_run(tmp_path / "runs" / "diverse", identity(settings()), {"experiment": 0})
    folder.resolved.write_text(resolved_yaml(settings()))
    folder.adapter.write_bytes(b"weights")
    (folder.path / "adapter_config.json").write_text("{}")
    (folder.path / "tokenizer.json").write_text("{}")
    finish_run(folder, steps=7, examples=1, seconds=3.5)
    return folder.path


def test_a_card_says_what_was_trained_on_what_and_how_to_use_it(finished, tmp_path):
    text = card.run(finished).read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert front["base_model"] == "Qwen/Qwen3-8B"
    assert (front["library_name"], front["license"]) == ("peft", "apache-2.0")
    for said in (
        "λ = 1.5, sets of k = 4 out of N = 8 samples",
        "| quantisation in training | load_in_4bit True |",
        "train.jsonl (SHA-256 ",
        "judged by answer",
        "| steps, seconds | 7, 3.5 |",
        "not evaluated yet",
        "--enable-lora --max-lora-rank 32 --lora-modules diverse=",
    ):
        assert said in text
    assert "secret-place" not in text
    with pytest.raises(MissingResourceError, match="no finished run"):
        card.run(tmp_path)


def test_with_an_evaluation_it_holds_the_verdict_the_table_and_the_figures(finished, evaluated, tmp_path):
    moderate = finished.rename(finished.parent / "moderate")
    text = card.run(moderate, evaluated).read_text()
    comparison = json.loads((evaluated / "comparison.json").read_text())
    (verdict,) = [each for each in comparison["verdicts"] if each["model"] == "moderate"]
    assert f"**{verdict['level']}.**" in text
    assert text.count("| moderate |") == 1
    assert "| aggressive |" not in text
    for picture in (evaluated / "figures").glob("*.png"):
        assert (moderate / "figures" / picture.name).read_bytes() == picture.read_bytes()
        assert f"](figures/{picture.name})" in text
    with pytest.raises(MissingResourceError, match="compares no model called other"):
        card.run(moderate.rename(moderate.parent / "other"), evaluated)


@pytest.fixture
def evaluated(folder, tmp_path):
    """An evaluation of base, sft, moderate and aggressive, with one figure."""
    place = shutil.copytree(folder, tmp_path / "evaluation")
    (place / "figures").mkdir()
    (place / "figures" / "frontier.png").write_bytes(b"a picture")
    return place


class Hub:
    """What a stand-in for the hub was sent."""

    def __init__(self):
        self.repositories, self.files, self.full = {}, {}, False


class HubHandler(BaseHTTPRequestHandler):
    """Answers what is asked of a hub, to who has the key; ``kept`` and ``url`` are those of the fixture."""

    kept: Hub
    url: str

    def answer(self, status, value):
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        self.do_POST()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            self.answer(401, {"error": "Invalid credentials"})
        elif self.path.startswith("/api/whoami"):
            self.answer(200, {"type": "user", "name": "me", "auth": {"accessToken": {"role": "write"}}})
        elif self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"me/{asked['name']}"
            self.kept.repositories.setdefault(name, bool(asked.get("private") or asked.get("visibility") == "private"))
            self.answer(200, {"url": f"{self.url}/{name}", "name": name, "id": name})
        elif "/preupload/" in self.path:
            named = [one["path"] for one in json.loads(body)["files"]]
            modes = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in named]
            self.answer(200, {"files": modes})
        elif self.path == "/api/validate-yaml":
            self.answer(200, {"errors": [], "warnings": []})
        else:
            self.commit(body)

    def commit(self, body):
        if self.kept.full:
            self.answer(507, {"error": "no room"})
            return
        rows = [json.loads(line)["value"] for line in body.splitlines() if json.loads(line)["key"] == "file"]
        self.kept.files |= {row["path"]: base64.b64decode(row["content"]) for row in rows}
        done = {"success": True, "commitOid": "1", "commitUrl": f"{self.url}/me/x/commit/1", "hookOutput": ""}
        self.answer(200, done)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(serving, monkeypatch):
    """A model hub on the loopback address that knows one key."""
    import huggingface_hub
    from huggingface_hub import constants

    handler = type("Handler", (HubHandler,), {"kept": Hub()})
    with serving(handler) as address:
        handler.url = address.removesuffix("/v1")
        monkeypatch.setattr(constants, "ENDPOINT", handler.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", KEY)
        yield handler.kept
        huggingface_hub.close_session()


def test_a_run_goes_to_the_hub_with_its_card_and_without_its_settings(finished, hub, settings, tmp_path):
    name = card.refuse_unpublishable(settings(push_to_hub=True))
    assert name == "me/diverse"
    assert hub.repositories == {"me/diverse": True}  # private unless somebody says otherwise
    assert card.finish(finished, name)
    assert set(hub.files) == {"README.md", "adapter_config.json", "adapter_model.safetensors", "tokenizer.json"}
    assert hub.files["adapter_model.safetensors"] == b"weights"
    assert b'from_pretrained("me/diverse")' in hub.files["README.md"]
    assert str(tmp_path).encode() not in b"".join(hub.files.values())


def test_a_repository_may_be_named_and_public(hub, settings):
    asked = settings(push_to_hub=True, hub_model_id="other", hub_private_repo=False)
    assert card.refuse_unpublishable(asked) == "me/other"
    assert hub.repositories == {"me/other": False}
    assert card.refuse_unpublishable(settings()) == ""


@pytest.mark.parametrize("key", ["", "wrong"])
def test_without_a_right_key_nothing_is_trained(key, hub, settings, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HF_TOKEN", key)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    config = tmp_path / "c.yaml"
    config.write_text(resolved_yaml(settings(push_to_hub=True)))
    assert run(["train", str(config)], debug=False) == 2
    said = capsys.readouterr().err
    assert said.startswith("polychromic: training.push_to_hub: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_hub_that_fails_at_the_end_costs_nothing(finished, hub, settings):
    name = card.refuse_unpublishable(settings(push_to_hub=True))
    hub.full = True
    before = (finished / "adapter_model.safetensors").read_bytes()
    with pytest.raises(PublishError, match=rf"is whole, but .* again: polychromic card .* --push {name}"):
        card.finish(finished, name)
    assert (finished / "adapter_model.safetensors").read_bytes() == before
    hub.full = False
    assert run(["card", str(finished), "--push", "diverse"], debug=False) == 0
    assert "README.md" in hub.files
