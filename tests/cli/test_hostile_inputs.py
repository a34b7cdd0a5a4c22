"""What a person may name by mistake, and what others wrote: every verb answers in harmless lines without a secret."""

import re

import pytest

from polychromic.__main__ import run

CONFIG = "experiment: {{name: a, output_root: {root}}}\nmodel: {{name_or_path: 'embedded:countdown'}}\ndata: {data}\n"
ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
SECRET = "hf_" + "aB3" * 8
HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202egpj"


def said(capsys, *arguments):
    """The exit status and the words of a command line; nothing in them acts on a terminal, or is ``SECRET``."""
    status, shown = run([str(argument) for argument in arguments], debug=False), capsys.readouterr()
    words = shown.out + shown.err
    assert not ACTS.search(words), words
    assert SECRET not in words
    assert "unexpected" not in words
    assert "Traceback" not in words
    return status, words


def written(tmp_path, data="{task: countdown}"):
    path = tmp_path / "a.yaml"
    path.write_text(CONFIG.format(root=tmp_path / "runs", data=data))
    return path


ENDLESS = [
    ("train", "/dev/zero"),
    ("plan", "/dev/zero"),
    ("launch", "/dev/zero"),
    ("data", "check", "/dev/zero"),
    ("code", "run", "/dev/zero"),
    ("measure", "/dev/zero"),
    ("compare", "/dev/zero", "/dev/zero"),
    ("verify", "/dev/zero", "--task", "countdown"),
    ("report", "/dev/zero"),
    ("export", "/dev/zero", "--out", "x"),
    ("merge", "/dev/zero", "--out", "x"),
    ("lora", "/dev/zero"),
    ("evaluate", "--models", "/dev/zero", "--task", "countdown", "--out", "/dev/zero"),
]


@pytest.mark.parametrize("arguments", ENDLESS, ids=" ".join)
def test_an_input_without_an_end_is_refused(arguments, capsys):
    status, words = said(capsys, *arguments)
    assert status == 2, words
    assert "/dev/zero" in words
    assert len(words.strip().splitlines()) <= 3


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv"])
def test_data_without_an_end_is_refused(suffix, tmp_path, capsys):
    (tmp_path / f"rows.{suffix}").symlink_to("/dev/zero")
    status, words = said(capsys, "train", written(tmp_path, f"{{train_file: {tmp_path}/rows.{suffix}}}"))
    assert (status, "is a device, not a file" in words) == (2, True), words


@pytest.mark.parametrize(
    "setting",
    [
        f"experiment.notes={SECRET}",
        f"model.name_or_path=https://me:{SECRET}@host.example/m",
        f"evaluation.engine={{kind: server, base_url: 'http://me:{SECRET}@host.example/v1'}}",
        f"evaluation.engine={{kind: server, api_key: {SECRET}}}",
        f"training.hub_token={SECRET}",
        f"data.train_file=https://{SECRET}@host.example/rows.jsonl",
        f"{SECRET}={SECRET}",
        f"experiment.{SECRET}=1",
    ],
)
def test_a_secret_is_refused_and_not_repeated(setting, tmp_path, capsys):
    status, words = said(capsys, "train", written(tmp_path), setting)
    assert status == 2, words
    assert not (tmp_path / "runs").exists()


def test_a_secret_in_an_option_is_refused(tmp_path, capsys):
    engine = f"{{kind: server, base_url: 'http://me:{SECRET}@host.example/v1'}}"
    status, words = said(
        capsys, "evaluate", "--models", "embedded:countdown", "--task", "countdown", "--engine", engine,
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert status == 2, words
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", HOSTILE),
        (HOSTILE,),
        ("train", "--" + HOSTILE),
        ("train", "a.yaml", HOSTILE),
        ("train", "a.yaml", f"lora.r={HOSTILE}"),
        ("train", "a.yaml", f"{HOSTILE}.r=1"),
        ("compare", HOSTILE, HOSTILE),
        ("evaluate", "--models", HOSTILE, "--task", HOSTILE, "--out", "x"),
        ("code", HOSTILE),
        ("report", HOSTILE),
        ("new", "task", HOSTILE),
        ("data", "check", HOSTILE),
        ("launch", HOSTILE),
        ("train", f"a.yaml {SECRET}"),
    ],
    ids=range(14),
)
def test_names_that_act_on_a_terminal_are_shown_and_do_nothing(arguments, tmp_path, capsys):
    given = [written(tmp_path) if argument == "a.yaml" else argument for argument in arguments]
    status, words = said(capsys, *given)
    assert status == 2, words
