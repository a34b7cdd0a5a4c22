"""The formulas as plain functions: lists and numpy arrays in, numbers out; no torch, no configuration.

For other people's trainers and notebooks. Each is a thin caller of the one home of its formula, so that what is
computed here is what training rewards and the evaluator reports.

>>> from polychromic import credit, distinct_correct_at_k
>>> credit(["a", "a", "b", None], k="shapley").tolist()
[0.5, 0.5, 1.0, 0.0]
>>> distinct_correct_at_k(["a", "a", "b", None], k=4)
2.0
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polychromic.core.errors import InputError
from polychromic.core.nouns import Distances, Labels
from polychromic.diversity import answers, kernels, ngrams, subsets, tokenizers
from polychromic.diversity import self_bleu as bleu
from polychromic.diversity import vendi as spectra
from polychromic.objective.credit import Credit, SetSize, group_credit
from polychromic.settings import outside

Subtracted = Literal["nothing", "leave_one_out"]


def credit(
    labels: Sequence[Hashable | None] | None = None,
    valid: Sequence[float] | None = None,
    k: SetSize = "shapley",
    *,
    distances: ArrayLike | None = None,
    baseline: Subtracted = "nothing",
) -> NDArray[np.float64]:
    """What each of ``n`` samples of one prompt adds to sets of ``k``, float64 [n].

    Give ``labels`` (each sample's answer or cluster, None for none) or ``distances`` ([n, n], symmetric, in [0, 1]),
    and ``valid`` (1 counts, 0 does not; by default every sample that has a label). ``(1/n) sum_i credit_i grad log
    q(y_i)`` estimates the gradient of the expected worth of ``k`` samples without bias: for labels, of the number of
    different valid ones over ``k``; for distances, of their mean over pairs. ``k`` is 1 to n, or ``shapley``, the mean
    over all.

    ``baseline="leave_one_out"`` subtracts what the other samples earn among themselves: still unbiased, less variance.
    Subtracting the group's mean instead, as GRPO does, shrinks and bends the gradient; see ``docs/objective.md``.

    Raises:
        InputError: neither or both of labels and distances, or numbers that do not fit together.
        UnsoundObjectiveError: ``k`` cannot be had from this many samples.
    """
    found = _credit(labels, valid, k, distances)
    return found.values - found.reference if baseline == "leave_one_out" else found.values


def _credit(
    labels: Sequence[Hashable | None] | None, valid: Sequence[float] | None, k: SetSize, distances: ArrayLike | None
) -> Credit:
    if (labels is None) == (distances is None):
        raise InputError("credit: give labels or distances, one of them")
    if labels is not None:
        counted = [float(label is not None) for label in labels] if valid is None else list(valid)
        return group_credit(Labels(tuple(labels)), counted, k)
    matrix = np.asarray(distances, dtype=np.float64)
    if matrix.ndim != 2:
        raise InputError(f"credit: distances must have shape [n, n], not {list(matrix.shape)}")
    rows = tuple(map(tuple, matrix.tolist()))
    return group_credit(Distances(rows), [1.0] * len(rows) if valid is None else list(valid), k)


def pass_at_k(passed: Sequence[bool], k: int) -> float:
    """The unbiased chance in [0, 1] that one of ``k`` samples is right (2107.03374); NaN for fewer than k samples."""
    return float(subsets.pass_at_k(len(passed), sum(map(bool, passed)), k))


def distinct_correct_at_k(right_answers: Sequence[Hashable | None], k: int) -> float:
    """How many different right answers ``k`` of the samples are expected to hold, in [0, k]; NaN for fewer than k.

    ``right_answers`` has each sample's canonical answer, None where it is wrong.
    """
    return answers.distinct_at_k(right_answers, k)


def distinct_n(texts: Sequence[str], n: int = 2, tokenizer: str = "words") -> float:
    """Different over all n-grams of the texts, pooled, in (0, 1] (1510.03055); NaN without an n-gram."""
    split = tokenizers.tokenizer(tokenizer)
    return ngrams.distinct(list(ngrams.ngram_counts([split(text) for text in texts], n).values()))


def self_bleu(texts: Sequence[str], n: int = 4, tokenizer: str = "words") -> float:
    """Mean BLEU-n of each text against all others, in [0, 1], nltk's method1 (1802.01886); low = diverse."""
    split = tokenizers.tokenizer(tokenizer)
    return bleu.self_bleu([split(text) for text in texts], orders=(n,))[n]


def semantic_diversity(vectors: ArrayLike) -> float:
    """Mean cosine distance over all pairs of embeddings [n, d], in [0, n/(n-1)]; NaN for fewer than two."""
    return kernels.mean_distance(_unit(vectors))


def vendi_score(vectors: ArrayLike, q: float = 1.0) -> float:
    """Effective number of different embeddings [n, d], in [1, n] (2210.02410; order q: 2310.12952)."""
    return spectra.vendi(_unit(vectors), q)


def _unit(vectors: ArrayLike) -> NDArray[np.float32]:
    return kernels.unit(np.asarray(vectors, dtype=np.float32))


Label = Callable[..., Hashable | None]
"""``label(prompt, completion, **columns)``: the canonical answer of a right completion, None of a wrong one."""


class CreditReward:
    """A reward function for TRL's GRPOTrainer and RLOOTrainer: each completion's credit for sets of ``k``.

    ``label`` says which right answer a completion gives. TRL hands over groups of ``num_generations`` completions of
    one prompt, one after another, with the data set's columns; a conversation's completion is its message list.

    What the trainers make of it: RLOO subtracts the mean of the others' credits, GRPO (``scale_rewards="none"``,
    ``loss_type="dr_grpo"``) the group's, which is the same times (n-1)/n. The others' credits depend on the sample, so
    both bend the gradient: ``tests/functions`` has by how much on an enumerated policy. Dividing by the group's
    standard deviation (GRPO's default) bends it further. ``PolychromicTrainer`` does neither.
    """

    def __init__(self, label: Label, num_generations: int, k: SetSize = "shapley") -> None:
        if num_generations < 2:
            raise InputError(f"CreditReward: num_generations must be at least 2, not {num_generations}")
        self.label, self.num_generations, self.k = label, num_generations, k
        self.__name__ = f"credit_{k}"

    def __call__(self, prompts: Sequence[object], completions: Sequence[object], **columns: object) -> list[float]:
        """One credit for each completion.

        Raises:
            InputError: the batch does not consist of whole groups.
        """
        n = self.num_generations
        if len(completions) % n or any(prompts[i] != prompts[i - i % n] for i in range(len(prompts))):
            raise InputError(f"CreditReward: {len(completions)} completions are not groups of {n} of one prompt")
        rows = {name: column for name, column in columns.items() if _is_column(column, len(completions))}
        labels = [
            self.label(prompt, completion, **{name: column[i] for name, column in rows.items()})  # type: ignore[index]
            for i, (prompt, completion) in enumerate(zip(prompts, completions, strict=True))
        ]
        groups = (labels[start : start + n] for start in range(0, len(labels), n))
        return [float(value) for group in groups for value in credit(group, k=self.k)]


def _is_column(value: object, rows: int) -> bool:
    return isinstance(value, list) and len(value) == rows


LARGEST_CODE = 2**24 - 1
"""Whole numbers up to this one are exact in 32-bit floats."""


def answer_code(answer: Hashable | None) -> float:
    """A reward that names a right answer: a whole number in [1, 2**24), the same for equal answers; 0.0 for None.

    For trainers that hand an advantage function nothing but rewards. Two different answers have the same code with a
    chance of 6e-8.
    """
    if answer is None:
        return 0.0
    return float(1 + int.from_bytes(hashlib.sha256(str(answer).encode()).digest()[:8], "big") % LARGEST_CODE)


class VerlAdvantage:
    """An advantage estimator for verl: each response's credit for sets of ``k``, on each of its tokens.

    ``register_adv_est("polychromic")(VerlAdvantage())`` of ``verl.trainer.ppo.core_algos`` makes it the setting
    ``algorithm.adv_estimator=polychromic``. verl shows an estimator rewards and no texts, so the reward function must
    give ``answer_code(right answer)``, and nothing may be added to it (``use_kl_in_reward=False``). With
    ``loss_agg_mode=seq-mean-token-sum`` and one update a batch the gradient is that of ``credit``; PPO's clipping
    and means over tokens bend it.
    """

    def __init__(self, k: SetSize = "shapley", baseline: Subtracted = "leave_one_out") -> None:
        self.k, self.baseline = k, baseline

    def __call__(
        self, token_level_rewards: Any, response_mask: Any, index: Sequence[Hashable], **_: object
    ) -> tuple[Any, Any]:
        """Advantages and returns, both [responses, tokens]; ``index`` names each response's prompt.

        Raises:
            InputError: a reward is no code of an answer.
        """
        codes = token_level_rewards.double().sum(-1).tolist()
        wrong = next((code for code in codes if code != int(code) or not 0 <= code <= LARGEST_CODE), None)
        if wrong is not None:
            raise InputError(
                f"VerlAdvantage: the reward {wrong:g} is no answer_code; is something added to the rewards?"
            )
        groups: dict[Hashable, list[int]] = {}
        for place, name in enumerate(index):
            groups.setdefault(name, []).append(place)
        values = [0.0] * len(codes)
        for places in groups.values():
            found = credit([codes[place] or None for place in places], k=self.k, baseline=self.baseline)
            for place, value in zip(places, found.tolist(), strict=True):
                values[place] = value
        advantages = token_level_rewards.new_tensor(values).unsqueeze(-1) * response_mask
        return advantages, advantages


def prime_rl_advantage(
    inputs: Any,
    label: str | Callable[[Any], Hashable | None],
    k: SetSize = "shapley",
    baseline: Subtracted = "leave_one_out",
) -> Any:
    """prime-rl's custom advantage: one credit for each rollout of the group ``inputs.rollouts``.

    In its configuration: ``type = "custom"``, ``import_path = "polychromic.functions.prime_rl_advantage"``, ``kwargs =
    {label = "my_module:label"}``. ``label(rollout)`` gives a right rollout's canonical answer, None for a wrong one.
    The outcome is the ``AdvantageOutputs`` of the module that ``inputs`` come from.

    Raises:
        InputError: a group is too small for ``k``.
    """
    named = outside.load(label) if isinstance(label, str) else label
    found = credit([named(rollout) for rollout in inputs.rollouts], k=k, baseline=baseline)
    outputs = importlib.import_module(type(inputs).__module__).AdvantageOutputs
    return outputs(advantages=found.tolist())
