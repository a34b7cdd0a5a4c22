"""A hub that does not answer is asked once; what is not in the cache is one line, and soon."""

import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler

import pytest
from huggingface_hub import constants

from polychromic.core import hub
from polychromic.core.errors import MissingResourceError
from polychromic.policy.load import load_tokenizer
from polychromic.settings.schema import ModelSection
from polychromic.stages import demonstrations, train


@pytest.fixture
def online(monkeypatch):
    """Nobody has said that there is no network; whatever the test finds out is forgotten after it."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    hub._answers.cache_clear()
    yield monkeypatch
    hub._answers.cache_clear()


def silent():
    """A port that takes connections and says nothing, as a firewall does."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_hub_that_answers_with_an_error_is_there(online, serving):
    class Angry(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_error(503)

        def log_message(self, *_):
            pass

    with serving(Angry) as url:
        online.setattr(constants, "ENDPOINT", url)
        hub.refuse_unreachable("model", "nobody/nothing")
        assert hub.use_hub()


@pytest.mark.parametrize("how", ["refused", "silent", "no name server"])
def test_a_hub_that_does_not_answer_is_asked_once(how, online):
    listener, url = silent()
    if how == "refused":
        listener.close()
    if how == "no name server":
        url = "http://hub.invalid"
        online.setattr("socket.getaddrinfo", lambda *_, **__: threading.Event().wait())
    online.setattr(constants, "ENDPOINT", url)
    online.setattr(hub, "HUB_SECONDS", 0.2)
    online.setattr("httpx.Client.send", None)  # no library asks
    for _ in range(2):
        with pytest.raises(
            MissingResourceError, match=f"cannot be loaded: .* and {url} does not answer; give a folder"
        ):
            load_tokenizer(ModelSection(name_or_path="nobody/nothing"))
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    before = time.perf_counter()
    assert not hub.use_hub()
    assert time.perf_counter() - before < 0.1
    listener.close()


def test_a_run_says_so_before_a_library_is_loaded(online, settings_of):
    listener, url = silent()
    listener.close()
    online.setattr(constants, "ENDPOINT", url)
    online.setattr(demonstrations, "read_demonstrations", None)
    online.setattr("polychromic.policy.load.load_tokenizer", None)
    settings = settings_of("hub-down")
    with pytest.raises(MissingResourceError, match="model nobody/nothing: cannot be loaded"):
        train.run(settings.model_copy(update={"model": ModelSection(name_or_path="nobody/nothing")}))
