"""A synthetic evaluation folder: samples, verdicts and measurements of a countdown-like task, and its comparison."""

import json
import math
import shutil
import threading

import numpy as np
import pytest

from polychromic.analysis.record import CompareSettings
from polychromic.analysis.resampling import Plan
from polychromic.core.digests import file_digest
from polychromic.project.view import Server
from polychromic.stages import compare

MODELS = {"base": (-1.2, 6), "sft": (0.3, 2), "moderate": (0.25, 4), "aggressive": (-0.4, 6)}


def distinct_and_correct(n, counts, k):
    return sum(1 - math.comb(n - count, k) / math.comb(n, k) for count in counts)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="session")
def make_folder():
    """Writes samples, verdicts and measurements for ``models`` = {name: (logit shift, answers)} into a folder."""

    def build(folder, models=None, temperatures=(0.7, 1.0, 1.3), prompts=30, n=16, seed=0, text=None):
        generator = np.random.default_rng(seed)
        samples, verdicts, measurements = [], [], []
        difficulty = generator.normal(0, 1.5, prompts)
        for model, (shift, pool) in (models or MODELS).items():
            for temperature in temperatures:
                for i in range(prompts):
                    chance = 1 / (1 + math.exp(-(difficulty[i] + shift - 1.5 * (temperature - 1))))
                    right = generator.random(n) < chance
                    drawn = generator.integers(0, max(1, round(pool * temperature)), n)
                    numbers = [3 + i, 5 + i % 7, 7, 25]
                    prompt = f"Use the numbers {numbers} with + - * / to reach {20 + 3 * i}. Write one expression."
                    counts = [int((right & (drawn == a)).sum()) for a in range(pool * 2)]
                    for j in range(n):
                        answer = f"({numbers[drawn[j] % 4]} + {drawn[j]}) * {numbers[0]} - {numbers[1]}"
                        body = answer if right[j] else f"{answer} / {generator.integers(1, 9)}"
                        common = {"model": model, "prompt_id": f"test-{i:04d}", "sample_index": j}
                        samples.append(
                            common
                            | {
                                "adapter": "",
                                "prompt": prompt,
                                "payload": {},
                                "decoding": {
                                    "temperature": temperature,
                                    "top_p": 1.0,
                                    "top_k": 0,
                                    "max_new_tokens": 64,
                                },
                                "seed": 0,
                                "text": text or body,
                                "finished": bool(generator.random() > 0.01),
                                "logprob": None,
                            }
                        )
                        status = "passed" if right[j] else "failed"
                        verdicts.append(
                            common
                            | {
                                "temperature": temperature,
                                "status": status,
                                "detail": "",
                                "answer": answer if right[j] else None,
                            }
                        )
                    cut = sum(not row["finished"] for row in samples[-n:]) / n
                    values = {
                        f"pass_at_k|k:{k}": distinct_and_correct(n, [int(right.sum())], k) for k in (1, 2, 4, 8, 16)
                    }
                    values |= {f"distinct_correct|k:{k}": distinct_and_correct(n, counts, k) for k in (4, 8, 16)}
                    values |= {"semantic|encoder:hashing|k:16": 0.1 + 0.4 * len(set(drawn.tolist())) / 8}
                    values |= {"distinct|n:2|tok:words|k:16|scope:prompt": 0.2 + 0.5 * len(set(drawn.tolist())) / 16}
                    values |= {
                        "self_bleu|n:4|smooth:method1|tok:words|k:16|scope:prompt": 0.9 / len(set(drawn.tolist()))
                    }
                    values |= {"length|unit:tokens": 14.0 + 3 * temperature + generator.normal(), "truncated": cut}
                    for signature, value in values.items():
                        measurements.append(
                            {
                                "model": model,
                                "temperature": temperature,
                                "prompt_id": f"test-{i:04d}",
                                "signature": signature,
                                "numerator": value,
                                "denominator": 1.0,
                                "reason": "",
                                "detail": {},
                            }
                        )
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / "samples.jsonl", samples)
        write(folder / "verdicts.jsonl", verdicts)
        write(folder / "measurements.jsonl", measurements)
        return folder

    return build


@pytest.fixture(scope="session")
def folder(make_folder, tmp_path_factory):
    """An evaluation folder with a comparison; do not write into it."""
    made = make_folder(tmp_path_factory.mktemp("evaluation"))
    compare.run(made, "sft", "base", CompareSettings("sft", plan=Plan(resamples=1000)))
    return made


EVIL_NAME = "x<img src=x onerror=alert(1)>\u202e"


@pytest.fixture
def project(folder, tmp_path):
    """Two runs, one of them with a hostile name and unfinished, and an evaluation of the finished one."""
    root = tmp_path / "project"
    for name, weight, finished in (("a run", 1.5, None), (EVIL_NAME, 0.0, "2026-01-02T03:04:05+00:00")):
        place = root / name
        place.mkdir(parents=True)
        settings = {"polychromic": {"lambda": weight}, "lora": {"r": 8}, "tracking": {"price_per_hour": 3600.0}}
        settings["experiment"] = {"notes": f"{EVIL_NAME} sk-{'a' * 24}"}
        write(place / "run.json", [{"settings": settings, "finished": finished}])
        write(place / "metrics.jsonl", [{"step": s, "loss": 1 / s} for s in (1, 2, 3)])
        write(place / "costs.jsonl", [{"stage": "train", "seconds": 2.5, "processor_seconds": 2.0}])
        held = {"step": 3, "prompt_id": "p", "prompt": EVIL_NAME, "completion": "</script>", "verdict": "passed"}
        write(place / "held_out_samples.jsonl", [held])
        (place / "adapter_model.safetensors").write_text(name)
    evaluation = root / "evaluation"
    shutil.copytree(folder, evaluation)
    weights = {"moderate": file_digest(root / EVIL_NAME / "adapter_model.safetensors"), "sft": "0" * 16}
    (evaluation / "evaluation.json").write_text(json.dumps({"weights": weights}))
    (evaluation / "report.html").write_text("<p>the report")
    return root


@pytest.fixture
def viewed(project):
    """The server of `polychromic view`, answering."""
    with Server(project) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
