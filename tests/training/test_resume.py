"""Runs that are killed, interrupted or refused: resumed runs have the same bits."""

import importlib
import json
import signal
import subprocess
import sys
import time

import jax.numpy as jnp
import pytest

import rtrrl
from rtrrl.errors import RtrrlError, RunFolderError
from rtrrl.learning.optimizers import Adam
from rtrrl.runs import checkpoints, storage
from rtrrl.runs.config import RunConfig
from rtrrl.runs.run import StopReason
from rtrrl.training import trainer
from rtrrl.training.runners import ThreadRunner
from rtrrl.utils.signals import catch_sigint
from tests.counting import PaidAction
from tests.helpers import assert_same_bits
from tests.training.runs import (
    EPISODES,
    EVALUATIONS,
    SEEDS,
    STEPS,
    TASK,
    assert_same_run,
    interrupt_in_slice,
    interrupted_run,
    read_result,
    small_agent,
    snapshot,
    train_counting,
    train_small,
)

SCRIPT = """
import sys, time
import rtrrl
from rtrrl.cells import RTUConfig
from rtrrl.gradients import DiagonalRTRL
from rtrrl.learning.optimizers import Adam
from rtrrl.training import trainer
from rtrrl.training.runners import ThreadRunner

class UsersRule(DiagonalRTRL):
    "The same rule, in a class that only this script has."

def slow_advance(*arguments):
    time.sleep(0.1)
    return advance(*arguments)

if __name__ == "__main__":
    out, steps, evaluations, episodes = sys.argv[1], *map(int, sys.argv[2:])
    advance, ThreadRunner.advance = ThreadRunner.advance, slow_advance
    trainer.SLICE_SECONDS, trainer.SAVE_SECONDS = 1e-3, 0.0
    agent = rtrrl.RTRRL.default(
        "TMaze-3", cell=RTUConfig(hidden_size=4), rule=UsersRule(), optimizer=Adam(), gamma=0.99
    )
    rtrrl.train(
        "TMaze-3", agent, steps=steps, seeds=[1, 3], evaluations=evaluations, episodes=episodes,
        workers=1, out=out,
    )
"""


def test_a_killed_run_with_a_class_of_a_script_resumes_to_the_same_bits(
    uninterrupted, tmp_path, monkeypatch
):
    """In another process, once it has imported the script as a module."""
    folder, script = tmp_path / "run", tmp_path / "users_script.py"
    script.write_text(SCRIPT)
    arguments = [folder, STEPS, EVALUATIONS, EPISODES]
    child = subprocess.Popen([sys.executable, script, *map(str, arguments)])
    try:
        deadline = time.monotonic() + 240
        while not (folder / storage.METRICS).exists():
            assert child.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        while (
            storage.load_run(folder).steps
            == checkpoints.read_meta(folder / storage.CHECKPOINT)["step"]
        ):
            time.sleep(0.01)  # until it is between two evaluations
    finally:
        child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    step = checkpoints.read_meta(folder / storage.CHECKPOINT)["step"]
    assert 0 < step < STEPS
    assert not (folder / storage.RESULT).exists()

    before = snapshot(folder)
    with pytest.raises(RtrrlError, match=r"users_script\.UsersRule is not imported: import"):
        rtrrl.resume(folder)
    assert snapshot(folder) == before

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "users_script", raising=False)
    rule = importlib.import_module("users_script").UsersRule
    run = rtrrl.resume(folder)
    assert (run.stopped_by, run.steps) == (StopReason.BUDGET, STEPS)
    assert isinstance(run.agents().agent.rule, rule)
    assert_same_run(folder, uninterrupted.folder)


def test_ctrl_c_keeps_everything_and_the_run_resumes_to_the_same_bits(
    uninterrupted, tmp_path, monkeypatch
):
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        interrupt_in_slice(patch, ThreadRunner, 10)
        run = interrupted_run(lambda: train_small(out=tmp_path / "run"))
    assert signal.getsignal(signal.SIGINT) is before
    assert run.stopped_by is StopReason.INTERRUPT
    step = checkpoints.read_meta(run.folder / storage.CHECKPOINT)["step"]
    assert 16 < step < 300, "before the first evaluation"
    assert run.agents().step == step
    assert read_result(run.folder)["stopped_by"] == "interrupt"
    resumed = rtrrl.resume(run.folder)
    assert_same_run(run.folder, uninterrupted.folder)
    for best in (False, True):
        ours, theirs = resumed.agents(best), uninterrupted.agents(best)
        assert_same_bits(ours.states, theirs.states)
        assert ours.steps == theirs.steps


def test_a_second_ctrl_c_interrupts_at_once_and_the_last_checkpoint_stays(
    uninterrupted, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        interrupt_in_slice(patch, ThreadRunner, 320, times=2)
        with pytest.raises(KeyboardInterrupt):
            train_small(out=tmp_path / "run")
    assert checkpoints.read_meta(tmp_path / "run" / storage.CHECKPOINT)["step"] == 300
    rtrrl.resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", uninterrupted.folder)


@pytest.mark.parametrize("before", [signal.default_int_handler, signal.SIG_IGN])
def test_a_second_ctrl_c_interrupts_even_a_job_in_the_background(before):
    outside = signal.signal(signal.SIGINT, before)  # a shell has it ignored in such jobs
    try:
        with catch_sigint() as interrupted:
            signal.raise_signal(signal.SIGINT)
            assert interrupted.is_set()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        signal.signal(signal.SIGINT, outside)


@pytest.mark.parametrize("seconds", [1e-9, 1e9])
def test_results_do_not_depend_on_the_length_of_slices(uninterrupted, monkeypatch, seconds):
    monkeypatch.setattr(trainer, "SLICE_SECONDS", seconds)
    run = train_small()
    assert_same_bits(run.agents().states, uninterrupted.agents().states)
    assert (run.best == uninterrupted.best).all()
    assert (run.final == uninterrupted.final).all()


def test_n_steps_saved_loaded_and_n_more_are_twice_n_steps(tmp_path):
    config = RunConfig(
        agent=small_agent(), environment=rtrrl.make(TASK), steps=STEPS, seeds=tuple(SEEDS)
    )
    with ThreadRunner(config) as runner:
        whole = runner.advance(runner.init(), 600)
        saved, meta = runner.to_saved(runner.advance(runner.init(), 300))
        checkpoints.save(tmp_path / "half", saved, meta)
        loaded, meta = checkpoints.load(tmp_path / "half", runner.template(meta))
        assert_same_bits(whole, runner.advance(runner.from_saved(loaded), 300))


def test_a_run_with_settings_per_seed_and_two_workers_resumes(tmp_path, monkeypatch):
    agent = small_agent(
        gamma=jnp.array([0.99, 0.5]), optimizer=Adam(learning_rate=jnp.array([1e-3, 1e-2]))
    )
    whole = train_small(agent, workers=2, out=tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_in_slice(patch, ThreadRunner, 10)
        interrupted_run(lambda: train_small(agent, workers=2, out=tmp_path / "run"))
    rtrrl.resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole.folder)


# --- what is not resumed ------------------------------------------------------------------------


def test_a_damaged_or_missing_folder_is_not_resumed(uninterrupted, tmp_path):
    with pytest.raises(RunFolderError, match="no run"):
        rtrrl.resume(tmp_path / "missing")
    folder = tmp_path / "damaged"
    folder.mkdir()
    for name in (storage.CONFIG, storage.METRICS):
        (folder / name).write_bytes((uninterrupted.folder / name).read_bytes())
    data = bytearray((uninterrupted.folder / storage.CHECKPOINT).read_bytes())
    data[-1] ^= 1
    (folder / storage.CHECKPOINT).write_bytes(data)
    before = snapshot(folder)
    for read in (rtrrl.resume, rtrrl.load):
        with pytest.raises(RunFolderError, match="damaged"):
            read(folder)
    assert snapshot(folder) == before


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """The folder of an interrupted run in an environment that has no name."""
    folder = tmp_path_factory.mktemp("interrupted") / "run"
    with pytest.MonkeyPatch.context() as patch:
        interrupt_in_slice(patch, ThreadRunner, 3)
        interrupted_run(lambda: train_counting(steps=600, evaluations=2, out=folder))
    return folder


def test_a_checkpoint_of_other_settings_is_not_resumed(interrupted, tmp_path):
    for name in (storage.METRICS, storage.CHECKPOINT, storage.RESULT):
        if (interrupted / name).exists():
            (tmp_path / name).write_bytes((interrupted / name).read_bytes())
    config = json.loads((interrupted / storage.CONFIG).read_text())
    config["seeds"] = [0, 1]
    (tmp_path / storage.CONFIG).write_text(json.dumps(config))
    with pytest.raises(RunFolderError, match="does not fit"):
        rtrrl.resume(tmp_path, environment=PaidAction())


def test_an_environment_without_a_name_must_be_given_and_be_the_same(interrupted):
    with pytest.raises(RtrrlError, match="unknown task 'PaidAction'"):
        rtrrl.resume(interrupted)
    with pytest.raises(RunFolderError, match=r"environment is PaidAction.* not TMaze-3"):
        rtrrl.resume(interrupted, environment=rtrrl.make(TASK))
    assert rtrrl.load(interrupted, environment=PaidAction()).states.count > 0
