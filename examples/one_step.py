"""One polychromic step in plain torch. ``python examples/one_step.py`` takes thirty of them on a toy.

The loss of a fine-tuning run on demonstrations (x, y*), with lambda >= 0:

    L(theta) = -mean over target tokens of log p(y*|x)  -  lambda * mean over prompts of E[ f(y_1..y_k) ]

f is the worth of a set of k samples of one prompt: here its number of different right answers, over k. The second
term's gradient is estimated from N >= k samples y_1..y_N of the policy at temperature T:

    grad E[f]  ~  (1/N) * sum over i of (s_i - r_i) * grad log q(y_i|x)
    s_i = valid_i * C(N - c_i, k - 1) / C(N - 1, k - 1)         c_i of the N samples give the same answer as y_i
    r_i = the mean of s_j over the other samples, among themselves
    log q(y|x) = sum over the tokens of y, its end included, of log softmax(logits / T)

s_i is what y_i adds to sets of k on average. r_i does not depend on y_i, so it takes noise away and no truth. Measuring
a diversity and subtracting it from the loss would do nothing: a number has no gradient.

Letters at the end of names are axes: P prompts, N samples, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from math import comb
from typing import Any

import torch
from torch import Tensor

Tokens = Sequence[int]
Judge = Callable[[Tokens, Tokens], str | None]
"""Prompt and sample to the sample's canonical answer; None when it is wrong."""


def log_probs(model: Any, prompt: Tokens, completion: Tokens, temperature: float) -> Tensor:
    """The log q of each token of a completion, shape [T], with gradient."""
    ids = torch.tensor([[*prompt, *completion]])
    logits_TV = model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1] / temperature
    return logits_TV.log_softmax(-1).gather(1, torch.tensor(completion)[:, None])[:, 0]


def demonstration_loss(model: Any, demonstrations: Sequence[tuple[Tokens, Tokens]]) -> Tensor:
    """The mean negative log-likelihood of all target tokens."""
    log_p = [log_probs(model, prompt, answer, 1.0) for prompt, answer in demonstrations]
    return -torch.cat(log_p).mean()


@torch.no_grad()
def draw(model: Any, prompt: Tokens, temperature: float, longest: int, end: int) -> list[int]:
    """One sample of the policy itself: no top-k, no top-p. It ends with the token ``end``, or is cut off."""
    tokens: list[int] = []
    while len(tokens) < longest and end not in tokens:
        logits_V = model(input_ids=torch.tensor([[*prompt, *tokens]]), use_cache=False).logits[0, -1] / temperature
        tokens.append(int(torch.multinomial(logits_V.softmax(-1), 1)))
    return tokens


def credit(answers: Sequence[str | None], k: int) -> list[float]:
    """s_i: the chance that nobody else in a random set of k with sample i gives its answer; 0 for a wrong one."""
    n, count = len(answers), Counter(answers)
    return [0.0 if one is None else comb(n - count[one], k - 1) / comb(n - 1, k - 1) for one in answers]


def advantages(answers: Sequence[str | None], k: int) -> list[float]:
    """(s_i - r_i) / N."""
    n, out = len(answers), []
    for i, s in enumerate(credit(answers, k)):
        others = credit([*answers[:i], *answers[i + 1 :]], min(k, n - 1))
        out.append((s - sum(others) / (n - 1)) / n)
    return out


def diversity_surrogate(
    model: Any, prompts: Sequence[Tokens], samples_PN: Sequence[Sequence[Tokens]], advantages_PN: Tensor, T: float
) -> Tensor:
    """A scalar whose gradient estimates grad E[f], the mean over prompts; its value means nothing."""
    log_q_PN = torch.stack([
        torch.stack([log_probs(model, prompt, sample, T).sum() for sample in samples])
        for prompt, samples in zip(prompts, samples_PN, strict=True)
    ])  # fmt: skip
    return (advantages_PN * log_q_PN).sum() / len(prompts)


def loss_of_step(
    model: Any,
    demonstrations: Sequence[tuple[Tokens, Tokens]],
    samples_PN: Sequence[Sequence[Tokens]],
    judge: Judge,
    weight: float,
    k: int,
    T: float = 1.0,
) -> Tensor:
    """L(theta) as it is differentiated: the demonstrations' loss minus lambda times the surrogate."""
    prompts = [prompt for prompt, _ in demonstrations]
    answers_PN = [[judge(x, y) for y in ys] for x, ys in zip(prompts, samples_PN, strict=True)]
    advantages_PN = torch.tensor([advantages(answers, k) for answers in answers_PN])
    surrogate = diversity_surrogate(model, prompts, samples_PN, advantages_PN, T)
    return demonstration_loss(model, demonstrations) - weight * surrogate


def toy_judge(prompt: Tokens, sample: Tokens) -> str | None:
    """Right is one token of 3..9, then the end (1)."""
    return str(sample[0]) if 3 <= sample[0] <= 9 and list(sample[1:]) == [1] else None


def main(steps: int = 30, n: int = 8, k: int = 4, weight: float = 1.0) -> list[int]:
    """How many different right answers each step's samples held; the demonstrations show only one of the seven."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    shape = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=12, hidden_size=32, intermediate_size=32, **shape))
    optimizer, found = torch.optim.AdamW(model.parameters(), lr=1e-2), []
    demonstrations = [([2, 10], [3, 1]), ([2, 11], [3, 1])]
    for step in range(1, steps + 1):
        samples_PN = [[draw(model, prompt, 1.0, 3, end=1) for _ in range(n)] for prompt, _ in demonstrations]
        loss = loss_of_step(model, demonstrations, samples_PN, toy_judge, weight, k)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(len({toy_judge([], sample) for samples in samples_PN for sample in samples} - {None}))
        if step % 10 == 0:
            print(f"step {step}: loss {loss.item():.3f}, {found[-1]} different right answers in {2 * n} samples")
    return found


if __name__ == "__main__":
    main()
