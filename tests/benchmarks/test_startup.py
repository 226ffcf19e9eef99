"""The startup benchmark measures how long a process takes, or reports that it failed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import startup


def test_startup_prints_and_writes_its_rows(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_ENABLE_COMPILATION_CACHE", "true")
    path = tmp_path / "startup.json"
    command = [sys.executable, str(Path(startup.__file__)), "--quick", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    wait, step = json.loads(path.read_text())["rows"]
    assert (wait["row"], wait["floor"], wait["target"]) == ("rtrrl --help", None, "≤ 0.4 s")
    assert 0 < wait["value"] < step["floor"]  # help does not import JAX
    assert step["environment"] == "CartPole-pos"
    assert step["value"] < step["cold"]


def test_a_process_that_fails_is_not_timed(tmp_path):
    with pytest.raises(RuntimeError, match="NoTask"):
        startup.seconds(str(tmp_path), "-c", startup.FIRST_STEP, "train", "NoTask")


def test_a_number_above_its_target_misses_it():
    assert startup.record("a", 0.4, None, 0.4)["passed"]
    assert not startup.record("a", 0.41, None, 0.4)["passed"]
