"""A bundle has the same bytes for the same content, is unpacked safely, and says what is missing where it arrives."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

import polychromic
from polychromic.__main__ import run
from polychromic.cli import VERBS
from polychromic.core.errors import InputError, MissingResourceError
from polychromic.project import bundle, unbundle
from polychromic.project.doctor import Level
from polychromic.records import archives
from polychromic.records.artefacts import finish_run, open_run
from polychromic.settings.load import identity, load_settings, resolved_yaml

ROOT = Path(polychromic.__path__[0]).parent


@pytest.fixture
def home(tmp_path):
    """A project with data, a judge of its own and a configuration, in a folder that will not be there."""
    place = tmp_path / "home"
    (place / "data").mkdir(parents=True)
    rows = [{"prompt": f"{n} + {n}?", "completion": str(2 * n)} for n in range(1, 30)]
    (place / "data" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (place / "eval").mkdir()
    (place / "eval" / "train.jsonl").write_text('{"prompt": "1 + 2?"}\n')  # of the same name
    (place / "judge.py").write_text(
        "def right(prompts, completions, **columns):\n"
        "    return [str(2 * int(p.split()[0])) == c.strip() for p, c in zip(prompts, completions)]\n"
    )
    values = {
        "experiment": {"name": "mine", "output_root": str(place / "runs")},
        "model": {"name_or_path": "embedded:countdown"},
        "data": {
            "train_file": str(place / "data" / "train.jsonl"),
            "task": {"kind": "function", "functions": "./judge.py:right"},
        },
        "training": {"max_steps": 2, "use_cpu": True},
        "evaluation": {"task": {"kind": "conversations", "path": str(place / "eval" / "train.jsonl")}},
    }
    (place / "mine.yaml").write_text(yaml.safe_dump(values))
    return place


def packed(home, name="bundle.tar", **how):
    return bundle.run([str(home / "mine.yaml")], home.parent / name, bundle.Packing(device="cpu", **how))


def test_a_bundle_is_complete_and_the_same_bytes_again(home, tmp_path):
    archive = packed(home)
    again = packed(home, "again.tar")
    assert archive.read_bytes() == again.read_bytes()
    home.rename(tmp_path / "gone")
    found = unbundle.run(archive, tmp_path / "pod")
    assert found.ready, found.findings
    assert [finding.name for finding in found.findings][:2] == ["files", "versions"]
    assert "29 demonstrations, judged by function" in [finding.value for finding in found.findings]
    with contextlib.chdir(tmp_path / "pod"):
        settings = load_settings("configs/mine.yaml")
    assert settings.data.train_file == "data/train.jsonl"
    assert settings.evaluation.task == {"kind": "conversations", "path": "data/2/train.jsonl"}
    assert settings.experiment.output_root == "runs/runs"
    assert settings.data.task["functions"] == f"{tmp_path / 'pod' / 'files' / 'judge.py'}:right"
    assert found.commands[1] == "polychromic launch configs/mine.yaml"
    assert "mine=runs/runs/mine" in found.commands[2]
    assert (tmp_path / "pod" / "code" / "polychromic" / "__init__.py").is_file()
    text = (tmp_path / "pod" / "GUIDE.md").read_text()
    assert found.commands[2] in text
    assert str(tmp_path) not in text


def test_its_scripts_are_scripts_and_caches_lie_beside_it(home, tmp_path):
    pod = archives.unpack(packed(home), tmp_path / "pod")
    for name in ("setup.sh", "env.sh"):
        assert subprocess.run(["bash", "-n", pod / name], check=False).returncode == 0
        assert os.access(pod / name, os.X_OK)
    assert "--constraint constraints.txt './code[embed,train]'" in (pod / "setup.sh").read_text()
    plain = {"PATH": os.environ["PATH"]}
    said = subprocess.run(
        ["bash", "-c", f'. {pod}/env.sh && echo "$PWD|$HF_HOME|$PATH"'],
        capture_output=True, text=True, check=True, env=plain | {"POLYCHROMIC_VOLUME": str(tmp_path)},
    ).stdout.strip().split("|")  # fmt: skip
    assert said[0] == str(pod)
    assert said[1] == f"{tmp_path}/.cache/huggingface"
    assert said[2].startswith(f"{pod}/.venv/bin:")


def test_a_finished_run_says_which_weights_come_out(home, tmp_path):
    settings = load_settings(home / "mine.yaml")
    folder = open_run(home / "runs" / "mine", identity(settings), {"experiment": 0})
    folder.resolved.write_text(resolved_yaml(settings))
    folder.adapter.write_bytes(b"weights")
    finish_run(folder)
    pod = archives.unpack(bundle.run([str(folder.path)], tmp_path / "run.tar"), tmp_path / "pod")
    digest = archives.digest(b"weights")
    assert archives.manifest_of(pod)["expected"]["mine"]["adapter"] == digest
    assert digest in (pod / "GUIDE.md").read_text()


def test_data_may_travel_apart_and_is_known_by_its_digest(home, tmp_path, capsys):
    archive = packed(home, data="digest", data_from="the lab's disk")
    pod = tmp_path / "pod"
    assert run(["unbundle", str(archive), "--to", str(pod)], debug=False) == 1
    assert "copy it from the lab's disk to" in capsys.readouterr().out
    (pod / "data" / "2").mkdir(parents=True)
    for name, there in {"data/train.jsonl": "data", "data/2/train.jsonl": "eval"}.items():
        (pod / name).write_bytes((home / there / "train.jsonl").read_bytes())
    assert unbundle.run(pod).ready
    (pod / "data" / "train.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    wrong = [finding for finding in unbundle.run(pod).findings if finding.level is Level.MISSING]
    assert wrong[0].value == "data/train.jsonl is another file"


def test_a_file_that_was_changed_or_lost_on_the_way_is_named(home, tmp_path):
    pod = archives.unpack(packed(home), tmp_path / "pod")
    config = pod / "configs" / "mine.yaml"
    config.write_text(config.read_text() + "\n")
    with pytest.raises(InputError, match=r"configs/mine.yaml: is not the file that was bundled"):
        unbundle.run(pod)
    config.unlink()
    with pytest.raises(InputError, match=r"configs/mine.yaml: is missing"):
        unbundle.run(pod)
    with pytest.raises(MissingResourceError, match=r"holds no bundle.json"):
        unbundle.run(tmp_path)


def link(name, kind):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, "/etc/passwd"
    return entry


HOSTILE = {
    "absolute": lambda place: tarfile.TarInfo(f"{place}/out"),
    "upwards": lambda _: tarfile.TarInfo("../out"),
    "hidden upwards": lambda _: tarfile.TarInfo("data/../../out"),
    "not plain": lambda _: tarfile.TarInfo("./data//x"),
    "symbolic link": lambda _: link("data/x", tarfile.SYMTYPE),
    "hard link": lambda _: link("data/x", tarfile.LNKTYPE),
    "device": lambda _: link("data/x", tarfile.CHRTYPE),
    "pipe": lambda _: link("data/x", tarfile.FIFOTYPE),
    "twice": lambda _: tarfile.TarInfo(archives.MANIFEST),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_writes_nothing(kind, tmp_path):
    archive, pod = tmp_path / "x.tar", tmp_path / "pod"
    with tarfile.open(archive, "w") as tar:
        for entry in (tarfile.TarInfo(archives.MANIFEST), HOSTILE[kind](tmp_path)):
            tar.addfile(entry, io.BytesIO(b""))
    with pytest.raises(InputError, match="not unpacked"):
        archives.unpack(archive, pod)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.tar"]


def test_what_is_no_bundle_or_has_no_room_is_refused(home, tmp_path, monkeypatch):
    (tmp_path / "x.tar").write_bytes(b"nothing")
    with pytest.raises(InputError, match="is no bundle"):
        archives.unpack(tmp_path / "x.tar", tmp_path / "pod")
    with tarfile.open(tmp_path / "y.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("a"))
    with pytest.raises(InputError, match=r"it holds no bundle.json"):
        archives.unpack(tmp_path / "y.tar", tmp_path / "pod")
    with pytest.raises(InputError, match="is not empty"):
        archives.unpack(packed(home), home)
    full = type("usage", (), {"free": 10})
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: full)
    with pytest.raises(InputError, match="are free"):
        archives.unpack(packed(home), tmp_path / "pod")
    with pytest.raises(MissingResourceError):
        archives.unpack(tmp_path / "none.tar", tmp_path / "pod")


def test_two_runs_of_one_name_and_data_that_is_not_here_are_refused(home, tmp_path):
    config = str(home / "mine.yaml")
    with pytest.raises(InputError, match="another run is called mine"):
        bundle.run([config, config], tmp_path / "x.tar")
    (home / "data" / "train.jsonl").unlink()
    with pytest.raises(InputError, match=r"data.train_file: there is no file"):
        bundle.run([config], tmp_path / "x.tar")


def test_the_templates_for_other_machines_parse_and_name_verbs_that_exist():
    folder = ROOT / "config" / "launch"
    sky = yaml.safe_load((folder / "skypilot.yaml").read_text())
    scripts = {"setup": sky["setup"], "run": sky["run"]}
    scripts |= {path.name: path.read_text() for path in (folder / "ssh.sh", folder / "slurm.sbatch")}
    for name, text in scripts.items():
        assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0, name
    texts = [*scripts.values(), (ROOT / "docs" / "rented-gpu.md").read_text()]
    named = {verb for text in texts for verb in re.findall(r"(?:^|[ '(`])polychromic ([a-z-]+)", text, re.M)}
    assert {"train", "launch", "evaluate", "unbundle", "bundle"} <= named
    assert named <= set(VERBS)
