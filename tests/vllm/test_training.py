"""A training whose samples the real vLLM draws: what is drawn is what is scored, at every step's own adapter."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from safetensors.torch import load_file

pytest.importorskip("vllm")
pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("default"), pytest.mark.timeout(900)]

CONFIG = """
experiment: {name: run, output_root: .}
model: {name_or_path: "embedded:countdown"}
data: {task: {kind: countdown, train_size: 64}}
lora: {r: 8}
training:
  max_steps: 4
  per_device_train_batch_size: 4
  learning_rate: 0.01
  use_cpu: true
  bf16: false
  logging_steps: 1
  gradient_checkpointing: false
polychromic:
  lambda: 1.0
  n_generations: 4
  max_examples_for_diversity: 4
  max_new_tokens: 32
  engine: {kind: vllm, max_model_len: 128, gpu_memory_utilization: 0.2}
tracking: {wandb: disabled}
"""


def test_four_steps_through_the_command_line(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG)
    command = [sys.executable, "-m", "polychromic", "train", "config.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    gaps = [row["polychromic/logprob_gap"] for row in rows if "polychromic/logprob_gap" in row]
    assert len(gaps) == 4
    assert max(gaps) < 1e-4  # with the first step's adapter the last one's would be far above
    weights = load_file(tmp_path / "run" / "adapter_model.safetensors")
    assert max(float(value.abs().max()) for name, value in weights.items() if "lora_B" in name) > 0.01
