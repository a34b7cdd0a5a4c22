"""Completions from vLLM in this process. The only door to vllm, which is an optional extra and needs a CUDA device.

One engine holds the base and is asked with one adapter or none, so that several models of one base share it. Prompts
become tokens where those of training do, and log-probabilities are asked for after temperature and truncation: those
of the distribution that drew the tokens.
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
from polychromic.policy.render import prompt_ids

ADVICE = "vLLM is not installed: pip install 'polychromic[vllm]' (Linux with a CUDA device), or use kind: transformers"


@dataclass(frozen=True)
class Vllm:
    """The model at ``model_path`` (a folder or a hub name), with the LoRA adapter in the folder ``adapter`` if given.

    ``max_lora_rank`` is the largest rank of an adapter; 0 is for models that vLLM cannot adapt. The engine is built
    on first use and kept.
    """

    model_path: str = ""
    adapter: str = ""
    dtype: str = "auto"
    gpu_memory_utilization: float = 0.9
    max_model_len: int | None = None
    max_lora_rank: int = 64
    stop: tuple[str, ...] = ()

    def sample(self, prompts: Sequence[Prompt], n: int, decoding: Decoding, seed: int) -> list[SampleSet]:
        """One set of ``n`` completions for each prompt, in order.

        Raises:
            MissingResourceError: vLLM is not installed.
            EngineError: the engine could not start or broke off.
        """
        if not self.model_path:
            raise InputError("vllm: set model_path to a model's folder or hub name")
        vllm, engine = _engine(replace(self, adapter="", stop=()))
        parameters = [self._parameters(vllm, n, decoding, child_seed(seed, prompt.id) % 2**31) for prompt in prompts]
        tokenizer = engine.get_tokenizer()
        tokens = [{"prompt_token_ids": prompt_ids(tokenizer, prompt)} for prompt in prompts]
        try:
            answers = engine.generate(tokens, parameters, lora_request=self._lora(vllm))
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"vllm: generation broke off: {type(error).__name__}") from error
        name = self.adapter or self.model_path
        return [
            SampleSet(prompt, tuple(map(_completion, answer.outputs)), decoding, name)
            for prompt, answer in zip(prompts, answers, strict=True)
        ]

    def _lora(self, vllm: Any) -> Any:
        """The request for this adapter, whose number must be no other adapter's; None for the bare base."""
        if not self.adapter:
            return None
        number = 1 + zlib.crc32(self.adapter.encode()) % (2**31 - 1)
        return vllm.lora.request.LoRARequest(self.adapter, number, self.adapter)

    def _parameters(self, vllm: Any, n: int, decoding: Decoding, seed: int) -> Any:
        return vllm.SamplingParams(
            n=n,
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            top_k=decoding.top_k or -1,
            max_tokens=decoding.max_new_tokens,
            seed=seed,
            logprobs=0,
            stop=list(self.stop) or None,
        )


@cache
def _engine(options: Vllm) -> tuple[Any, Any]:
    try:
        import vllm
        import vllm.lora.request
    except ImportError:
        raise MissingResourceError(ADVICE) from None
    try:
        engine = vllm.LLM(
            model=options.model_path,
            dtype=options.dtype,
            gpu_memory_utilization=options.gpu_memory_utilization,
            max_model_len=options.max_model_len,
            enable_lora=options.max_lora_rank > 0,
            **({"max_lora_rank": options.max_lora_rank} if options.max_lora_rank else {}),
            logprobs_mode="processed_logprobs",
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise EngineError(f"vllm: {options.model_path} could not be started: {type(error).__name__}") from error
    return vllm, engine


def _completion(output: Any) -> Completion:
    logprob = output.cumulative_logprob
    return Completion(
        text=output.text,
        token_ids=tuple(output.token_ids),
        finished=output.finish_reason != "length",
        logprob=None if logprob is None else min(0.0, float(logprob)),
    )
