"""Training in environments that Python steps: same agent, same evaluation, same run folder."""

import dataclasses
import json
import subprocess
import sys

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rtrrl
from rtrrl import RTRRL
from rtrrl.agents import Random
from rtrrl.cells import RTUConfig
from rtrrl.cli import main
from rtrrl.environments import Gymnasium, make
from rtrrl.errors import NonFiniteError, RtrrlError, RtrrlWarning
from rtrrl.runs import checkpoints, storage
from rtrrl.runs.config import RunConfig
from rtrrl.runs.locking import LOCK
from rtrrl.runs.run import StopReason
from rtrrl.training import action_record, trainer
from rtrrl.training.evaluation import evaluate
from rtrrl.training.runners import HostRunner
from tests.helpers import assert_same_bits
from tests.training.runs import assert_same_run, interrupt_in_slice, interrupted_run

TASK = "gymnasium/CartPole-v1-pos"
SETTINGS = {"steps": 300, "seeds": [1, 3], "evaluations": 3, "episodes": 2, "workers": 1}
AGENT = RTRRL.default(TASK, cell=RTUConfig(hidden_size=4))
TWO = dataclasses.replace(AGENT, gamma=jnp.array([0.5, AGENT.gamma]))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Two seeds, each with a γ of its own."""
    return rtrrl.train(TASK, TWO, out=tmp_path_factory.mktemp("host") / "run", **SETTINGS)


def test_a_run_has_the_same_form_as_a_compiled_one(uninterrupted):
    assert uninterrupted.stopped_by is StopReason.BUDGET
    assert [row["step"] for row in uninterrupted.metrics] == [100, 100, 200, 200, 300, 300]
    assert (uninterrupted.best >= 8).all(), "a pole does not fall sooner"
    expected = {storage.CONFIG, storage.METRICS, storage.CHECKPOINT, storage.BEST_CHECKPOINT}
    expected |= {storage.RESULT, LOCK}
    assert {path.name for path in uninterrupted.folder.iterdir()} == expected
    rows = [row for row in uninterrupted.metrics if row["seed"] == 1]
    rewards = sum(row["training_return"] * row["episodes"] for row in rows)
    assert 200 < rewards <= 300, "one a step, without those of the unfinished episode"


def test_a_seed_and_its_settings_do_not_depend_on_the_others(uninterrupted):
    alone = rtrrl.train(TASK, AGENT, **SETTINGS | {"seeds": [3]})
    assert alone.best[0] == uninterrupted.best[1]
    np.testing.assert_allclose(
        alone.agents().states.params.critic.weight[0],
        uninterrupted.agents().states.params.critic.weight[1],
        rtol=1e-4,
        atol=1e-6,
    )


def test_ctrl_c_within_episodes_resumes_to_the_same_bits(uninterrupted, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_in_slice(patch, HostRunner, 20)
        run = interrupted_run(lambda: rtrrl.train(TASK, TWO, out=tmp_path / "run", **SETTINGS))
    assert run.stopped_by is StopReason.INTERRUPT
    meta = checkpoints.read_meta(run.folder / storage.CHECKPOINT)
    assert 0 < meta["step"] < 300
    assert meta["recorded"] > 0, "within an episode"
    resumed = rtrrl.resume(run.folder)
    assert_same_run(run.folder, uninterrupted.folder)
    assert_same_bits(resumed.agents().states, uninterrupted.agents().states)


def test_episodes_are_replayed_to_where_they_were():
    """Episodes of different lengths at once; right after an end, too."""
    config = RunConfig(agent=AGENT, environment=make(TASK), steps=100, seeds=(1, 3, 4))
    with HostRunner(config) as runner, HostRunner(config) as other:
        states, saves = runner.init(), []
        for count in (1, 14, 1, 24):
            states = runner.advance(states, count)
            saves.append(runner.to_saved(states))
        states = runner.advance(states, 30)
        for (saved, meta), count in zip(saves, (69, 55, 54, 30), strict=True):
            shapes = jax.tree.map(lambda leaf: leaf.shape, (saved, other.template(meta)))
            assert shapes[0] == shapes[1]
            assert_same_bits(other.advance(other.from_saved(saved), count), states)


def test_evaluation_takes_an_exact_number_of_whole_episodes():
    agent, key = Random.uniform(TASK), jax.random.key(0)
    returns = evaluate(agent, agent.init(key), make(TASK), key, episodes=5)
    assert returns.shape == (5,)
    assert len(set(returns.tolist())) > 1, "each episode has a seed of its own"
    again = evaluate(agent, agent.init(key), TASK, key, episodes=5)
    np.testing.assert_array_equal(returns, again)


def test_the_command_line_trains_and_evaluates(tmp_path, capsys):
    folder = str(tmp_path / "run")
    short = ["--steps", "60", "--seeds", "2", "--evaluations", "2", "--episodes", "1"]
    assert main(["train", TASK, "--agent", "random", *short, "--out", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["task"] == TASK
    assert main(["eval", folder, "--episodes", "2", "--json"]) == 0
    assert np.shape(json.loads(capsys.readouterr().out)["returns"]) == (2, 2)


def test_several_environments_per_seed_are_refused():
    with pytest.raises(RtrrlError, match=r"one environment per seed: num_envs must be 1, not 4"):
        rtrrl.train(TASK, AGENT, num_envs=4)


class FaultyEnv(gymnasium.Env):
    """Gives NaN as reward in its tenth step, or raises."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, raises: bool = False):
        self._raises = raises

    def reset(self, *, seed=None, options=None):
        self._time = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self._time += 1
        if self._time == 10 and self._raises:
            raise ValueError("out of order")
        return np.zeros(1, np.float32), np.nan if self._time == 10 else 1.0, False, False, {}


def test_nan_from_an_environment_is_named(monkeypatch):
    monkeypatch.setattr(trainer, "SLICE_SECONDS", 1e-9)
    with pytest.raises(NonFiniteError, match=r"FaultyEnv gave NaN.* step 10 of seed 0"):
        rtrrl.train(FaultyEnv, "random", **SETTINGS | {"seeds": [0]})


def test_an_environment_that_raises_gives_one_line_and_the_run_is_kept(tmp_path):
    out, environment = tmp_path / "run", Gymnasium(lambda: FaultyEnv(raises=True))
    with pytest.raises(RtrrlError, match="'FaultyEnv' raised ValueError: out of order") as caught:
        rtrrl.train(environment, "random", out=out, **SETTINGS)
    assert "\n" not in str(caught.value)
    assert storage.load_run(out).stopped_by is StopReason.ERROR
    assert checkpoints.read_meta(out / storage.CHECKPOINT)["step"] == 0


SCRIPT = """
import os, signal, sys, threading
import gymnasium, numpy as np, rtrrl
from gymnasium.envs.classic_control import CartPoleEnv
from rtrrl.training.runners import HostRunner

PARENT = os.getpid()

class Mine(CartPoleEnv):
    def __init__(self, gravity=1.0, render_mode=None):
        super().__init__()
        self.gravity = gravity
        assert os.getpid() == PARENT or "jax" not in sys.modules, "it takes a second to import"

    def step(self, action):
        info = {"x": np.zeros(np.random.randint(9)), "unsendable": lambda: 0}
        return *super().step(action)[:-1], info

gymnasium.register("Mine-v0", Mine)

def train(workers, steps=60, env="gymnasium/Mine-v0(gravity=9.8)"):
    return rtrrl.train(
        env, "random", steps=steps, seeds=2, evaluations=1, episodes=1, workers=workers
    )

def interrupted(self, states, count):
    if count:  # as a terminal does it: to every process of the group
        os.killpg(0, signal.SIGINT)
    return advance(self, states, min(count, 20))

print(train(1).best.tolist())
print(train(2).best.tolist())
print(train(2, env=lambda: Mine(gravity=9.8)).best.tolist())
lock = threading.Lock()
for env in (lambda: (lock, Mine())[1], lambda: os._exit(3) if os.getpid() != PARENT else Mine()):
    try:
        train(2, env=env)
    except rtrrl.errors.RtrrlError as error:
        print(error)
advance, HostRunner.advance = HostRunner.advance, interrupted
try:
    train(2, steps=10_000)
except rtrrl.errors.TrainingInterrupted as stop:
    print(stop.run.stopped_by)
"""


def test_a_script_without_guard_has_its_environments_in_processes_that_end_with_ctrl_c(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"],
        timeout=300,
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    assert done.returncode == 0, done.stderr
    one, *two, unsendable, died, stopped = done.stdout.splitlines()
    assert two == [one, one]
    assert "'Mine' cannot be sent to a process (cannot pickle" in unsendable
    assert "the process of 'Mine' has ended by itself, with exit code 3" in died
    assert stopped == "interrupt"
    assert "Traceback" not in done.stderr


class Endless(gymnasium.Env):
    """Observes the walls that are drawn when it is seeded, and how many resets there were."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Discrete(2)
    resets = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.walls = self.np_random.random()
        self.resets += 1
        return np.array([self.walls, self.resets]), {}

    def step(self, action):
        return np.array([self.walls, self.resets]), 1.0, False, False, {}


def continued(environment, steps=30):
    """The states right before a run is saved, and right after it is loaded."""
    agent = RTRRL.default(environment, cell=RTUConfig(hidden_size=4))
    config = RunConfig(agent=agent, environment=environment, steps=100, seeds=(1, 3))
    with HostRunner(config) as runner, HostRunner(config) as other:
        before = runner.advance(runner.init(), steps)
        saved, meta = runner.to_saved(before)
        shapes = jax.tree.map(lambda leaf: leaf.shape, (saved, other.template(meta)))
        assert shapes[0] == shapes[1]
        after = other.from_saved(saved)
        other.advance(after, 3)
        return before[0], after[0], saved[1]


def test_an_episode_that_is_too_long_to_replay_ends_where_it_is_resumed(monkeypatch):
    environment = Gymnasium(Endless, keep=(0, 1))
    with monkeypatch.context() as patch:
        patch.setattr(action_record, "LONGEST", 20)
        with pytest.warns(RtrrlWarning, match=r"episode of Endless has .*steps: .*\(seeds 1, 3\)"):
            before, after, record = continued(environment)
    assert record["actions"].size == 0, "no more than that is saved"
    assert_same_bits(after.agent_state.params, before.agent_state.params)
    assert before.episode_return.tolist() == [30.0] * 2
    assert after.episode_return.tolist() == [0.0] * 2
    before, after, record = continued(environment)
    assert record["actions"].shape == (2, 30)
    assert_same_bits(after, before)


def test_an_environment_that_is_seeded_once_begins_its_next_episode_when_it_is_resumed():
    with pytest.warns(RtrrlWarning, match="cannot be replayed, since the environment is seeded"):
        before, after, record = continued(Gymnasium(Endless, seed_once=7))
    assert record["actions"].size == 0
    assert_same_bits(after.agent_state.params, before.agent_state.params)


def test_an_equal_program_is_compiled_once():
    compiled = []

    def listen(event, *_, **__):
        if "backend_compile" in event:
            compiled.append(event)

    settings = SETTINGS | {"steps": 20, "evaluations": 1, "episodes": 1}
    rtrrl.train(TASK, AGENT, **settings)
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        for gamma in (0.5, 0.25):
            rtrrl.train(TASK, dataclasses.replace(AGENT, gamma=gamma), **settings)
        assert not compiled
        rtrrl.train(TASK, RTRRL.default(TASK, cell=RTUConfig(hidden_size=3)), **settings)
        assert compiled, "another program is"
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
