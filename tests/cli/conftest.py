"""One short run for all tests of the command that only read it."""

import shutil
from pathlib import Path

import pytest

from rtrrl.cli import main

SHORT = ["--steps", "60", "--seeds", "2", "--evaluations", "3", "--episodes", "2", "--workers", "1"]
SMALL = ["--agent.cell.hidden-size", "4", "--agent.optimizer.learning-rate=3e-4"]


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A finished run; a test that changes it takes a copy."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    options = [*SHORT, *SMALL, "--log", "jsonl", "--out", str(folder)]
    assert main(["train", "TMaze-3", *options]) == 0
    return folder


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


@pytest.fixture
def in_tmp_path(tmp_path, monkeypatch) -> Path:
    """The working directory, in which default folders are made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


@pytest.fixture
def error_of(capsys):
    """A function that runs a command which fails, and returns its one line on stderr."""

    def run(*args: object, code: int = 2) -> str:
        assert main([str(arg) for arg in args]) == code
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("rtrrl: ")
        assert err.count("\n") == 1
        return err

    return run
