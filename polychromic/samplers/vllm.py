"""Completions from vLLM in this process. The only door to vllm, which is an optional extra and needs a CUDA device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from polychromic.core.errors import EngineError, InputError, MissingResourceError
from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet
from polychromic.core.seeds import child_seed

ADVICE = "vLLM is not installed: pip install 'polychromic[vllm]' (Linux with a CUDA device), or use kind: transformers"


@dataclass(frozen=True)
class Vllm:
    """The model at ``model_path`` (a folder or a hub name), with the LoRA adapter in the folder ``adapter`` if given.

    Log-probabilities are those vLLM reports for the sampled tokens. The engine is built on first use and kept.
    """

    model_path: str = ""
    adapter: str = ""
    dtype: str = "auto"
    gpu_memory_utilization: float = 0.9
    max_model_len: int | None = None
    stop: tuple[str, ...] = ()

    def sample(self, prompts: Sequence[Prompt], n: int, decoding: Decoding, seed: int) -> list[SampleSet]:
        """One set of ``n`` completions for each prompt, in order.

        Raises:
            MissingResourceError: vLLM is not installed.
            EngineError: the engine could not start or broke off.
        """
        if not self.model_path:
            raise InputError("vllm: set model_path to a model's folder or hub name")
        vllm, engine = _engine(self)
        parameters = [self._parameters(vllm, n, decoding, child_seed(seed, prompt.id) % 2**31) for prompt in prompts]
        lora = vllm.lora.request.LoRARequest("adapter", 1, self.adapter) if self.adapter else None
        texts = [_rendered(engine.get_tokenizer(), prompt) for prompt in prompts]
        try:
            answers = engine.generate(texts, parameters, lora_request=lora)
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"vllm: generation broke off: {type(error).__name__}") from error
        name = self.adapter or self.model_path
        return [
            SampleSet(prompt, tuple(map(_completion, answer.outputs)), decoding, name)
            for prompt, answer in zip(prompts, answers, strict=True)
        ]

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
            enable_lora=bool(options.adapter),
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise EngineError(f"vllm: {options.model_path} could not be started: {type(error).__name__}") from error
    return vllm, engine


def _rendered(tokenizer: Any, prompt: Prompt) -> str:
    """The prompt as text, through the model's own chat template for a conversation."""
    if isinstance(prompt.content, str):
        return prompt.content
    turns = [{"role": message.role, "content": message.content} for message in prompt.content]
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))


def _completion(output: Any) -> Completion:
    logprob = output.cumulative_logprob
    return Completion(
        text=output.text,
        token_ids=tuple(output.token_ids),
        finished=output.finish_reason != "length",
        logprob=None if logprob is None else min(0.0, float(logprob)),
    )
