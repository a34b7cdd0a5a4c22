"""``log q(completion | prompt)`` with gradient: the sum over the completion's tokens, end token included.

Each prompt is read once for all its samples, in one stream (see ``stream``), whether or not gradients are
checkpointed. A model is taken at its word only after the streams of its first prompt gave what separate rows give; one
that cannot be masked, keeps a state or gives other numbers is scored in rows, and a warning says why. Logits exist only
for the completion's tokens, and for large vocabularies only a chunk of them at a time.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from polychromic.policy.sampling_mode import sampling_mode
from polychromic.policy.sharded import is_sharded, through_root
from polychromic.policy.stream import FULL, MASKED, WINDOWED, Sequences, lay_out, samples_a_stream, tokens_in

CHUNK_LOGITS = 2**25
"""Logits held at a time; above this the head is applied in chunks whose logits are recomputed in the backward pass."""
ROUNDING = {torch.float32: 1e-4, torch.float64: 1e-8}
"""Nats a token by which streams and rows may differ, by precision."""
HALF_ROUNDING = 0.05
"""The same in 16 bits."""

_rows_only: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()
"""The models met so far: whether they are scored in rows."""


def completion_logprobs(
    model: nn.Module, prompts: Sequences, completions: Sequence[Sequences], temperature: float
) -> Float[Tensor, "p n"]:
    """Natural log-probabilities of ``n`` completions for each of ``p`` prompts, with logits divided by ``temperature``.

    Prompts are not scored. An empty completion has log-probability 0. float32, with gradient where the model's
    parameters have one.
    """
    inner = causal_lm(model)
    if is_sharded(model):
        together = _together(inner, prompts, completions)
        return through_root(model, lambda: _scored(inner, prompts, completions, together, temperature))
    meet(model, prompts, completions)
    together = _together(inner, prompts, completions)
    return _scored(inner, prompts, completions, together, temperature)


def meet(model: nn.Module, prompts: Sequences, completions: Sequence[Sequences]) -> None:
    """Finds out, once, whether the model can be scored in streams; says when it cannot.

    The first call of ``completion_logprobs`` does, unless the model's weights are shared out over ranks.
    """
    inner = causal_lm(model)
    if inner not in _rows_only:
        _meet(inner, prompts, completions)


def fed_tokens(model: nn.Module, prompts: Sequences, completions: Sequence[Sequences]) -> int:
    """The tokens that a call of ``completion_logprobs`` feeds to the model: what its memory and time go with."""
    together = _together(causal_lm(model), prompts, completions)
    return sum(map(tokens_in, prompts, completions, together))


def mean_logprobs(model: nn.Module, prompt: Sequence[int], completions: Sequences) -> list[float]:
    """Log-likelihood per token of completions of one prompt at temperature 1, in nats; -inf for an empty one."""
    with torch.no_grad():
        total = completion_logprobs(model, [prompt], [completions], 1.0)[0].tolist()
    return [value / len(ids) if ids else -math.inf for value, ids in zip(total, completions, strict=True)]


def causal_lm(model: nn.Module) -> Any:
    """The transformers model inside DDP and PEFT wrappers; LoRA layers stay in place inside it."""
    inner: Any = getattr(model, "module", model)
    return inner.get_base_model() if hasattr(inner, "get_base_model") else inner


def _together(model: Any, prompts: Sequences, completions: Sequence[Sequences]) -> list[int]:
    """The samples that share a stream, for each prompt; rows until the model has been met."""
    if _rows_only.get(model, True):
        return [1] * len(prompts)
    hidden = model.config.get_text_config().hidden_size
    return [samples_a_stream(prompt, group, hidden) for prompt, group in zip(prompts, completions, strict=True)]


def _scored(
    model: Any, prompts: Sequences, completions: Sequence[Sequences], together: Sequence[int], temperature: float
) -> Tensor:
    device = model.get_input_embeddings().weight.device
    streams = lay_out(prompts, completions, together, device)
    states = model.get_decoder()(**streams.inputs(model)).last_hidden_state
    flat = [list(tokens) for group in completions for tokens in group]
    target = torch.tensor([token for tokens in flat for token in tokens], dtype=torch.long, device=device)
    token_logprobs = _head_logprobs(model, states.flatten(0, 1)[streams.read], target, temperature)
    lengths = torch.tensor([[len(tokens)] for tokens in flat], device=device)
    scored = torch.arange(max(1, *map(len, flat)), device=device) < lengths
    rows = torch.zeros(scored.shape, device=device).masked_scatter(scored, token_logprobs).sum(dim=1)
    return rows.view(len(prompts), -1)


def _meet(model: Any, prompts: Sequences, completions: Sequence[Sequences]) -> None:
    """Finds out whether the model can be scored in streams; says once when it cannot."""
    reason = _unmaskable(model)
    if reason is None:
        groups = [[tokens for tokens in group if len(tokens) > 1][:4] for group in completions]
        telling = next((place for place, group in enumerate(groups) if len(group) > 1), None)
        if telling is None:
            return
        reason = _difference(model, prompts[telling], groups[telling])
    _rows_only[model] = reason is not None
    if reason is not None:
        warnings.warn(f"samples are scored in a row each, not one stream a prompt: {reason}", stacklevel=3)


def _unmaskable(model: Any) -> str | None:
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ()) - {FULL, WINDOWED}
    if kinds:
        return f"the model has layers of the kind {', '.join(sorted(kinds))}"
    if config._attn_implementation not in MASKED:
        return f"{config._attn_implementation} takes no mask; set model.attn_implementation to one of {MASKED}"
    return None


def _difference(model: Any, prompt: Sequence[int], samples: Sequences) -> str | None:
    """Why streams are not to be trusted with this model; None when they give what rows give."""
    with sampling_mode(model):
        rows = _scored(model, [prompt], [samples], [1], 1.0)
        try:
            stream = _scored(model, [prompt], [samples], [len(samples)], 1.0)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, NotImplementedError) as error:
            return f"the model fails under a mask: {type(error).__name__}"
    lengths = torch.tensor([[len(tokens) for tokens in samples]], device=rows.device)
    worst = float(((stream - rows).abs() / lengths).max())
    if worst <= ROUNDING.get(next(model.parameters()).dtype, HALF_ROUNDING):
        return None
    return f"under a mask the model differs by {worst:.2g} nats a token"


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
