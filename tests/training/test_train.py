"""Runs: resumed to the same bits, stopped when they should, refused when they cannot be."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

import rtrrl
from rtrrl import RTRRL
from rtrrl.agents import Agent, Info
from rtrrl.cells import RTUConfig
from rtrrl.environments import Box, Environment, make
from rtrrl.errors import NonFiniteError, RtrrlError, RunFolderError
from rtrrl.gradients import Frozen
from rtrrl.learning.optimizers import Adam, PerGroup
from rtrrl.runs import checkpoints, storage
from rtrrl.runs.config import RunConfig
from rtrrl.runs.run import StopReason
from rtrrl.training.runners import ThreadRunner
from rtrrl.types import TimeStep
from rtrrl.utils.signals import catch_sigint

TASK = "TMaze-3"
STEPS, EVALUATIONS, EPISODES, SEEDS = 1203, 4, 3, [1, 3]  # 300, 601, 902, 1203


@pytest.fixture(scope="module", autouse=True)
def fast_compiler():
    """These runs are short: compiling costs more than running. Subprocesses are told as well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
        jax.config.update("jax_disable_most_optimizations", True)
        yield
        jax.config.update("jax_disable_most_optimizations", False)


def learner(**changes) -> RTRRL:
    pinned = {"cell": RTUConfig(hidden_size=4), "optimizer": Adam(), "discount": 0.99}
    return RTRRL.default(TASK, **pinned | changes)


def trained(agent: Agent | None = None, **changes):
    settings = {
        "steps": STEPS,
        "seeds": SEEDS,
        "evaluations": EVALUATIONS,
        "episodes": EPISODES,
        "workers": 1,
    }
    return rtrrl.train(agent or learner(), **settings | changes)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The run that was never interrupted, in its folder."""
    return trained(out=tmp_path_factory.mktemp("unbroken") / "run")


def rows_without_time(folder: Path) -> list[dict]:
    rows = [json.loads(line) for line in (folder / storage.METRICS).read_text().splitlines()]
    return [{name: row[name] for name in row if name != "seconds"} for row in rows]


def leaves(folder: Path) -> bytes:
    """The raw bytes of every leaf of the checkpoint."""
    return (folder / storage.CHECKPOINT).read_bytes().partition(b"\n")[2]


def assert_same_run(ours: Path, theirs: Path) -> None:
    assert rows_without_time(ours) == rows_without_time(theirs)
    assert leaves(ours) == leaves(theirs)
    result, expected = (json.loads((f / storage.RESULT).read_text()) for f in (ours, theirs))
    for name in ("best", "final", "steps", "seeds", "finished", "stopped_by"):
        assert result[name] == expected[name]


def assert_same_bits(ours, theirs) -> None:
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)


def assert_close(ours, theirs, rtol=1e-4, atol=1e-5) -> None:
    ours, theirs = ours.parameters, theirs.parameters
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


# --- resume -----------------------------------------------------------------------------------

KILLED = """
import sys, time
import rtrrl
from rtrrl.training.train import train
from rtrrl.cells import RTUConfig
from rtrrl.learning.optimizers import Adam
from rtrrl.training.runners import ThreadWorkers

advance = ThreadWorkers.advance
def slowly(*arguments):
    time.sleep(0.1)
    return advance(*arguments)
ThreadWorkers.advance, train.SLICE_SECONDS, train.SAVE_SECONDS = slowly, 1e-3, 0.0
agent = rtrrl.RTRRL.default(
    "TMaze-3", cell=RTUConfig(hidden_size=4), optimizer=Adam(), gamma=0.99
)
rtrrl.train(
    agent, steps=int(sys.argv[2]), seeds=[1, 3], evaluations=int(sys.argv[3]),
    episodes=int(sys.argv[4]), workers=1, out=sys.argv[1],
)
"""


def test_a_killed_run_resumes_in_another_process_to_the_same_bits(unbroken, tmp_path):
    folder = tmp_path / "run"
    arguments = [str(folder), str(STEPS), str(EVALUATIONS), str(EPISODES)]
    child = subprocess.Popen([sys.executable, "-c", KILLED, *arguments])
    try:
        patience = time.monotonic() + 120
        while not (folder / storage.METRICS).exists():
            assert child.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < patience
            time.sleep(0.01)
        while (
            storage.load_run(folder).steps
            == checkpoints.read_meta(folder / storage.CHECKPOINT)["step"]
        ):
            time.sleep(0.01)  # on, into the middle of a chunk
    finally:
        child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    step = checkpoints.read_meta(folder / storage.CHECKPOINT)["step"]
    assert 0 < step < STEPS
    assert not (folder / storage.RESULT).exists()

    run = rtrrl.resume(folder)
    assert (run.stopped_by, run.steps) == (StopReason.BUDGET, STEPS)
    assert_same_run(folder, unbroken.folder)


@pytest.fixture
def interrupt_in_slice(monkeypatch):
    """Tiny slices, and `presses` times Ctrl-C while the `count`-th slice is lived."""

    def arrange(count: int, presses: int = 1) -> None:
        slices, advance = [], ThreadRunner.advance

        def pressed(*arguments):
            slices.append(1)
            if len(slices) == count:
                for _ in range(presses):
                    signal.raise_signal(signal.SIGINT)  # two sent by kill may arrive as one
            return advance(*arguments)

        monkeypatch.setattr(training, "SLICE_SECONDS", 1e-9)
        monkeypatch.setattr(ThreadRunner, "advance", pressed)

    return arrange


def test_ctrl_c_keeps_everything_and_resumes_to_the_same_bits(
    unbroken, tmp_path, interrupt_in_slice, monkeypatch
):
    before = signal.getsignal(signal.SIGINT)
    interrupt_in_slice(10)
    run = trained(out=tmp_path / "run")
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGINT) is before
    assert run.stopped_by is StopReason.INTERRUPT
    assert run.states is not None
    step = checkpoints.read_meta(run.folder / storage.CHECKPOINT)["step"]
    assert 256 < step < 300, "in the middle of the first chunk"
    assert json.loads((run.folder / storage.RESULT).read_text())["stopped_by"] == "interrupt"
    resumed = rtrrl.resume(run.folder)
    assert_same_run(run.folder, unbroken.folder)
    assert_same_bits(resumed.states, unbroken.states)
    assert (run.folder / storage.CURVE).exists()
    with pytest.raises(RunFolderError, match="finished"):
        rtrrl.resume(run.folder)


def test_a_second_ctrl_c_interrupts_at_once_and_the_last_checkpoint_stays(
    unbroken, tmp_path, interrupt_in_slice, monkeypatch
):
    interrupt_in_slice(60, presses=2)
    with pytest.raises(KeyboardInterrupt):
        trained(out=tmp_path / "run")
    monkeypatch.undo()
    assert checkpoints.read_meta(tmp_path / "run" / storage.CHECKPOINT)["step"] == 300
    rtrrl.resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", unbroken.folder)


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
def test_how_the_loop_is_sliced_changes_nothing(unbroken, monkeypatch, seconds):
    monkeypatch.setattr(training, "SLICE_SECONDS", seconds)
    run = trained()
    assert_same_bits(run.states, unbroken.states)
    assert (run.best == unbroken.best).all()
    assert (run.final == unbroken.final).all()


def test_twice_n_steps_are_n_steps_saved_loaded_and_n_steps(unbroken, tmp_path):
    seeds = tuple(SEEDS)
    plan = RunConfig(learner(), make(TASK), STEPS, seeds, EVALUATIONS, EPISODES, False, None, 1, 1)
    with ThreadRunner(plan) as workers:
        whole = workers.advance(workers.births(), 600)
        half = workers.advance(workers.births(), 300)
        checkpoints.save(tmp_path / "half", half, {})
        loaded, _ = checkpoints.load(tmp_path / "half", workers.template({}))
        assert_same_bits(whole, workers.advance(loaded, 300))


def test_a_run_and_its_agents_are_read_back(unbroken):
    plan, states, step = rtrrl.load_agents(unbroken.folder)
    assert (plan.agent, plan.seeds, step) == (learner(), tuple(SEEDS), STEPS)
    assert_same_bits(states, unbroken.states)
    again = rtrrl.load_run(unbroken.folder)
    assert again.metrics == [
        {name: None if value != value else value for name, value in row.items()}
        for row in unbroken.metrics
    ]
    assert (again.best == unbroken.best).all()


# --- seeds, hyperparameters, workers ----------------------------------------------------------


# Another program rounds otherwise, and a life in which one action differs is another life: what is
# compared here is short.
SHORT = {"steps": 100, "evaluations": 1}


@pytest.fixture(scope="module")
def together():
    """Seeds 1 and 3."""
    return trained(**SHORT)


@pytest.fixture(scope="module")
def alone():
    """Seed 3 by itself."""
    return trained(seeds=[3], **SHORT)


def row(states, index: int):
    return jax.tree.map(lambda leaf: leaf[index], states)


def test_a_seed_does_not_depend_on_its_company(together, alone):
    assert_close(row(alone.states, 0), row(together.states, 1))
    np.testing.assert_allclose(alone.final, together.final[1:], rtol=1e-5)


def test_workers_change_nothing_but_the_time(together, alone):
    del alone  # compiled by it
    run = trained(workers=2, **SHORT)
    assert_close(run.states, together.states)
    np.testing.assert_allclose(run.best, together.best, rtol=1e-5)
    assert [(r["step"], r["seed"]) for r in run.metrics] == [
        (r["step"], r["seed"]) for r in together.metrics
    ]


def test_seeds_differ(unbroken):
    a, b = row(unbroken.states.parameters, 0), row(unbroken.states.parameters, 1)
    assert (a.actor.weight != b.actor.weight).any()
    assert (a.cell.weight != b.cell.weight).all()


@pytest.fixture(scope="module")
def many():
    """A discount and a learning rate of its own for each of seeds 1 and 3, over two workers."""

    def train(discounts: list[float], rates: list[float], **changes):
        agent = learner(
            discount=jnp.array(discounts), optimizer=Adam(learning_rate=jnp.array(rates))
        )
        return trained(agent, workers=2, **changes)

    return train


def test_settings_that_are_arrays_have_one_entry_per_seed(together, many):
    run = many([0.99, 0.5], [1e-3, 1e-2], **SHORT)
    assert_close(row(run.states, 0), row(together.states, 0))
    other = trained(learner(gamma=0.5, optimizer=Adam(learning_rate=1e-2)), seeds=[3], **SHORT)
    assert_close(row(run.states, 1), row(other.states, 0))
    gap = (
        row(run.states, 1).parameters.actor.weight - row(together.states, 1).parameters.actor.weight
    )
    assert np.abs(gap).max() > 0.01, "the settings must matter"


def test_a_population_resumes_from_its_folder(many, tmp_path, interrupt_in_slice, monkeypatch):
    whole = many([0.99, 0.5], [1e-3, 1e-2], out=tmp_path / "whole")
    interrupt_in_slice(10)
    many([0.99, 0.5], [1e-3, 1e-2], out=tmp_path / "run")
    monkeypatch.undo()
    rtrrl.resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole.folder)


@pytest.mark.parametrize("discounts", [[0.9], [0.9, 0.8, 0.7]])
def test_an_array_of_another_length_is_refused(discounts):
    with pytest.raises(RtrrlError, match=f"shape \\({len(discounts)},\\).*each of the 2 seeds"):
        trained(learner(discount=jnp.array(discounts)))


def test_the_agent_that_diverges_is_named(many, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(NonFiniteError, match=r"seed 3 diverged.*learning rate") as caught:
        many([0.99, 0.99], [1e-3, 1e38], out=folder)
    assert "\n" not in str(caught.value)
    assert json.loads((folder / storage.RESULT).read_text())["stopped_by"] == "error"
    _, states, step = rtrrl.load_agents(folder)
    assert step < STEPS
    assert all(
        np.isfinite(leaf).all() for leaf in jax.tree.leaves(states.parameters) if leaf.dtype != bool
    )


# --- the protocol around the loop, with agents whose every return is known --------------------


class AgeState(eqx.Module):
    parameters: Array
    age: Array


class Age(Agent):
    """Its action is the number of steps it has learned from, `cap` at most."""

    task: str = "Payment"
    cap: float | Array = 1e9

    def init(self, key):
        return AgeState(jnp.zeros(1), jnp.zeros(()))

    def begin(self, state, observation):
        return state, jnp.minimum(state.age, self.cap)

    def step(self, state, observation, reward, discount):
        state = AgeState(state.parameters, state.age + 1)
        info = Info(jnp.array(2.0), jnp.array(0.0), jnp.array(0.5))
        return state, jnp.minimum(state.age, self.cap), info

    def frozen(self, state, greedy=False):
        return Aged(jnp.minimum(state.age, self.cap) + (0.5 if greedy else 0.0))


class Aged(Agent):
    """Stays as old as it is."""

    age: Array
    task: str = "Payment"

    def init(self, key):
        return jnp.zeros(())

    def begin(self, state, observation):
        return state, self.age

    def step(self, state, observation, reward, discount):
        return state, self.age, Info(state, state, state)

    def frozen(self, state, greedy=False):
        return self


class Payment(Environment):
    """Pays the action; three steps an episode, the second of which alone pays."""

    @property
    def observation_space(self):
        return Box.of(0, 1, (1,))

    @property
    def action_space(self):
        return Box.of(0, np.inf, (1,))

    def reset(self, key):
        return jnp.zeros((), jnp.int32), jnp.ones(1)

    def step(self, key, state, action):
        reward, last = jnp.where(state == 1, action, 0.0), state == 2
        return state + 1, TimeStep(jnp.ones(1), reward, jnp.where(last, 0.0, 1.0), last)


def aged(**changes):
    settings = {"environment": Payment(), "seeds": 1, "workers": 1, "episodes": 2}
    return rtrrl.train(changes.pop("agent", Age()), **settings | changes)


@pytest.mark.parametrize(
    ("steps", "evaluations", "expected"),
    [
        (100, 4, [25, 50, 75, 100]),
        (103, 10, [10, 20, 30, 41, 51, 61, 72, 82, 92, 103]),
        (3, 50, [1, 2, 3]),
        (7, 1, [7]),
        (600, 2, [300, 600]),
    ],
)
def test_the_budget_is_exact_and_scores_belong_to_their_steps(steps, evaluations, expected):
    run = aged(steps=steps, evaluations=evaluations)
    assert [row["step"] for row in run.metrics] == expected
    assert [row["evaluation"] for row in run.metrics] == expected  # the agent's age
    assert run.states.age.tolist() == [steps]
    assert (run.steps, run.stopped_by) == (steps, StopReason.BUDGET)


def test_best_and_final_are_per_seed():
    run = aged(agent=Age(cap=jnp.array([30.0, 1e9])), seeds=[5, 6], steps=200, evaluations=20)
    assert run.best.tolist() == [30, 200]
    assert run.final.tolist() == [30, 190]  # the last tenth holds two of 20, three are the least
    assert [row["seed"] for row in run.metrics[:4]] == [5, 6, 5, 6]


def test_greedy_evaluations_are_the_greedy_ones():
    assert aged(steps=10, evaluations=1, greedy=True).best == [10.5]


def test_patience_waits_for_the_last_seed_that_improves():
    run = aged(
        agent=Age(cap=jnp.array([20.0, 60.0])), seeds=2, steps=500, evaluations=50, patience=3
    )
    assert (run.steps, run.stopped_by) == (90, StopReason.PATIENCE)
    assert aged(steps=200, evaluations=20, patience=1).stopped_by is StopReason.BUDGET


def test_a_run_out_of_patience_is_finished(tmp_path):
    run = aged(agent=Age(cap=0.0), steps=500, evaluations=50, patience=2, out=tmp_path / "run")
    assert run.steps == 30
    assert json.loads((tmp_path / "run" / storage.RESULT).read_text())["finished"]


def test_metrics_tell_of_the_chunk_alone():
    run = aged(steps=12, evaluations=2)
    # each chunk has two whole episodes, which pay at their second steps: at ages 1, 4, 7 and 10
    assert [row["episodes"] for row in run.metrics] == [2, 2]
    assert [row["training_return"] for row in run.metrics] == [2.5, 8.5]
    assert [row["td_error_rms"] for row in run.metrics] == [2.0, 2.0]
    assert [row["entropy"] for row in run.metrics] == [0.5, 0.5]


def test_a_chunk_without_a_whole_episode_has_no_training_return(tmp_path):
    run = aged(steps=4, evaluations=2, out=tmp_path / "run")
    assert [row["training_return"] != row["training_return"] for row in run.metrics] == [
        True,
        False,
    ]
    assert rows_without_time(run.folder)[0]["training_return"] is None


class Ticket(Payment):
    """One step, which pays a number drawn at the reset."""

    def reset(self, key):
        return jax.random.uniform(key), jnp.ones(1)

    def step(self, key, state, action):
        return state, TimeStep(jnp.ones(1), state, jnp.zeros(()), jnp.array(True))


def test_no_episode_is_lived_twice_in_training_and_evaluations():
    run = aged(environment=Ticket(), steps=6, evaluations=6, episodes=1, seeds=[0, 1])
    drawn = [row[name] for row in run.metrics for name in ("training_return", "evaluation")]
    assert len(set(drawn)) == 2 * 2 * 6


def test_evaluating_leaves_no_mark_on_training(unbroken):
    run = trained(evaluations=7, episodes=2, greedy=True)
    assert_same_bits(run.states, unbroken.states)


# --- what can go wrong ------------------------------------------------------------------------


class Broken(Payment):
    """Gives `spoil` at the `at`-th step of one endless episode, or at its reset."""

    spoil: Array
    at: Array
    in_reward: Array

    def reset(self, key):
        return jnp.zeros((), jnp.int32), jnp.where(self.at == 0, self.spoil, jnp.ones(1))

    def step(self, key, state, action):
        now = state + 1 == self.at
        observation = jnp.where(now & ~self.in_reward, self.spoil, jnp.ones(1))
        reward = jnp.where(now & self.in_reward, self.spoil, 1.0)
        return state + 1, TimeStep(observation, reward, jnp.ones(()), (state + 1) % 50 == 0)


@pytest.mark.parametrize("spoil", [np.nan, np.inf])
def test_a_broken_reward_is_named_with_step_and_seed(spoil, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SLICE_SECONDS", 1e-9)
    world = Broken(jnp.array(spoil), jnp.array(37), jnp.array(True))
    with pytest.raises(NonFiniteError, match=r"Broken gave NaN or infinity.*step 37 of seed 8"):
        aged(environment=world, seeds=[8], steps=100, evaluations=1, out=tmp_path / "run")
    assert storage.load_run(tmp_path / "run").stopped_by is StopReason.ERROR


def test_a_reward_that_breaks_an_evaluation_is_no_score(tmp_path):
    world = Broken(jnp.array(np.nan), jnp.array(37), jnp.array(True))
    with pytest.raises(NonFiniteError, match="while seed 8 was evaluated at step 20"):
        aged(environment=world, seeds=[8], steps=100, evaluations=5, out=tmp_path / "run")
    assert storage.load_run(tmp_path / "run").metrics == []


@pytest.mark.parametrize("spoil", [np.nan, -np.inf])
def test_a_world_that_breaks_is_named_with_step_and_seed(spoil, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SLICE_SECONDS", 1e-9)
    world = Broken(jnp.array(spoil), jnp.array(37), jnp.array(False))
    folder = tmp_path / "run"
    with pytest.raises(NonFiniteError, match=r"Broken gave NaN or infinity.*step 37 of seed 8"):
        aged(environment=world, seeds=[8], steps=100, evaluations=5, out=folder)
    assert checkpoints.read_meta(folder / storage.CHECKPOINT)["step"] == 20
    assert [row["step"] for row in storage.load_run(folder).metrics] == [20]
    assert storage.load_run(folder).stopped_by is StopReason.ERROR
    with ThreadRunner(RunConfig(Age(), world, 100, (8,), 5, 2, False, None, 1, 1)) as workers:
        (lives,), _ = checkpoints.load(folder / storage.CHECKPOINT, workers.template({}))
    assert (lives.agent.age, lives.steps, lives.broken) == (20, 20, -1)


def test_a_world_that_is_broken_from_the_start(tmp_path):
    world = Broken(jnp.array(np.nan), jnp.array(0), jnp.array(False))
    with pytest.raises(NonFiniteError, match="step 0 of seed 0"):
        aged(environment=world, steps=10, evaluations=1, out=tmp_path / "run")
    assert storage.load_run(tmp_path / "run").metrics == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps is 0: it must be 1 or more"),
        ({"steps": -5}, "steps is -5"),
        ({"evaluations": 0}, "evaluations is 0"),
        ({"episodes": 0}, "episodes is 0"),
        ({"workers": -1}, "workers is -1"),
        ({"seeds": 0}, "no seed"),
        ({"seeds": []}, "no seed"),
        ({"seeds": [1, 2, 1]}, "seed 1 .*twice"),
        ({"patience": 0}, "patience is 0"),
    ],
)
def test_arguments_that_cannot_be_are_refused_in_one_line(changes, message, tmp_path):
    with pytest.raises(RtrrlError, match=message) as caught:
        aged(**{"steps": 10, "out": tmp_path / "run"} | changes)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_an_unknown_task_is_refused_with_the_nearest():
    with pytest.raises(RtrrlError, match="TMaze"):
        rtrrl.train("TMase-3", steps=10)


def test_a_folder_in_use_is_refused_unless_told(tmp_path):
    folder = tmp_path / "run"
    aged(agent=Age(cap=1.0), steps=10, evaluations=2, out=folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(RunFolderError, match="not empty"):
        aged(steps=4, evaluations=1, out=folder)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}
    run = aged(steps=4, evaluations=1, out=folder, overwrite=True)
    assert [row["step"] for row in storage.load_run(folder).metrics] == [4]
    assert run.best == [4]


def test_a_damaged_or_foreign_folder_is_not_resumed(unbroken, tmp_path):
    with pytest.raises(RunFolderError, match="no run"):
        rtrrl.resume(tmp_path / "nowhere")
    folder = tmp_path / "damaged"
    folder.mkdir()
    for name in (storage.CONFIG, storage.METRICS):
        (folder / name).write_bytes((unbroken.folder / name).read_bytes())
    data = bytearray((unbroken.folder / storage.CHECKPOINT).read_bytes())
    data[-1] ^= 1
    (folder / storage.CHECKPOINT).write_bytes(data)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(RunFolderError, match="damaged"):
        rtrrl.resume(folder)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_checkpoint_of_other_settings_is_not_resumed(tmp_path, interrupt_in_slice, monkeypatch):
    interrupt_in_slice(3)
    aged(steps=600, evaluations=2, out=tmp_path / "run")
    monkeypatch.undo()
    config = json.loads((tmp_path / "run" / storage.CONFIG).read_text())
    config["seeds"] = [0, 1]
    (tmp_path / "run" / storage.CONFIG).write_text(json.dumps(config))
    with pytest.raises(RunFolderError, match="does not fit"):
        rtrrl.resume(tmp_path / "run", environment=Payment())


def test_progress_is_silent_where_there_is_no_terminal(capfd):
    aged(steps=300, evaluations=3, progress=True)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_progress_on_a_terminal_tells_return_and_speed(monkeypatch):
    import io

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    aged(steps=300, evaluations=3, progress=True)
    assert "Payment" in terminal.getvalue()
    assert "return 300 (median)" in terminal.getvalue()
    assert "steps/s" in terminal.getvalue()


def test_an_agent_that_is_no_data_trains_without_a_folder_alone(tmp_path):
    import optax

    sgd = PerGroup(optax.sgd(1e-3), optax.sgd(1e-3), optax.sgd(1e-3))
    agent = learner(optimizer=sgd, rule=Frozen())
    assert trained(agent, steps=10, evaluations=1, seeds=1).stopped_by is StopReason.BUDGET
    with pytest.raises(RtrrlError, match="without `out`"):
        trained(agent, steps=10, evaluations=1, seeds=1, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
