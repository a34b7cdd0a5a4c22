"""What the objective costs beside the step it belongs to: gate, reward, credit and baseline, and the gradient monitor.

    python benchmarks/reward_cost.py [--prompts 16] [--steps 10]

The step is the embedded Countdown model's: sampling, scoring and the demonstration batch, timed by the trainer itself on
this machine. Every reward is timed on the sets that were sampled. Embeddings are listed by themselves: they are a model's
cost, not the formula's, and are cached by text.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet, Status, Verdict
from polychromic.embedding.hashing import HashingEmbedder
from polychromic.objective.baseline import KINDS
from polychromic.objective.combined import DiversityObjective
from polychromic.settings.catalog import build

REWARDS = {
    "answers": "answers",
    "semantic": "semantic",
    "lexical jaccard": "lexical",
    "lexical distinct": {"kind": "lexical", "statistic": "distinct"},
    "vendi": "vendi",
    "logdet": "logdet",
    "clusters": "clusters",
    "mixture": {"kind": "mixture", "parts": ["answers", "vendi"]},
    "quality": {"kind": "quality", "of": "semantic"},
}
