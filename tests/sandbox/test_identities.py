"""The sandbox holds as root, as an unprivileged user, and where root is only root of its own namespace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import polychromic

ROOT = Path(polychromic.__file__).resolve().parents[1]
IDENTITIES = {
    "as we are": [],
    "nobody": ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
    "nobody without a chance": ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"],
    "root without capabilities": ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"],
    "root of a namespace": ["unshare", "--user", "--map-root-user"],
}
OFTEN = {"nobody", "root of a namespace"}
SCRIPT = """
import importlib.util, json, os, sys
sys.path.insert(0, sys.argv[1])
from polychromic.sandbox import Limits, Program, Sandbox
spec = importlib.util.spec_from_file_location("suite", sys.argv[2])
suite = importlib.util.module_from_spec(spec); sys.modules["suite"] = suite
sys.modules["pytest"] = type(sys)("pytest")
sys.modules["pytest"].fixture = lambda *a, **k: (a[0] if a else (lambda f: f))
spec.loader.exec_module(suite)
attacks = [a for a in suite.attacks() if a.family in ("theft", "escape")]
from pathlib import Path
with Sandbox(Limits(cpu_seconds=1.0, wall_seconds=20.0), workers=1) as box:
    found = box.judge_many(a.program("TOP-SECRET-1", Path(sys.argv[3]), os.getpid()) for a in attacks)
    good = box.judge_many([Program("def f(): return 1", "f", "assert f() == 1")])[0]
bad = [a.name for a, j in zip(attacks, found) if str(j.outcome) not in a.outcomes or "ESCAPED" in j.detail]
print(json.dumps([os.geteuid(), box.report["level"], box.report["layers"]["user"], bad, str(good.outcome)]))
"""


def interpreter(prefix: list[str]) -> str | None:
    """A Python that this identity may execute."""
    for path in (sys.executable, shutil.which("python3", path="/usr/local/bin:/usr/bin")):
        version = "import os, sys; sys.exit(sys.version_info < (3, 11) or not os.access(sys.executable, os.X_OK))"
        if path and subprocess.run([*prefix, path, "-c", version], capture_output=True, check=False).returncode == 0:
            return path
    return None


@pytest.mark.parametrize(
    "identity",
    [pytest.param(name, marks=() if name in OFTEN else pytest.mark.slow) for name in IDENTITIES],
)
def test_no_attack_succeeds(identity: str, tmp_path: Path) -> None:
    prefix = IDENTITIES[identity]
    if prefix and (shutil.which(prefix[0]) is None or os.geteuid() != 0):
        pytest.skip("needs root and util-linux")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not allow it")
    python = interpreter(prefix)
    if python is None:
        pytest.skip("no interpreter that this identity may run")
    suite = Path(__file__).parent / "conftest.py"
    if subprocess.run([*prefix, "test", "-r", str(suite)], check=False).returncode != 0:
        pytest.skip("this identity may not read the code")
    canary = tmp_path / "secret"
    canary.write_text("TOP-SECRET-1")
    run = subprocess.run(
        [*prefix, python, "-B", "-c", SCRIPT, str(ROOT), str(suite), str(tmp_path)],
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )
    assert run.returncode == 0, run.stderr
    uid, level, user, bad, good = json.loads(run.stdout)
    assert (bad, good) == ([], "passed")
    assert level in ("full", "seccomp")
    assert ("nobody" in identity) == (uid == 65534) or identity == "as we are"
    assert user
    assert canary.read_text() == "TOP-SECRET-1"
