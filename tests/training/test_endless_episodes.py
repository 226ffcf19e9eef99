"""Evaluations have a limit of steps, and hear Ctrl-C, wherever the environment is stepped."""

import signal

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rtrrl
from rtrrl.agents import Random
from rtrrl.cells import RTUConfig
from rtrrl.environments import Box, Discrete, Environment, Gymnasium
from rtrrl.errors import RtrrlWarning
from rtrrl.training import compiled_evaluation, host_evaluation
from rtrrl.training.compiled_evaluation import CompiledEvaluation
from rtrrl.training.evaluation import evaluate_all
from rtrrl.types import TimeStep
from tests.training.runs import assert_same_run, interrupted_run, train_small

KEY = jax.random.key(0)


class Endless(Environment):
    """Every step is rewarded with 1."""

    observation_space = Box.of(0, 1, (1,))
    action_space = Discrete(2)

    def reset(self, key):
        return jnp.zeros(()), jnp.ones(1)

    def step(self, key, state, action):
        one = jnp.ones(())
        return state, TimeStep(jnp.ones(1), one, one, jnp.array(False))


class EndlessOnTheHost(gymnasium.Env):
    """The same, stepped by Python."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.ones(1, np.float32), {}

    def step(self, action):
        return np.ones(1, np.float32), 1.0, False, False, {}


ENDLESS = [Endless(), Gymnasium(EndlessOnTheHost)]
NAMES = ["compiled", "host"]


@pytest.mark.parametrize("environment", ENDLESS, ids=NAMES)
def test_an_episode_without_end_is_cut_at_the_limit(environment):
    agent = Random.uniform(environment)
    state = agent.init(KEY)
    with pytest.warns(RtrrlWarning, match=r"3 of 3 evaluation episodes .* after 7 steps"):
        returns = rtrrl.evaluate(agent, state, environment, KEY, 3, max_episode_steps=7)
    assert returns.tolist() == [7, 7, 7]


@pytest.mark.parametrize("environment", ENDLESS, ids=NAMES)
def test_a_run_counts_the_episodes_that_were_cut_and_warns_once(environment):
    with pytest.warns(RtrrlWarning, match="4 of 4 evaluation episodes") as warned:
        run = rtrrl.train(
            environment,
            "random",
            steps=10,
            seeds=2,
            evaluations=2,
            episodes=2,
            max_episode_steps=5,
        )
    assert len([each for each in warned if each.category is RtrrlWarning]) == 1
    assert [row["cut_episodes"] for row in run.metrics] == [2] * 4
    assert run.best.tolist() == [5, 5]


@pytest.mark.parametrize("environment", ENDLESS, ids=NAMES)
def test_a_poll_that_raises_ends_an_evaluation_without_end(environment, monkeypatch):
    for module in (compiled_evaluation, host_evaluation):
        monkeypatch.setattr(module, "POLL_SECONDS", 1e-9)
    agent, seen = Random.uniform(environment), []

    def poll(progress):
        seen.append(progress)
        if len(seen) == 3:
            raise ZeroDivisionError

    states = jax.tree.map(lambda leaf: leaf[None], agent.init(KEY))
    with pytest.raises(ZeroDivisionError):
        evaluate_all(agent, states, environment, KEY[None], 2, False, 10**9, poll)
    assert seen == [(0, 2)] * 3


def test_ctrl_c_in_an_evaluation_keeps_the_run_which_resumes_with_it(
    uninterrupted, tmp_path, monkeypatch
):
    advance, calls = CompiledEvaluation.advance, []

    def interrupted(self, count):
        calls.append(count)
        if len(calls) == 4:  # in the second evaluation
            signal.raise_signal(signal.SIGINT)
        advance(self, count)

    with monkeypatch.context() as patch:
        patch.setattr(CompiledEvaluation, "advance", interrupted)
        run = interrupted_run(lambda: train_small(out=tmp_path / "run"))
    assert (run.agents().step, run.steps) == (601, 300)
    rtrrl.resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", uninterrupted.folder)


def test_returns_do_not_depend_on_the_length_of_slices(monkeypatch):
    agent = rtrrl.RTRRL.default("CartPole-pos", cell=RTUConfig(hidden_size=4))
    state = agent.init(KEY)
    returns = [rtrrl.evaluate(agent, state, "CartPole-pos", KEY, 3)]
    monkeypatch.setattr(compiled_evaluation, "FIRST_SLICE", 3)
    monkeypatch.setattr(compiled_evaluation, "POLL_SECONDS", 1e-9)
    returns.append(rtrrl.evaluate(agent, state, "CartPole-pos", KEY, 3))
    assert returns[0].tolist() == returns[1].tolist()
    assert max(returns[0]) > 9
