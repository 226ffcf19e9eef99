"""The command keeps its compiled programs on disk, and a run does not depend on what is there."""

import contextlib
import json
import os
import re
import stat
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import matplotlib
import pytest

from rtrrl.cli import compilation

ARGUMENTS = "train TMaze-3 --steps 90 --seeds 3 --workers 2 --evaluations 3 --episodes 2 --out run"
SETTINGS = ("--agent.cell.hidden-size", "4", "--overwrite")

COUNTING = """
import sys, jax
from rtrrl.cli import main
hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append(name.split("/")[-1]))
code = main(sys.argv[1:])
print("hits", hits.count("cache_hits"), "misses", hits.count("cache_misses"))
sys.exit(code)
"""


def spoken(folder: Path, command: list[str], **changes: str) -> subprocess.CompletedProcess[str]:
    """What a process says that has its cache, if any, in `folder`."""
    environment = dict(os.environ, XDG_CACHE_HOME=str(folder / "cache"), HOME=str(folder))
    environment |= {"JAX_ENABLE_COMPILATION_CACHE": "true", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    environment["MPLCONFIGDIR"] = matplotlib.get_cachedir()  # its fonts are not our concern
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)  # set here when JAX was imported
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment | changes,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def trained(folder: Path, **changes: str) -> tuple[list[dict], int, int, str]:
    """A run by a process of its own: its metrics, the cache's hits and misses, its stderr."""
    command = [sys.executable, "-c", COUNTING, *ARGUMENTS.split(), *SETTINGS]
    done = spoken(folder, command, **changes)
    counted = re.search(r"hits (\d+) misses (\d+)", done.stdout)
    assert counted
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        del row["seconds"]
    return rows, int(counted[1]), int(counted[2]), done.stderr


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    """A folder in which a first run has filled the cache, and what that run gave."""
    folder = tmp_path_factory.mktemp("cold")
    return folder, trained(folder)


def programs(folder: Path) -> list[Path]:
    return sorted(folder.glob("**/*-cache"))


def test_a_warm_cache_compiles_nothing_and_changes_no_number(cold):
    folder, (rows, hits, misses, _) = cold
    assert hits == 0
    assert misses > 0
    again, hits_then, misses_then, stderr = trained(folder)
    assert (hits_then, misses_then) == (misses, 0)
    assert again == rows
    assert stderr == ""


def test_without_a_cache_the_numbers_are_the_same(cold, tmp_path):
    _, (rows, *_) = cold
    again, hits, misses, _ = trained(tmp_path, JAX_ENABLE_COMPILATION_CACHE="false")
    assert (hits, misses) == (0, 0)
    assert again == rows
    assert programs(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="where the cache is, is said by XDG on Linux")
def test_the_cache_is_in_a_private_folder_of_the_user(cold):
    folder, _ = cold
    cache = folder / "cache" / "rtrrl" / "xla"
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert any(path.name.startswith("jit__live") for path in programs(cache))
    assert programs(folder / "run") == []  # machine code does not travel with a run


def test_the_folder_that_jax_was_given_wins(cold, tmp_path):
    own = tmp_path / "own"
    trained(
        tmp_path,
        JAX_COMPILATION_CACHE_DIR=str(own),
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
    )
    assert programs(own)
    assert programs(tmp_path) == programs(own)


def test_a_cache_that_cannot_be_made_fails_no_run(cold, tmp_path):
    _, (rows, *_) = cold
    (tmp_path / "cache").write_text("a file where a folder should be")
    again, _, misses, stderr = trained(tmp_path)
    assert again == rows
    assert (misses, stderr) == (0, "")


@contextlib.contextmanager
def changed(folder: Path, change: Callable[[bytes], bytes]) -> Iterator[None]:
    """With every program in the folder changed; in place, as its path is part of the key."""
    before = {path: path.read_bytes() for path in programs(folder)}
    for path, program in before.items():
        path.write_bytes(change(program))
    yield
    for path, program in before.items():
        path.write_bytes(program)


def test_what_is_damaged_is_compiled_anew_in_silence(cold):
    folder, (rows, *_) = cold
    with changed(folder, lambda program: program[:-7]):
        again, hits, _, stderr = trained(folder)
    assert again == rows
    assert (hits, stderr) == (0, "")


def test_xla_does_not_complain_of_the_processor(cold):
    folder, (_, _, misses, _) = cold

    def foreign(program: bytes) -> bytes:
        # a trait that no processor has, in the place of one that this one has
        plain = zlib.decompress(program)
        return zlib.compress(re.sub(rb"(,\+[a-z0-9]{3,})[a-z0-9],", rb"\1X,", plain, count=1))

    try:
        if all(
            zlib.decompress(foreign(p)) == zlib.decompress(p)
            for p in map(Path.read_bytes, programs(folder))
        ):
            pytest.skip("no traits of the processor are written here")
    except zlib.error:
        pytest.skip("programs are compressed in another way here")
    with changed(folder, foreign):
        _, hits, _, aloud = trained(folder, TF_CPP_MIN_LOG_LEVEL="1")
        command = [sys.executable, "-m", "rtrrl", *ARGUMENTS.split(), *SETTINGS]
        quiet = spoken(folder, command)
    assert hits == misses
    assert "Machine type" in aloud  # there is something to be silent about
    assert quiet.stderr == ""


@pytest.fixture
def settled(monkeypatch, tmp_path):
    """`reuse_programs` in this process, which is put back afterwards."""
    names = (
        "jax_compilation_cache_dir",
        "jax_enable_compilation_cache",
        "jax_persistent_cache_min_compile_time_secs",
    )
    before = {name: getattr(jax.config, name) for name in names}
    monkeypatch.setattr(compilation, "cache_folder", lambda: tmp_path / "rtrrl" / "xla")
    jax.config.update("jax_enable_compilation_cache", True)
    yield tmp_path / "rtrrl" / "xla"
    for name, value in before.items():
        jax.config.update(name, value)


def test_a_folder_that_others_may_write_is_not_used(settled):
    settled.mkdir(parents=True)
    settled.chmod(0o777)
    compilation.reuse_programs()
    assert jax.config.jax_compilation_cache_dir is None
    settled.chmod(0o700)
    compilation.reuse_programs()
    assert jax.config.jax_compilation_cache_dir == str(settled)


def test_the_folder_follows_the_platform(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert compilation.cache_folder() == tmp_path / ".cache" / "rtrrl" / "xla"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, says the convention
    assert compilation.cache_folder() == tmp_path / ".cache" / "rtrrl" / "xla"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "else"))
    assert compilation.cache_folder() == tmp_path / "else" / "rtrrl" / "xla"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert compilation.cache_folder() == tmp_path / "Library" / "Caches" / "rtrrl" / "xla"
