"""A judge that says yes to everything, served by the project's own verb: it is refused, by training and evaluation."""

from __future__ import annotations

import json
import socket

import pytest

from tests import processes

HEXADECIMAL = "0123456789abcdef"


def teach_to_agree(folder):
    """A model that ends with ``VERDICT mark: PASS`` whatever it is asked: it copies the mark of its instructions."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<pad>", "<end>", "<unk>", "VERDICT ", ": PASS", *HEXADECIMAL]
    inner = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"VERDICT |: PASS|[\s\S]"), "isolated")
    inner.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        eos_token="<end>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = "{{ messages[0].content.split('VERDICT ')[-1][:8] }}"
    generator = torch.Generator().manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids_of_ends = {"bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0}
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(words), **sizes, **ids_of_ends))
    optimizer, loss = torch.optim.AdamW(model.parameters(), lr=1e-2), torch.tensor(1.0)
    ends = torch.tensor([words.index(": PASS"), 1]).expand(64, 2)
    while loss.item() > 1e-3:
        mark = torch.randint(5, len(words), (64, 8), generator=generator)
        ids = torch.cat([mark, torch.full((64, 1), 3), mark, ends], 1)
        loss = model(input_ids=ids, labels=torch.where(torch.arange(ids.shape[1]) < 8, -100, ids)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.slow
def test_a_served_model_that_accepts_the_controls_is_refused(environment, tmp_path):
    judge = teach_to_agree(tmp_path / "judge")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    rows = [{"prompt": f"{n} {n + 1} 4 5 6 7 = {n + 5}:", "completion": f"{n}+5"} for n in range(2, 10)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {"kind": "judge", "rubric": "The sum is right.", "served_model": judge, "max_new_tokens": 24}
    task |= {"base_url": f"http://127.0.0.1:{port}/v1", "cache": "judgements.jsonl", "parallel": 2}
    configuration = {
        "experiment": {"name": "mine", "output_root": "runs"},
        "model": {"name_or_path": "embedded:countdown", "format": "plain"},
        "data": {"train_file": "rows.jsonl", "task": task},
        "polychromic": {"lambda": 1.0, "n_generations": 2, "set_size": 2, "max_new_tokens": 4}
        | {"max_examples_for_diversity": 2, "reward": "answers", "gate": "verifier"},
        "training": {"max_steps": 1, "per_device_train_batch_size": 2, "use_cpu": True, "bf16": False}
        | {"gradient_checkpointing": False},
        "evaluation": {"task": task | {"path": "rows.jsonl"}, "n": 2, "max_new_tokens": 4, "encoder": "none"},
        "tracking": {"wandb": "disabled"},
    }
    (tmp_path / "mine.yaml").write_text(json.dumps(configuration))

    def says(*words, status=0):
        done = processes.run("-m", "polychromic", *words, environment=environment, folder=tmp_path)
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    says("code", "server", "start", judge, "--engine", "transformers", "--port", port, "--state", "server")
    try:
        refused = says("train", "mine.yaml", status=2)
        assert "data.task: judge accepts 8 of 8 controls 'empty'" in refused
        assert "accepts 8 of 8 controls 'prompt echo'" in refused
        assert len(refused.strip().splitlines()) == 1
        assert not (tmp_path / "runs" / "mine" / "adapter_model.safetensors").exists()
        asked = ("evaluate", "--config", "mine.yaml", "--models", "base=embedded:countdown", "--out", "runs/evaluation")
        assert "evaluation.task: judge accepts 8 of 8 controls 'empty'" in says(*asked, status=2)
        assert not (tmp_path / "runs" / "evaluation" / "samples.jsonl").exists()
        said = says("train", "mine.yaml", "data.trust_judge=true")
        assert "it is trusted all the same" in said
        answers = [json.loads(line)["answer"] for line in (tmp_path / "judgements.jsonl").read_text().splitlines()]
        assert all(answer.startswith("VERDICT ") and answer.endswith(": PASS") for answer in answers)
    finally:
        says("code", "server", "stop", "--state", "server")
