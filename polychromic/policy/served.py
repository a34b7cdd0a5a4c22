"""A client of an OpenAI-compatible server, with its retries and its refusals in one line. The only door to openai.

What fails for a passing reason (no connection, time-out, 429, 5xx, an answer that is no completion) is tried again
with growing pauses; what the server refuses for good (401, 404, 400) is not.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from polychromic.core.errors import EngineError, InputError
from polychromic.core.extras import absent

MOST_TEXT = 4 * 2**20
"""A longer answer than this many characters is no completion."""
T = TypeVar("T")


class GarbageAnswerError(EngineError):
    """The server answered, but not with a completion."""


class RefusedError(EngineError):
    """The server refused the request for good; trying again would not help. ``status`` is that of its answer."""

    status: int = 0


@dataclass(frozen=True)
class Connection:
    """Where a server is and how long to try it; the key is read from the environment variable ``api_key_env``."""

    base_url: str
    timeout_s: float = 300.0
    attempts: int = 5
    longest_pause_s: float = 30.0
    api_key_env: str = "POLYCHROMIC_SERVER_KEY"

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.timeout_s <= 0 or self.longest_pause_s < 0:
            raise InputError("server: attempts is at least 1, timeout_s is above 0, longest_pause_s is not negative")


class Client:
    """One connection; threads share it. ``api`` is the client of openai, whose calls belong inside ``asked``."""

    def __init__(self, connection: Connection) -> None:
        try:
            import openai
        except ImportError:
            raise absent("openai") from None
        self._openai = openai
        self._connection = connection
        self._closed = threading.Event()
        key = os.environ.get(connection.api_key_env) or "none"
        self.api = openai.OpenAI(base_url=connection.base_url, api_key=key, timeout=connection.timeout_s, max_retries=0)

    def asked(self, call: Callable[[], T]) -> T:
        """What the call gives, after as many attempts as allowed.

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
            stop=stop_after_attempt(self._connection.attempts),
            wait=wait_random_exponential(multiplier=1, max=self._connection.longest_pause_s),
            retry=retry_if_exception(lambda error: _worth_retrying(error) and not self._closed.is_set()),
            sleep=sleep_using_event(self._closed),
            reraise=True,
        )
        return policy(self._translated, call)

    def models(self) -> list[str]:
        """The ids of the models the server offers.

        Raises:
            EngineError: the server does not answer, or not with a list of models.
        """
        try:
            return [str(item.id) for item in self.asked(lambda: self.api.models.list().data)]
        except (AttributeError, TypeError):
            raise GarbageAnswerError(f"{self._connection.base_url}: the list of models is not one") from None

    def owners(self) -> set[str]:
        """Who the list of models says owns them; nobody where the server has no such list. One attempt."""
        return {str(getattr(model, "owned_by", "")) for model in self._listed()}

    def roots(self) -> dict[str, str]:
        """What each model's id stands for, such as a folder, where the list of models says so, as a vLLM's does."""
        said = ((model, getattr(model, "root", None)) for model in self._listed())
        return {str(getattr(model, "id", "")): str(root) for model, root in said if root}

    def _listed(self) -> list[Any]:
        try:
            return list(self.api.models.list().data or ())
        except (self._openai.OpenAIError, ValueError, AttributeError, TypeError):
            return []

    def close(self) -> None:
        """Ends the connection; a request under way ends with its time-out at the latest, and is not tried again."""
        self._closed.set()
        self.api.close()

    def _translated(self, call: Callable[[], T]) -> T:
        """The call's result, with the client's exceptions as ours: one line, and whether trying again may help."""
        openai, where = self._openai, self._connection.base_url
        try:
            return self._in_time(call)
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
