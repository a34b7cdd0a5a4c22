"""README's Python example runs as it is printed, but for the model's name and the data set."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_python_example_runs_as_printed(tmp_path, tiny_model_factory, tiny_tokenizer_factory):
    section = README.read_text().partition("## In Python")[2]
    code = re.search(r"```python\n(.*?)```", section, re.S)[1]
    assert "Qwen/Qwen3-0.6B" in code
    tiny = tmp_path / "tiny"
    tiny_model_factory().save_pretrained(tiny)
    tiny_tokenizer_factory().save_pretrained(tiny)
    rows = [
        {"messages": [{"role": "user", "content": f"{d}+1"}, {"role": "assistant", "content": str(d + 1)}]}
        for d in range(8)
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "example.py").write_text(code.replace("Qwen/Qwen3-0.6B", "tiny"))
    environment = os.environ | {"PYTHONPATH": str(README.parent), "HF_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    state = json.loads((tmp_path / "runs/mine/checkpoint-3/trainer_state.json").read_text())
    learnt = state["stateful_callbacks"]["ObjectiveState"]["attributes"]["objective"]["baseline"]["moments"]
    assert learnt[0] > 0  # samples were credited
