"""Checkpoints are whole or not at all."""

import json

import pytest

from polychromic.core.errors import InputError
from polychromic.training.checkpoints import MANIFEST, checkpoints, corruption_reason, newest_complete, rotate, seal


@pytest.fixture
def root(tmp_path):
    for step in (5, 10, 20):
        write(tmp_path / f"checkpoint-{step}")
    return tmp_path


def write(folder, sealed=True):
    (folder / "global").mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(bytes(range(200)))
    (folder / "trainer_state.json").write_text("{}")
    (folder / "global" / "part").write_bytes(b"abc")
    (folder / "empty").write_bytes(b"")
    if sealed:
        seal(folder, step=1)


def test_the_newest_by_number_wins(root):
    assert newest_complete(root).newest == root / "checkpoint-20"
    assert [path.name for path in checkpoints(root)] == ["checkpoint-20", "checkpoint-10", "checkpoint-5"]
    assert newest_complete(root / "nowhere").newest is None


def test_one_that_was_never_completed_is_passed_over_and_named(root):
    write(root / "checkpoint-30", sealed=False)
    found = newest_complete(root)
    assert found.newest == root / "checkpoint-20"
    assert found.rejected == ("checkpoint-30: it was never completed",)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "trainer_state.json", "global/part", MANIFEST])
@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing", "longer"])
def test_damage_to_any_file_is_found(root, name, damage):
    path = root / "checkpoint-20" / name
    content = path.read_bytes()
    if damage == "flipped":
        place = len(content) // 2
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    elif damage == "truncated":
        path.write_bytes(content[:-2])
    elif damage == "longer":
        path.write_bytes(content + b"}")
    else:
        path.unlink()
    assert corruption_reason(root / "checkpoint-20")
    assert newest_complete(root).newest == root / "checkpoint-10"


def test_every_flipped_byte_is_found(tmp_path):
    folder = tmp_path / "checkpoint-1"
    write(folder)
    path = folder / "adapter_model.safetensors"
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :])
        assert "has changed" in corruption_reason(folder)
    path.write_bytes(content)
    assert corruption_reason(folder) == ""


def test_never_silently_from_the_beginning(root):
    for folder in checkpoints(root):
        (folder / "trainer_state.json").unlink()
    with pytest.raises(InputError, match="every checkpoint is damaged") as caught:
        newest_complete(root)
    for name in ("checkpoint-20", "checkpoint-10", "checkpoint-5"):
        assert f"{name}: trainer_state.json is missing" in str(caught.value)


def test_unfinished_ones_alone_mean_the_beginning(tmp_path):
    write(tmp_path / "checkpoint-5", sealed=False)
    assert newest_complete(tmp_path).newest is None


def test_sealing_again_takes_new_content(root):
    folder = root / "checkpoint-20"
    (folder / "trainer_state.json").write_text('{"a": 1}')
    assert corruption_reason(folder)
    seal(folder, step=20)
    assert corruption_reason(folder) == ""
    assert json.loads((folder / MANIFEST).read_text())["step"] == 20


def test_rotation_counts_valid_ones_and_keeps_two(root):
    write(root / "checkpoint-30")
    (root / "checkpoint-30" / "empty").unlink()  # damaged: does not count
    rotate(root, 1)
    assert [path.name for path in checkpoints(root)] == ["checkpoint-30", "checkpoint-20", "checkpoint-10"]


def test_foreign_folders_are_left_alone(root):
    (root / "checkpoint-5-mine").mkdir()
    (root / "notes").mkdir()
    rotate(root, 2)
    assert (root / "notes").is_dir()
    assert (root / "checkpoint-5-mine").is_dir()
    assert not (root / "checkpoint-5").exists()
