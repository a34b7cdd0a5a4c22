"""CPU seconds of an evaluation without its sampling and without its encoder: 500 prompts x 10 samples x 3 models.

    python benchmarks/evaluation.py                 # every metric that applies, countdown's verdicts
    python benchmarks/evaluation.py --words 100     # longer texts

Samples are right answers and wrong ones of the given prompts, followed by ``--words`` random words of prose; vectors
are random unit vectors of 384 dimensions, which cost a hundredth of what an encoder does. ``--encode`` encodes so many
of the texts with the installed all-MiniLM-L6-v2, for the proportion.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
import warnings
import zlib

import numpy as np

from polychromic.core.nouns import Completion, Decoding, SampleSet
from polychromic.records.evaluation import EvaluationFolder
from polychromic.records.jsonl import write_rows
from polychromic.records.samples import sample_rows, store
from polychromic.stages import compare, measure, report, verify
from polychromic.tasks.countdown import Countdown


class RandomVectors:
    """A unit vector for each text, decided by it."""

    name = "random"
    dimensions = 384

    def embed(self, texts):
        rows = [np.random.default_rng(zlib.crc32(text.encode())).standard_normal(384) for text in texts]
        found = np.asarray(rows, dtype=np.float32).reshape(len(rows), 384)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def sets_of(options: argparse.Namespace, task: Countdown):
    dice, words = random.Random(0), [f"w{number}" for number in range(2000)]
    decoding = Decoding(temperature=1.0, max_new_tokens=256)
    for model in ("base", "sft", "diverse"):
        share = {"base": 0.1, "sft": 0.4, "diverse": 0.4}[model]
        for example in task.examples("test")[: options.prompts]:
            texts = []
            for _ in range(options.samples):
                numbers = [str(dice.randint(1, 9)) for _ in range(4)]
                wrong = "".join(number + dice.choice("+-*") for number in numbers)[:-1]
                text = example.demonstration if dice.random() < share else wrong
                texts.append(" ".join([text, *dice.choices(words, k=options.words)]))
            drawn = tuple(Completion(text, tuple(range(len(text.split()))), True, -float(len(text))) for text in texts)
            yield from store([SampleSet(example.prompt, drawn, decoding, model)], "", 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"prompts": 500, "samples": 10, "words": 0, "encode": 0}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    task, vectors = Countdown(test_size=max(500, options.prompts)), RandomVectors()
    with tempfile.TemporaryDirectory() as place:
        folder = EvaluationFolder(place)
        sets = list(sets_of(options, task))
        write_rows(folder.samples, [row for stored in sets for row in sample_rows(stored)])
        texts = [text for stored in sets for text in stored.samples.texts]
        stages = {
            "verify": lambda: verify.run(folder, task),
            "measure": lambda: measure.run(folder, measure.Measuring(embedder=vectors, task=task)),
            "compare": lambda: compare.run(folder),
            "report": lambda: report.run(folder),
        }
        total = 0.0
        print(f"{len(texts)} texts of {sum(len(text.split()) for text in texts) / len(texts):.0f} words")
        print(f"{'stage':<10}{'CPU s':>8}")
        for name, stage in stages.items():
            began = time.process_time()
            stage()
            total += (spent := time.process_time() - began)
            print(f"{name:<10}{spent:>8.1f}")
        print(f"{'all':<10}{total:>8.1f}")
        if options.encode:
            embedder = measure.open_embedder(None)
            began = time.process_time()
            embedder.embed(texts[: options.encode])
            print(f"encoding {options.encode} of the texts: {time.process_time() - began:.1f}")


if __name__ == "__main__":
    main()
