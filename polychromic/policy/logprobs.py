"""``log q(completion | prompt)`` with gradient: the sum over the completion's tokens, end token included.

Each prompt is read once and its keys and values shared by its samples, gradient included, where the model may keep a
cache; under gradient checkpointing, which forbids that, every sample is a row of its own. Logits exist only for the
completion's tokens, and for large vocabularies only a chunk of them at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from polychromic.policy.generate import left_padded

CHUNK_LOGITS = 2**25
"""Logits held at a time; above this the head is applied in chunks whose logits are recomputed in the backward pass."""

Sequences = Sequence[Sequence[int]]


def completion_logprobs(
    model: nn.Module, prompts: Sequences, completions: Sequence[Sequences], temperature: float, *, pad: int
) -> Float[Tensor, "p n"]:
    """Natural log-probabilities of ``n`` completions for each of ``p`` prompts, with logits divided by ``temperature``.

    Prompts and padding are not scored. An empty completion has log-probability 0. float32, with gradient where the
    model's parameters have one.
    """
    n = len(completions[0])
    flat = [list(tokens) for group in completions for tokens in group]
    device = next(model.parameters()).device
    width = max(1, max(len(tokens) for tokens in flat))
    target = torch.tensor([tokens + [pad] * (width - len(tokens)) for tokens in flat], device=device)
    scored = torch.arange(width, device=device) < torch.tensor([[len(tokens)] for tokens in flat], device=device)
    states = _row_states if _checkpointing(model) else _shared_states
    hidden = states(causal_lm(model), prompts, target, n, pad)
    token_logprobs = _head_logprobs(causal_lm(model), hidden[scored], target[scored], temperature)
    rows = torch.zeros(target.shape, device=device).masked_scatter(scored, token_logprobs).sum(dim=1)
    return rows.view(len(prompts), n)


def mean_logprobs(model: nn.Module, prompt: Sequence[int], completions: Sequences, pad: int) -> list[float]:
    """Log-likelihood per token of completions of one prompt at temperature 1, in nats; -inf for an empty one."""
    with torch.no_grad():
        total = completion_logprobs(model, [prompt], [completions], 1.0, pad=pad)[0].tolist()
    return [value / len(ids) if ids else -math.inf for value, ids in zip(total, completions, strict=True)]


def causal_lm(model: nn.Module) -> Any:
    """The transformers model inside DDP and PEFT wrappers; LoRA layers stay in place inside it."""
    inner: Any = getattr(model, "module", model)
    return inner.get_base_model() if hasattr(inner, "get_base_model") else inner


def _checkpointing(model: nn.Module) -> bool:
    return any(getattr(module, "gradient_checkpointing", False) is True for module in model.modules())


def _shared_states(model: Any, prompts: Sequences, target: Tensor, n: int, pad: int) -> Tensor:
    """Hidden states [p*n, t, d] that predict each completion token, the prompts read once."""
    decoder = model.get_decoder()
    ids, mask = left_padded(prompts, pad, target.device)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    first = decoder(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True)
    last = first.last_hidden_state[:, -1:].repeat_interleave(n, dim=0)
    if target.shape[1] == 1:
        return last
    cache = first.past_key_values
    cache.batch_repeat_interleave(n)
    fed = target[:, :-1]
    mask = torch.cat([mask.repeat_interleave(n, dim=0), torch.ones_like(fed)], dim=1)
    steps = torch.arange(1, fed.shape[1] + 1, device=fed.device)
    places = positions[:, -1:].repeat_interleave(n, dim=0) + steps
    rest = decoder(
        input_ids=fed, attention_mask=mask, position_ids=places, past_key_values=cache, use_cache=True
    ).last_hidden_state
    return torch.cat([last, rest], dim=1)


def _row_states(model: Any, prompts: Sequences, target: Tensor, n: int, pad: int) -> Tensor:
    """The same from one row for each sample, without a cache."""
    ids, mask = left_padded(prompts, pad, target.device)
    ids = torch.cat([ids.repeat_interleave(n, dim=0), target[:, :-1]], dim=1)
    mask = torch.cat([mask.repeat_interleave(n, dim=0), torch.ones_like(target[:, :-1])], dim=1)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    out = model.get_decoder()(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False)
    states: Tensor = out.last_hidden_state[:, -target.shape[1] :]
    return states


def _head_logprobs(model: Any, hidden: Tensor, target: Tensor, temperature: float) -> Tensor:
    """Log-probability [s] of each scored token from its hidden state [s, d]."""
    head, config = model.get_output_embeddings(), model.config.get_text_config()
    softcap, scale = _logit_shape(config)

    def score(states: Tensor, tokens: Tensor) -> Tensor:
        logits: Tensor = head(states).float() * scale
        if softcap:
            logits = softcap * torch.tanh(logits / softcap)
        return -torch.nn.functional.cross_entropy(logits / temperature, tokens, reduction="none")

    rows = max(1, CHUNK_LOGITS // config.vocab_size)
    if hidden.shape[0] <= rows:
        return score(hidden, target)
    parts = [
        checkpoint(score, states, tokens, use_reentrant=False)
        for states, tokens in zip(hidden.split(rows), target.split(rows), strict=True)
    ]
    return torch.cat(parts)


def _logit_shape(config: Any) -> tuple[float, float]:
    """The soft cap (0: none) and the factor that a model puts on its logits after the head."""
    softcap = getattr(config, "final_logit_softcapping", None) or 0.0
    scale = getattr(config, "logit_scale", None)
    if scale is None:
        scale = getattr(config, "lm_head_multiplier", None)
    if scale is None:
        divisor = getattr(config, "logits_scaling", None)
        scale = 1.0 if divisor is None else 1.0 / divisor
    return float(softcap), float(scale)
