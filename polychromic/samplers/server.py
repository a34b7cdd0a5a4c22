"""Completions from any OpenAI-compatible server: vLLM, ``transformers serve``, llama.cpp.

A vLLM is asked for all completions of a prompt in one request, for their token ids, and for a distribution free of its
model's own defaults; any other server for one completion a request, with a seed of its own. What the server refuses
for good stops the run at once and says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from polychromic.core.errors import EngineError, InputError
from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet
from polychromic.core.seeds import child_seed
from polychromic.core.thoughts import split_thought
from polychromic.policy.served import MOST_TEXT, Client, Connection, GarbageAnswerError, RefusedError, chat_text

SEED_RANGE = 2**31
COMPLETIONS_OF_A_VLLM = 256
"""Completions that are asked for at once where nothing is said: as many as a vLLM decodes together."""
REQUESTS = 8
"""Requests under way at once at any other server where nothing is said."""


@dataclass(frozen=True)
class Server:
    """A client of the server at ``base_url`` (with its ``/v1``), or of several that serve the same model.

    Of several, each request goes to the one with the fewest under way; one that fails is left alone for a while.
    ``served_model`` names the model, "" takes the first one the server lists. Conversations go to the chat endpoint,
    plain text to the completion endpoint. ``stop`` strings are empty by default: they cut answers off. The key is read
    from the environment variable ``api_key_env``; a local server needs none. ``schema`` is a JSON schema the answer
    must follow, where the server can enforce one. ``parallel`` is the number of requests under way at once; None sizes
    it to the server. ``dialect`` says what the server understands; auto asks it.
    """

    base_url: str | tuple[str, ...] = "http://127.0.0.1:8000/v1"
    served_model: str = ""
    parallel: int | None = None
    dialect: Literal["auto", "openai", "vllm"] = "auto"
    timeout_s: float = 300.0
    attempts: int = 5
    longest_pause_s: float = 30.0
    stop: tuple[str, ...] = ()
    api_key_env: str = "POLYCHROMIC_SERVER_KEY"
    schema: dict[str, Any] | None = None
    logprobs: Literal["none", "sum"] = "none"

    packages: ClassVar[tuple[str, ...]] = ("openai", "tenacity")

    def __post_init__(self) -> None:
        if self.parallel is not None and self.parallel < 1:
            raise InputError("server: parallel is at least 1")
        _ = self.connection

    @property
    def connection(self) -> Connection:
        """Where the server is and how long to try it; raises InputError for times that make no sense."""
        return Connection(self.base_url, self.timeout_s, self.attempts, self.longest_pause_s, self.api_key_env)

    def sample(self, prompts: Sequence[Prompt], n: int, decoding: Decoding, seed: int) -> list[SampleSet]:
        """One set of ``n`` completions for each prompt, in order.

        Raises:
            EngineError: a request failed after all attempts; the message counts the failures by kind.
        """
        order = {id(prompt): index for index, prompt in enumerate(prompts)}
        return sorted(self.each(prompts, n, decoding, seed), key=lambda found: order[id(found.prompt)])

    def each(self, prompts: Sequence[Prompt], n: int, decoding: Decoding, seed: int) -> Iterator[SampleSet]:
        """The same sets in the order they are finished, so that they can be kept before a later one fails.

        Raises:
            EngineError: as ``sample``, after all that could be drawn was handed over.
        """
        failures: Counter[str] = Counter()
        for _, result in self.stream(prompts, n, decoding, seed):
            if isinstance(result, SampleSet):
                yield result
            else:
                failures[str(result)] += 1
        if failures:
            named = "; ".join(f"{reason} ({count} prompts)" for reason, count in failures.most_common(3))
            raise EngineError(
                f"{self.connection.where}: {sum(failures.values())} of {len(prompts)} prompts failed: {named}"
            )

    def stream(
        self, prompts: Sequence[Prompt], n: int, decoding: Decoding, seed: int
    ) -> Iterator[tuple[int, SampleSet | EngineError]]:
        """Each prompt's index with its finished set, or with what went wrong, as they come in.

        After as many failures as requests run at once, without one success in between, the server counts as gone and no
        further request is made: the remaining prompts get that same error.
        """
        if n < 1:
            raise InputError(f"n is {n}; at least one completion a prompt is needed")
        decoding = decoding.under(self.schema)
        session = _Session(self)
        gathering = _Gathering(session, prompts, n, decoding)
        pool = ThreadPoolExecutor(max_workers=gathering.parallel, thread_name_prefix="server")
        try:
            yield from gathering.results(pool, seed)
        finally:
            session.client.close()
            pool.shutdown(wait=False, cancel_futures=True)

    def source(self) -> dict[str, str]:
        """The model that is served, by its id and by what that stands for where the server tells it; and the stops.

        Raises:
            EngineError: no model is named, and the server does not answer.
        """
        session = _Session(self)
        try:
            facts = {"model": session.model, "root": session.client.roots().get(session.model, "")}
        finally:
            session.client.close()
        return {name: value for name, value in (facts | {"stop": "|".join(self.stop)}).items() if value}

    def models(self) -> list[str]:
        """The ids of the models the server offers.

        Raises:
            EngineError: the server does not answer.
        """
        client = Client(self.connection)
        try:
            return client.models()
        finally:
            client.close()


class _Gathering:
    """Keeps a bounded number of requests queued and hands over each prompt when its last completion is there."""

    def __init__(self, session: _Session, prompts: Sequence[Prompt], n: int, decoding: Decoding) -> None:
        self.session, self.prompts, self.n, self.decoding = session, prompts, n, decoding
        self.each = n if session.is_vllm else 1
        usual = max(1, COMPLETIONS_OF_A_VLLM // n) if session.is_vllm else REQUESTS
        self.parallel = session.options.parallel or usual * len(session.options.connection.urls)
        self.jobs = iter([(index, first) for index in range(len(prompts)) for first in range(0, n, self.each)])
        self.running: dict[Future[list[Completion]], tuple[int, int]] = {}
        self.drawn: dict[int, dict[int, Completion]] = {}
        self.failed: set[int] = set()
        self.barren = 0
        self.gone: EngineError | None = None

    def results(self, pool: ThreadPoolExecutor, seed: int) -> Iterator[tuple[int, SampleSet | EngineError]]:
        """Finished sets and failures as they come in."""
        self._submit(pool, seed)
        while self.running:
            for future in wait(self.running, return_when=FIRST_COMPLETED).done:
                yield from self._received(future)
            self._submit(pool, seed)
        if self.gone is not None:
            for index in sorted(({index for index, _ in self.jobs} | set(self.drawn)) - self.failed):
                yield index, self.gone

    def _submit(self, pool: ThreadPoolExecutor, seed: int) -> None:
        while self.gone is None and len(self.running) < 2 * self.parallel:
            job = next((job for job in self.jobs if job[0] not in self.failed), None)
            if job is None:
                return
            prompt = self.prompts[job[0]]
            own = child_seed(seed, prompt.id, job[1]) % SEED_RANGE
            asked = _Asked(prompt, self.each, self.decoding, own)
            self.running[pool.submit(self.session.draw, asked)] = job

    def _received(self, future: Future[list[Completion]]) -> Iterator[tuple[int, SampleSet | EngineError]]:
        index, first = self.running.pop(future)
        try:
            completions = future.result()
        except EngineError as error:
            self.barren += 1
            if self.barren >= self.parallel or isinstance(error, RefusedError):
                self.gone = error
            if index not in self.failed:
                self.failed.add(index)
                yield index, error
            return
        self.barren = 0
        texts = self.drawn.setdefault(index, {})
        texts.update(enumerate(completions, first))
        if len(texts) == self.n:
            del self.drawn[index]
            whole = tuple(texts[i] for i in range(self.n))
            yield index, SampleSet(self.prompts[index], whole, self.decoding, self.session.model)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request: ``n`` completions of a prompt."""

    prompt: Prompt
    n: int
    decoding: Decoding
    seed: int


class _Session:
    """What is asked of one client; threads share it."""

    def __init__(self, options: Server) -> None:
        self.options = options
        self.client = Client(options.connection)
        self.model = options.served_model or self._first_model()
        self.is_vllm = options.dialect == "vllm" or (options.dialect == "auto" and "vllm" in self.client.owners())

    def _first_model(self) -> str:
        try:
            models = self.client.models()
        except EngineError as error:
            raise type(error)(f"{error} (when asked which model it serves; served_model names one)") from None
        if not models:
            raise EngineError(f"{self.options.connection.where}: serves no model; set served_model")
        return models[0]

    def draw(self, asked: _Asked) -> list[Completion]:
        """The request's completions, after as many attempts as allowed."""
        return self.client.asked(lambda api: self._request(api, asked))

    def _request(self, api: Any, asked: _Asked) -> list[Completion]:
        prompt, decoding, options = asked.prompt, asked.decoding, self.options
        common: dict[str, Any] = {
            "model": self.model,
            "max_tokens": decoding.max_new_tokens,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "seed": asked.seed,
            "extra_body": self._extra(decoding) or None,
        }
        drawn = asked.n if decoding.temperature else 1
        if drawn > 1:
            common["n"] = drawn
        if options.stop:
            common["stop"] = list(options.stop)
        plain = isinstance(prompt.content, str)
        if options.logprobs == "sum":
            common["logprobs"] = 0 if plain else True
        if isinstance(prompt.content, str):
            answer = api.completions.create(prompt=prompt.content, **common)
        else:
            messages = [{"role": message.role, "content": message.content} for message in prompt.content]
            answer = api.chat.completions.create(messages=messages, **common)
        texts = [choice.text if plain else chat_text(choice.message) for choice in answer.choices]
        found = [self._completion(*both, decoding) for both in zip(answer.choices, texts, strict=True)]
        if len(found) != drawn:
            few = f"{len(found)} where {drawn} were asked for"
            raise GarbageAnswerError(f"{options.connection.where}: an answer that is no completion ({few})")
        if drawn == 1 and not found[0].token_ids:
            found = [replace(found[0], counted=_usage(answer, "completion_tokens"))]
        read = _usage(answer, "prompt_tokens")
        every = found * (asked.n // drawn)
        return [replace(one, read=read if place == 0 or read is None else 0) for place, one in enumerate(every)]

    def _extra(self, decoding: Decoding) -> dict[str, Any]:
        """What is no part of OpenAI's interface; vLLM takes what is left out from the model's own defaults."""
        extra: dict[str, Any] = {"top_k": decoding.top_k} if decoding.top_k > 0 else {}
        if self.is_vllm:
            own = {"top_k": decoding.top_k or -1, "min_p": 0.0, "repetition_penalty": 1.0}
            extra = own | {"return_token_ids": True}
        if self.options.schema:
            named = {"name": "answer", "schema": self.options.schema, "strict": True}
            extra["response_format"] = {"type": "json_schema", "json_schema": named}
        return extra

    def _completion(self, choice: Any, text: Any, decoding: Decoding) -> Completion:
        if not isinstance(text, str) or len(text) > MOST_TEXT:
            raise GarbageAnswerError(
                f"{self.options.connection.where}: an answer without text, or with far too much of it"
            )
        tokens = tuple(getattr(choice, "token_ids", None) or ())
        thought, text = split_thought(text)
        return Completion(text, tokens, choice.finish_reason != "length", _logprob(choice, decoding), thought)


def _usage(answer: Any, name: str) -> int | None:
    """How many tokens the server says that it read or drew for a request."""
    count = getattr(getattr(answer, "usage", None), name, None)
    return count if type(count) is int and count > 0 else None


def _logprob(choice: Any, decoding: Decoding) -> float | None:
    """The summed log-probability of the completion's tokens, None when the server gave none; 0 at temperature 0."""
    given: Any = getattr(choice, "logprobs", None)
    tokens = getattr(given, "token_logprobs", None)
    if tokens is None and getattr(given, "content", None):
        tokens = [token.logprob for token in given.content]
    numbers = [float(number) for number in tokens or () if isinstance(number, int | float)]
    if not numbers:
        return None
    return min(0.0, sum(numbers)) if decoding.temperature else 0.0
