"""Every foreseeable fault is one line with its place and an exit status, never ``unexpected``."""

import errno
import json
import os
import shutil

import pytest

from polychromic.records.jsonl import read_json
from polychromic.settings.load import resolved_yaml
from polychromic.stages import train
from polychromic.training.checkpoints import checkpoints, corruption_reason
from polychromic.training.faults import DiskError, saving_in
from tests import processes
from tests.cli.test_hostile_inputs import said
from tests.faults.test_train_stage import outcome


@pytest.fixture(scope="module", autouse=True)
def without_bars():
    """As the program has it outside a terminal."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    yield
    logging.enable_progress_bar()


@pytest.fixture(scope="module")
def config(settings_of, tmp_path_factory):
    """The file of a short run."""
    path = tmp_path_factory.mktemp("configs") / "run.yaml"
    path.write_text(resolved_yaml(settings_of("one-line", max_steps=2)))
    return path


EARLY = {
    "lora.r=0": "lora.r: must be at least 1, got 0",
    "lora.lora_dropout=1.5": "lora.lora_dropout: must be below 1",
    "lora.task_type=FOO": "lora.task_type: FOO is not served",
    "training.optim=foo": "training: foo is not a valid OptimizerNames, please select one of",
    "training.lr_scheduler_type=foo": "training: foo is not a valid SchedulerType",
    "training.save_strategy=foo": "training: foo is not a valid SaveStrategy",
    "training.learning_rate=-1": "training.learning_rate: must be at least 0",
    "training.gradient_accumulation_steps=0": "must be at least 1",
    "training.save_minutes=0": "training: save_minutes must be above 0 or null",
    "training.load_best_model_at_end=true": "training: --load_best_model_at_end requires",
    "model.name_or_path=nobody/nothing": "nobody/nothing: cannot be loaded",
}


@pytest.mark.parametrize("setting", EARLY)
def test_what_cannot_be_is_said_before_a_model_is_loaded(setting, config, capsys, monkeypatch):
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", None)
    status, words = said(capsys, "train", config, setting, "experiment.name=early")
    assert status == 2, words
    assert EARLY[setting] in words.splitlines()[-1]


def test_modules_that_the_model_does_not_have(config, capsys, monkeypatch):
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", None)
    status, words = said(capsys, "train", config, "lora.target_modules=[nope]", "experiment.name=modules")
    assert (status, "lora: Target modules {'nope'} not found" in words) == (2, True), words


def test_a_conversation_and_no_chat_template(config, capsys, base_folder, tmp_path):
    shutil.copytree(base_folder, tmp_path / "base")
    (tmp_path / "base" / "chat_template.jinja").unlink()
    rows = tmp_path / "rows.jsonl"
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    rows.write_text((json.dumps({"messages": turns}) + "\n") * 4)
    status, words = said(
        capsys, "train", config, f"model.name_or_path={tmp_path}/base", "data.task=null", f"data.train_file={rows}",
        "polychromic.lambda=0", "polychromic.gate=none", "experiment.name=template",
    )  # fmt: skip
    assert (status, "chat template" in words) == (2, True), words


@pytest.mark.parametrize("root", ["/proc/none", "{tmp_path}/file"])
def test_an_output_root_that_cannot_be_written(root, config, capsys, tmp_path):
    (tmp_path / "file").touch()
    status, words = said(capsys, "train", config, f"experiment.output_root={root.format(tmp_path=tmp_path)}")
    assert status == 2, words


DAMAGE = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "noise": lambda content: bytes(255 - byte for byte in content[:500]),
    "another": lambda content: b'{"a": [1, 2]}',
    "list": lambda content: b"[]",
}
OF_A_RUN = ("adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "tokenizer_config.json", "run.json")
OF_A_BASE = ("model.safetensors", "config.json", "tokenizer.json")


@pytest.fixture(scope="module")
def trained(settings_of):
    return train.run(settings_of("to-damage", max_steps=1, weight=0.0))


@pytest.mark.parametrize("name", [*OF_A_RUN, *OF_A_BASE])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_of_a_run_or_a_base(name, damage, trained, base_folder, tmp_path, capsys):
    """Refused with its name, or, where a file still says enough, used; never a fault of ours."""
    folder = tmp_path / "copy"
    shutil.copytree(trained.path if name in OF_A_RUN else base_folder, folder)
    path = folder / name
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    status, words = said(
        capsys, "sample", "--models", f"a={folder}", "--task", "{kind: countdown, test_size: 2}", "--n", 1,
        "--max-new-tokens", 2, "--out", tmp_path / "out",
    )  # fmt: skip
    assert status in (0, 2), words
    assert status == 2 or name == "tokenizer_config.json" or damage == "another", words


LIMITED = """
import resource, sys
from polychromic.__main__ import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
main(["train", sys.argv[1]])
"""


@pytest.mark.parametrize("room", [20_000])
def test_a_disk_that_is_full_while_saving(room, settings_of, tmp_path):
    """No file may be larger than ``room`` bytes, which the adapter or the optimizer's state is."""
    settings = settings_of(f"full-{room}")
    (tmp_path / "a.yaml").write_text(resolved_yaml(settings))
    (tmp_path / "limited.py").write_text(LIMITED)
    done = processes.run(tmp_path / "limited.py", tmp_path / "a.yaml", room, environment=dict(os.environ))
    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "no space left on the disk, or in its quota; what was saved before is whole" in last
    with pytest.warns(UserWarning, match="checkpoint-2: it was never completed"):
        folder = train.run(settings)
    assert read_json(folder.run_json)["finished"]
    assert not [path for path in checkpoints(folder.checkpoints) if corruption_reason(path)]
    assert outcome(folder) == outcome(train.run(settings_of("roomy")))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("[enforce fail at inline_container.cc:664] . PytorchStreamWriter failed writing file data/0"),
        Exception("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_every_librarys_words_for_a_full_disk(error, tmp_path):
    with pytest.raises(DiskError, match="no space left"), saving_in(tmp_path):
        raise error


def test_another_error_in_a_save_stays_what_it_is(tmp_path):
    with pytest.raises(ZeroDivisionError), saving_in(tmp_path):
        raise ZeroDivisionError
