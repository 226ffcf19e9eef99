"""Runs that are one at a time in a folder, go on after their end, and start from others."""

import dataclasses

import jax.numpy as jnp
import pytest

import rtrrl
from rtrrl.cells import RTUConfig
from rtrrl.errors import RtrrlError, RunFolderError, TrainingInterrupted
from rtrrl.runs import storage
from rtrrl.runs.run import StopReason
from rtrrl.training import trainer
from rtrrl.training.best import BestAgents
from rtrrl.training.runners import ThreadRunner
from tests.counting import CountingAgent, PaidAction
from tests.helpers import assert_same_bits
from tests.training.runs import (
    STEPS,
    assert_same_run,
    interrupt_in_slice,
    small_agent,
    snapshot,
    train_counting,
    train_small,
)


class Busy(rtrrl.Callback):
    """Tries to write into the run's folder while it is trained."""

    def __init__(self, folder):
        self.folder, self.refusals = folder, []

    def on_evaluation(self, rows):
        for second in (
            lambda: train_counting(out=self.folder, overwrite=True),
            lambda: rtrrl.resume(self.folder),
        ):
            with pytest.raises(RunFolderError, match="is in use") as refusal:
                second()
            self.refusals.append(refusal.value)


def test_a_folder_has_one_writer(uninterrupted, tmp_path):
    busy = Busy(tmp_path / "run")
    train_small(out=tmp_path / "run", callbacks=[busy])
    assert len(busy.refusals) == 8
    assert_same_run(tmp_path / "run", uninterrupted.folder)


class Stops(rtrrl.Callback):
    def on_start(self, config, step):
        raise ZeroDivisionError


def test_a_run_that_has_learned_nothing_does_not_block_the_next(tmp_path):
    with pytest.raises(ZeroDivisionError):
        train_counting(steps=20, evaluations=2, out=tmp_path / "run", callbacks=[Stops()])
    run = train_counting(steps=20, evaluations=2, out=tmp_path / "run")
    with pytest.raises(RunFolderError, match="not empty"):
        train_counting(steps=20, evaluations=2, out=tmp_path / "run")
    assert storage.load_run(tmp_path / "run").best == run.best


def test_a_run_that_cannot_begin_leaves_no_folder(tmp_path):
    with pytest.raises(RtrrlError):
        train_small(small_agent(cell=RTUConfig(hidden_size=0)), out=tmp_path / "run")
    with pytest.raises(RtrrlError, match="train as many seeds, and not 1"):
        train_counting(out=tmp_path / "run", start_from=train_small(steps=1, episodes=1).agents())
    assert not (tmp_path / "run").exists()


def test_ctrl_c_ends_a_loop_over_runs(monkeypatch, tmp_path):
    interrupt_in_slice(monkeypatch, ThreadRunner, 5)

    def loop():
        for name in "ab":
            train_counting(steps=600, evaluations=2, out=tmp_path / name)

    with pytest.raises(KeyboardInterrupt) as stop:
        loop()
    assert not (tmp_path / "b").exists()
    assert isinstance(stop.value, TrainingInterrupted)
    run = stop.value.run
    assert run.stopped_by is StopReason.INTERRUPT
    assert str(stop.value) == (
        f"interrupted at step {run.agents().step}; continue with rtrrl.resume('{tmp_path / 'a'}')"
    )


def test_a_finished_run_is_returned_by_resume(uninterrupted):
    before = snapshot(uninterrupted.folder)
    again = rtrrl.resume(uninterrupted.folder)
    assert snapshot(uninterrupted.folder) == before
    assert again.metrics == uninterrupted.metrics
    for best in (False, True):
        assert_same_bits(again.agents(best).states, uninterrupted.agents(best).states)


def test_a_finished_run_goes_on_as_if_it_had_been_longer(uninterrupted, tmp_path):
    train_small(steps=STEPS // 3, evaluations=2, out=tmp_path / "run")
    run = rtrrl.resume(tmp_path / "run", steps=STEPS)
    assert [row["step"] for row in run.metrics[::2]] == [200, 401, 601, 802, 1002, 1203]
    assert_same_bits(run.agents().states.params, uninterrupted.agents().states.params)
    assert storage.load_run(tmp_path / "run").config["steps"] == STEPS
    assert rtrrl.resume(tmp_path / "run").stopped_by is StopReason.BUDGET
    with pytest.raises(RtrrlError, match="has 1,203 steps already: steps is 700, and must be as"):
        rtrrl.resume(tmp_path / "run", steps=700)


def test_an_interrupted_run_may_get_other_steps(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_in_slice(patch, ThreadRunner, 10)
        with pytest.raises(TrainingInterrupted):
            train_small(out=tmp_path / "run")
    run = rtrrl.resume(tmp_path / "run", steps=600)
    assert (run.steps, run.stopped_by, run.config["evaluations"]) == (600, StopReason.BUDGET, 2)


def test_the_patience_of_a_longer_run_counts_from_its_former_end(tmp_path):
    settings = {"patience": 3, "steps": 200, "evaluations": 20}
    run = train_counting(CountingAgent(cap=60), out=tmp_path / "run", **settings)
    assert (run.steps, run.stopped_by) == (90, StopReason.PATIENCE)
    for steps, end in ((400, 120), (400, 150)):  # also to as many steps as it was to have
        run = rtrrl.resume(tmp_path / "run", steps=steps, environment=PaidAction())
        assert (run.steps, run.stopped_by) == (end, StopReason.PATIENCE)


def test_a_kill_within_an_evaluation_is_resumed_to_the_same_bits(
    uninterrupted, tmp_path, monkeypatch
):
    """After a checkpoint of the same step, as Ctrl-C or the clock write it; before the next."""
    for kill in ("append_metrics", "save"):
        folder = tmp_path / kill
        with monkeypatch.context() as patch:
            patch.setattr(trainer, "SAVE_SECONDS", 0.0)
            killed = _killed_at_step(601, kill, patch)
            with pytest.raises(ZeroDivisionError):
                train_small(out=folder)
        assert killed
        run = rtrrl.resume(folder)
        assert_same_run(folder, uninterrupted.folder)
        assert_same_bits(run.agents(best=True).states, uninterrupted.agents(best=True).states)


def _killed_at_step(step, name, patch):
    """An error after the rows of that step were written, or before the best agents are."""
    killed, append, save = [], storage.append_metrics, BestAgents.save

    def after_rows(folder, rows):
        append(folder, rows)
        if rows[0]["step"] == step:
            killed.append(name)
            raise ZeroDivisionError

    def before_best(best, path):
        if step in best.steps:
            killed.append(name)
            raise ZeroDivisionError
        save(best, path)

    if name == "save":
        patch.setattr(BestAgents, "save", before_best)
    else:
        patch.setattr(storage, "append_metrics", after_rows)
    return killed


class PaidNear(PaidAction):
    """The closer the action is to 40, the more."""

    def step(self, key, state, action):
        return super().step(key, state, -jnp.abs(action - 40.0))


def test_the_best_agents_are_kept(tmp_path):
    run = train_counting(
        CountingAgent(), PaidNear(), steps=100, evaluations=10, out=tmp_path / "run"
    )
    assert run.agents().states.count == 100
    best = run.agents(best=True)
    assert (best.states.count, best.steps) == (40, (40,))
    loaded = rtrrl.load(tmp_path / "run", best=True, environment=PaidNear())
    assert_same_bits(loaded.states, best.states)
    assert loaded.steps == best.steps


def test_a_new_run_starts_from_the_agents_of_another(uninterrupted):
    former = uninterrupted.agents()
    frozen = small_agent(optimizer=dataclasses.replace(former.agent.optimizer, learning_rate=0.0))
    run = train_small(frozen, steps=5, evaluations=1, start_from=uninterrupted.folder, seeds=[8, 9])
    states = run.agents().states
    assert_same_bits(states.params.cell, former.states.params.cell)
    assert (states.key != former.states.key).all()
    assert run.config["start_from"] == str(uninterrupted.folder)
    one = dataclasses.replace(former.config, seeds=(1,))
    single = dataclasses.replace(former, config=one, states=former.one(0)[1])
    assert single.seeds == (1,)
    with pytest.raises(RtrrlError, match="has 2 agents: train as many seeds, and not 3"):
        train_small(steps=5, start_from=former, seeds=3)
    with pytest.raises(RtrrlError, match=r"do not fit: leaf \.params\.\S+ is float32"):
        train_small(small_agent(cell=RTUConfig(hidden_size=5)), steps=5, start_from=former)


def test_without_agent_and_seeds_those_of_the_former_run_are_taken(uninterrupted):
    run = rtrrl.train("TMaze-5", start_from=uninterrupted, steps=5, evaluations=1)
    assert run.seeds == uninterrupted.seeds
    assert run.agents().agent == dataclasses.replace(uninterrupted.agents().agent, task="TMaze-5")


def test_seeds_reach_up_to_32_bits(tmp_path):
    seeds = [2**31, 2**32 - 1]
    run = train_small(steps=4, evaluations=1, seeds=seeds, out=tmp_path / "run")
    assert [row["seed"] for row in run.metrics] == seeds
    assert rtrrl.load(tmp_path / "run").seeds == tuple(seeds)
    for seed in (-1, 2**32):
        with pytest.raises(RtrrlError, match=f"seed {seed} is out of range: expected 0 to"):
            train_small(seeds=[seed])


def test_whole_numbers_may_be_floats():
    run = train_counting(steps=1e2, evaluations=2)
    assert (run.config["steps"], run.steps) == (100, 100)
    with pytest.raises(RtrrlError, match=r"steps is 1\.5: it must be a whole number"):
        train_counting(steps=1.5)


def test_a_run_is_shown_in_one_line(uninterrupted):
    text = repr(uninterrupted)
    assert len(text) < 400
    assert "TMaze-3: seeds [1, 3], 1,203 steps, best [" in text
    assert len(repr(uninterrupted.agents())) < 300
