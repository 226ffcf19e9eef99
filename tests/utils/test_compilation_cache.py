"""Compiled programs are kept on disk, by the command always, and results do not depend on it."""

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
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from rtrrl.errors import RtrrlError
from rtrrl.utils import compilation_cache, traced_programs

ARGUMENTS = "train TMaze-3 --steps 90 --seeds 3 --workers 2 --evaluations 3 --episodes 2 --out run"
SETTINGS = ("--agent.cell.hidden-size", "4", "--overwrite")

UNSET = (
    "JAX_COMPILATION_CACHE_DIR",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
    "TF_CPP_MIN_LOG_LEVEL",  # set when JAX is imported
)

COUNTING = """
import sys, jax
from rtrrl.cli import main
hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append(name.split("/")[-1]))
code = main(sys.argv[1:])
print("hits", hits.count("cache_hits"), "misses", hits.count("cache_misses"))
sys.exit(code)
"""


def run_in(folder: Path, command: list[str], **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a process that has its cache, if any, in `folder`."""
    environment = {name: value for name, value in os.environ.items() if name not in UNSET}
    environment |= {"XDG_CACHE_HOME": str(folder / "cache"), "HOME": str(folder)}
    environment |= {"JAX_ENABLE_COMPILATION_CACHE": "true"}
    environment["MPLCONFIGDIR"] = matplotlib.get_cachedir()  # so that it need not list the fonts
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


def train_in(folder: Path, **changes: str) -> tuple[list[dict], int, int, str]:
    """Train in a process: the metrics, the cache's hits and misses, stderr."""
    command = [sys.executable, "-c", COUNTING, *ARGUMENTS.split(), *SETTINGS]
    done = run_in(folder, command, **changes)
    counted = re.search(r"hits (\d+) misses (\d+)", done.stdout)
    assert counted
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        del row["seconds"]
    return rows, int(counted[1]), int(counted[2]), done.stderr


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    """A folder in which a first run has filled the cache, and the results of that run."""
    folder = tmp_path_factory.mktemp("cold")
    return folder, train_in(folder)


def programs(folder: Path) -> list[Path]:
    return sorted(folder.glob("**/*-cache"))


def test_a_warm_cache_compiles_nothing_and_does_not_change_results(cold):
    folder, (rows, hits, misses, _) = cold
    assert hits == 0
    assert misses > 0
    again, hits_then, misses_then, stderr = train_in(folder)
    assert misses_then == 0
    assert hits_then > 0
    assert again == rows
    assert stderr == ""


def test_results_without_a_cache_are_the_same(cold, tmp_path):
    _, (rows, *_) = cold
    again, hits, misses, _ = train_in(tmp_path, JAX_ENABLE_COMPILATION_CACHE="false")
    assert (hits, misses) == (0, 0)
    assert again == rows
    assert programs(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the folder is that of Linux")
def test_the_cache_is_in_a_private_folder_of_the_user(cold):
    folder, _ = cold
    cache = folder / "cache" / "rtrrl" / "xla"
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert programs(cache)
    assert programs(folder / "run") == []  # machine code does not travel with a run


def test_the_users_cache_folder_has_precedence(cold, tmp_path):
    chosen = tmp_path / "chosen"
    train_in(
        tmp_path,
        JAX_COMPILATION_CACHE_DIR=str(chosen),
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
    )
    assert programs(chosen)
    assert programs(tmp_path) == programs(chosen)


def test_a_run_succeeds_where_the_cache_cannot_be_made(cold, tmp_path):
    _, (rows, *_) = cold
    (tmp_path / "cache").write_text("a file where a folder should be")
    again, _, misses, stderr = train_in(tmp_path)
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


def test_damaged_programs_are_compiled_again_without_a_warning(cold):
    folder, (rows, *_) = cold
    with changed(folder, lambda program: program[:-7]):
        again, hits, _, stderr = train_in(folder)
    assert again == rows
    assert (hits, stderr) == (0, "")


def test_xla_does_not_warn_of_another_processor(cold):
    folder, (_, _, misses, _) = cold

    def foreign(program: bytes) -> bytes:
        # replace a feature of this processor by one that does not exist
        plain = zlib.decompress(program)
        return zlib.compress(re.sub(rb"(,\+[a-z0-9]{3,})[a-z0-9],", rb"\1X,", plain, count=1))

    try:
        if all(
            zlib.decompress(foreign(p)) == zlib.decompress(p)
            for p in map(Path.read_bytes, programs(folder))
        ):
            pytest.skip("programs do not record features of the processor here")
    except zlib.error:
        pytest.skip("programs are compressed differently here")
    with changed(folder, foreign):
        _, hits, _, verbose = train_in(folder, TF_CPP_MIN_LOG_LEVEL="1")
        command = [sys.executable, "-m", "rtrrl", *ARGUMENTS.split(), *SETTINGS]
        quiet = run_in(folder, command)
    assert hits == misses
    assert "Machine type" in verbose  # so there is a warning to suppress
    assert quiet.stderr == ""


PYTHON = """
import sys, time, jax
import rtrrl
from rtrrl.cells import RTUConfig
jax.jit(lambda x: x + 1)(0)  # something has been compiled already
rtrrl.use_compilation_cache(*sys.argv[1:])
misses = []
jax.monitoring.register_event_listener(lambda name, **_: misses.append(name.split("/")[-1]))
agent = rtrrl.RTRRL.default("TMaze-3", cell=RTUConfig(hidden_size=4))
run = rtrrl.train("TMaze-3", agent, steps=90, seeds=2, workers=2, evaluations=3, episodes=2)
print([row["evaluation"] for row in run.metrics])
print(misses.count("cache_hits"), misses.count("cache_misses"))
"""


@pytest.mark.parametrize("given", [True, False], ids=["given", "default"])
def test_a_second_process_of_python_compiles_nothing(tmp_path, given):
    arguments = [str(tmp_path / "programs")] * given
    first, second = (
        run_in(tmp_path, [sys.executable, "-c", PYTHON, *arguments]).stdout.splitlines()
        for _ in range(2)
    )
    assert first[0] == second[0]
    (hits, misses), (hits_then, misses_then) = (map(int, run[1].split()) for run in (first, second))
    assert (hits, misses_then) == (0, 0)
    assert 0 < hits_then <= misses  # what is not traced again needs no constants
    assert bool(programs(tmp_path / "programs")) == given


def test_python_keeps_nothing_by_itself(tmp_path):
    run_in(tmp_path, [sys.executable, "-c", PYTHON.replace("rtrrl.use_comp", "str; # ")])
    assert programs(tmp_path) == []


@pytest.fixture
def restored(monkeypatch, tmp_path):
    """The cache folder of `use_compilation_cache`; JAX's settings are restored afterwards."""
    names = (
        "jax_compilation_cache_dir",
        "jax_enable_compilation_cache",
        "jax_persistent_cache_min_compile_time_secs",
    )
    before = {name: getattr(jax.config, name) for name in names}
    monkeypatch.setattr(compilation_cache, "cache_folder", lambda: tmp_path / "rtrrl")
    monkeypatch.setattr(traced_programs, "_folder", None)  # which `use_compilation_cache` sets
    jax.config.update("jax_enable_compilation_cache", True)
    jax.config.update("jax_compilation_cache_dir", None)
    yield tmp_path / "rtrrl" / "xla"
    for name, value in before.items():
        jax.config.update(name, value)
    reset_cache()


def test_a_folder_that_others_may_write_is_not_used(restored):
    restored.mkdir(parents=True)
    restored.chmod(0o777)
    compilation_cache.use_compilation_cache()
    assert jax.config.jax_compilation_cache_dir is None
    with pytest.raises(RtrrlError, match="it must be a folder that you alone can write to"):
        compilation_cache.use_compilation_cache(restored.parent)
    restored.chmod(0o700)
    compilation_cache.use_compilation_cache()
    assert jax.config.jax_compilation_cache_dir == str(restored)


@pytest.mark.skipif(sys.platform != "linux", reason="the folder is that of Linux")
def test_the_cache_folder_follows_the_convention_of_the_platform(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert compilation_cache.cache_folder() == tmp_path / ".cache" / "rtrrl"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert compilation_cache.cache_folder() == tmp_path / "other" / "rtrrl"
