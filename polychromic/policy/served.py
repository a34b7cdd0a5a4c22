"""A client of an OpenAI-compatible server, with its retries and its refusals in one line. The only door to openai.

What fails for a passing reason (no connection, time-out, 429, 5xx, an answer that is no completion) is tried again
with growing pauses; what the server refuses for good (401, 404, 400) is not.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from polychromic.core.errors import EngineError, InputError
from polychromic.core.extras import absent
from polychromic.core.secrets import secrets_in

MOST_TEXT = 4 * 2**20
"""A longer answer than this many characters is no completion."""
REST_SECONDS = 30.0
"""How long one of several servers is left alone after it failed."""
T = TypeVar("T")


class GarbageAnswerError(EngineError):
    """The server answered, but not with a completion."""


class RefusedError(EngineError):
    """The server refused the request for good; trying again would not help. ``status`` is that of its answer."""

    status: int = 0


@dataclass(frozen=True)
class Connection:
    """Where a server is and how long to try it; the key is read from the environment variable ``api_key_env``.

    Several addresses are servers of the same model: each request goes to the one with the fewest under way.
    """

    base_url: str | tuple[str, ...]
    timeout_s: float = 300.0
    attempts: int = 5
    longest_pause_s: float = 30.0
    api_key_env: str = "POLYCHROMIC_SERVER_KEY"

    def __post_init__(self) -> None:
        for _, reason in secrets_in(self.base_url):
            raise InputError(f"server: base_url {reason} (here: {self.api_key_env})")
        if self.attempts < 1 or self.timeout_s <= 0 or self.longest_pause_s < 0:
            raise InputError("server: attempts is at least 1, timeout_s is above 0, longest_pause_s is not negative")
        if not self.urls or len(set(self.urls)) < len(self.urls):
            raise InputError("server: base_url must name at least one server, and none twice")

    @property
    def urls(self) -> tuple[str, ...]:
        """The addresses, one or several."""
        return (self.base_url,) if isinstance(self.base_url, str) else self.base_url

    @property
    def where(self) -> str:
        """The addresses, to be read."""
        return ", ".join(self.urls)


class _Server:
    """One of the servers: its client of openai, the requests under way, and until when it is left alone."""

    def __init__(self, url: str, api: Any) -> None:
        self.url, self.api = url, api
        self.busy, self.resting_until = 0, 0.0


class Client:
    """One connection, to one server or several; threads share it. Calls get a client of openai, inside ``asked``."""

    def __init__(self, connection: Connection) -> None:
        try:
            import openai
        except ImportError:
            raise absent("openai") from None
        self._openai = openai
        self._connection = connection
        self._closed = threading.Event()
        key = os.environ.get(connection.api_key_env) or "none"
        made = openai.OpenAI
        self._lock = threading.Lock()
        self._servers = [
            _Server(url, made(base_url=url, api_key=key, timeout=connection.timeout_s, max_retries=0))
            for url in connection.urls
        ]

    def asked(self, call: Callable[[Any], T]) -> T:
        """What the call gives, after as many attempts as allowed; each of several servers may fail once more.

        A server that failed gets no request for ``REST_SECONDS`` while another one answers.

        Raises:
            EngineError: the last attempt failed, or the server refused for good.
        """
        from tenacity import (
            Retrying,
            retry_if_exception,
            sleep_using_event,
            stop_after_attempt,
            wait_random_exponential,
        )

        policy = Retrying(
            stop=stop_after_attempt(self._connection.attempts + len(self._servers) - 1),
            wait=wait_random_exponential(multiplier=1, max=self._connection.longest_pause_s),
            retry=retry_if_exception(lambda error: _worth_retrying(error) and not self._closed.is_set()),
            sleep=sleep_using_event(self._closed),
            reraise=True,
        )
        return policy(self._attempt, call)

    def _attempt(self, call: Callable[[Any], T]) -> T:
        with self._lock:
            now = time.monotonic()
            server = min(self._servers, key=lambda one: (one.resting_until > now, one.busy, one.resting_until))
            server.busy += 1
        try:
            found = self._translated(server, call)
        except RefusedError:
            raise
        except EngineError:
            server.resting_until = time.monotonic() + REST_SECONDS
            raise
        finally:
            with self._lock:
                server.busy -= 1
        server.resting_until = 0.0
        return found

    def models(self) -> list[str]:
        """The ids of the models the server offers.

        Raises:
            EngineError: the server does not answer, or not with a list of models.
        """
        try:
            return [str(item.id) for item in self.asked(lambda api: api.models.list().data)]
        except (AttributeError, TypeError):
            raise GarbageAnswerError(f"{self._connection.where}: the list of models is not one") from None

    def owners(self) -> set[str]:
        """Who the list of models says owns them; nobody where the server has no such list. One attempt."""
        return {str(getattr(model, "owned_by", "")) for model in self._listed()}

    def roots(self) -> dict[str, str]:
        """What each model's id stands for, such as a folder, where the list of models says so, as a vLLM's does.

        Raises:
            EngineError: two servers mean different models by one id.
        """
        found: dict[str, str] = {}
        for model in self._listed():
            name, root = str(getattr(model, "id", "")), getattr(model, "root", None)
            if root and found.setdefault(name, str(root)) != str(root):
                raise EngineError(f"{self._connection.where}: serve different models as {name}: {found[name]}, {root}")
        return found

    def _listed(self) -> list[Any]:
        """The models of all servers; of one that does not say them, none."""
        found: list[Any] = []
        for server in self._servers:
            with suppress(self._openai.OpenAIError, ValueError, AttributeError, TypeError):
                found += list(server.api.models.list().data or ())
        return found

    def close(self) -> None:
        """Ends the connection; a request under way ends with its time-out at the latest, and is not tried again."""
        self._closed.set()
        for server in self._servers:
            server.api.close()

    def _translated(self, server: _Server, call: Callable[[Any], T]) -> T:
        """The call's result, with the client's exceptions as ours: one line, and whether trying again may help."""
        openai, where = self._openai, server.url
        try:
            return self._in_time(lambda: call(server.api))
        except (openai.APITimeoutError, TimeoutError):
            raise EngineError(f"{where}: no answer within {self._connection.timeout_s:g} s") from None
        except openai.APIConnectionError:
            raise EngineError(f"{where}: no connection; is the server running?") from None
        except openai.APIStatusError as error:
            busy = error.status_code in (408, 409, 425, 429) or error.status_code >= 500
            refusal = f"{where}: refused with status {error.status_code}{_own_words(error)}"
            if busy:
                raise EngineError(refusal) from None
            refused = RefusedError(refusal)
            refused.status = error.status_code
            raise refused from None
        except (openai.OpenAIError, ValueError, AttributeError, TypeError, LookupError) as error:
            raise GarbageAnswerError(f"{where}: an answer that is no completion ({type(error).__name__})") from None

    def _in_time(self, call: Callable[[], T]) -> T:
        """The call's result, all of it within the time allowed: the client's own limit begins anew with every byte.

        Raises:
            TimeoutError: it took longer; the request is left to itself.
        """
        found: Future[T] = Future()

        def work() -> None:
            try:
                found.set_result(call())
            except BaseException as error:  # noqa: BLE001
                found.set_exception(error)

        threading.Thread(target=work, name="request", daemon=True).start()
        return found.result(self._connection.timeout_s)


def _worth_retrying(error: BaseException) -> bool:
    return isinstance(error, EngineError) and not isinstance(error, RefusedError)


def _own_words(error: Any) -> str:
    """The first line of what the server says about its refusal, in front of it a colon; empty when it says nothing."""
    body: dict[str, Any] = error.body if isinstance(error.body, dict) else {}
    nested = body.get("error")
    inner = nested if isinstance(nested, dict) else body
    said = str(inner.get("message") or inner.get("detail") or "").strip().splitlines()
    return f": {said[0][:300]}" if said else ""


def chat_text(message: Any) -> Any:
    """The answer; a thought that the server keeps apart is put back in front of it."""
    thought = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    if not isinstance(thought, str) or not thought:
        return message.content
    return f"<think>\n{thought}\n" + (f"</think>\n{message.content}" if message.content else "")
