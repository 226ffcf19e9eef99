"""The agent is the paper's algorithm: the same parameters as its box in NumPy."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rtrrl.agents import RTRRL
from rtrrl.cells import CTRNNConfig
from rtrrl.learning.optimizers import PerGroup
from rtrrl.learning.policies import Categorical
from tests.theorems.algorithm_box import AlgorithmBox

pytestmark = pytest.mark.usefixtures("x64")

SETTINGS = {
    "gamma": 0.9,
    "lambda_A": 0.8,
    "lambda_C": 0.7,
    "lambda_R": 0.95,
    "eta_A": 0.6,
    "eta_H": 0.05,
    "alpha_A": 0.05,
    "alpha_C": 0.1,
    "alpha_R": 0.3,
    "average_reward_rate": 0.0,
    "attenuate": False,
    "meta_input": True,
    "dt": 1.0,
}
CASES = {
    "paper": {},
    "micro-steps, I = γ^t": {"dt": 0.5, "attenuate": True},
    "average reward, no meta input": {
        "gamma": 1.0,
        "average_reward_rate": 0.1,
        "meta_input": False,
    },
}


def agent_with(s):
    return RTRRL(
        task="none",
        observation_size=2,
        policy=Categorical(2),
        cell=CTRNNConfig(hidden_size=3, dt=s["dt"]),
        optimizer=PerGroup(
            optax.sgd(s["alpha_A"]), optax.sgd(s["alpha_C"]), optax.sgd(s["alpha_R"])
        ),
        gamma=s["gamma"],
        lambda_actor=s["lambda_A"],
        lambda_critic=s["lambda_C"],
        lambda_recurrent=s["lambda_R"],
        actor_coefficient=s["eta_A"],
        entropy_coefficient=s["eta_H"],
        average_reward_rate=s["average_reward_rate"],
        attenuate=s["attenuate"],
        meta_input=s["meta_input"],
    )


def learned(params):
    return {
        "W": params.cell.weight.T,
        "tau": params.cell.tau,
        "W_A": params.actor.weight,
        "W_C": params.critic.weight,
    }


@pytest.mark.parametrize("case", CASES)
def test_agent_is_the_algorithm_box(case):
    s = SETTINGS | CASES[case]
    agent = agent_with(s)
    state = agent.init(jax.random.key(0))
    # biases of readouts are zero initially
    params = eqx.tree_at(
        lambda params: params.actor.weight,
        state.params,
        replace_fn=lambda weight: weight.at[:, -1].set(0.3),
    )
    state = dataclasses.replace(state, params=params)
    feedback = params.actor.feedback.value, params.critic.feedback.value
    box = AlgorithmBox(learned(params), *feedback, s)
    begin, step = jax.jit(agent.begin), jax.jit(agent.step)
    rng = np.random.default_rng(0)

    # (7 steps, terminated), (7, truncated), (7, unfinished)
    for end_discount in (0.0, 1.0, 1.0):
        o = rng.normal(size=2)
        state, action = begin(state, jnp.asarray(o))
        box.begin(o)
        box.acted(action)
        for t in range(7):
            o, r = rng.normal(size=2), rng.normal()
            discount = end_discount if t == 6 else 1.0
            state, action, info = step(state, jnp.asarray(o), jnp.asarray(r), jnp.asarray(discount))
            assert float(info.td_error) == pytest.approx(box.step(o, r, discount), rel=1e-10)
            box.acted(action)
            for name, value in learned(state.params).items():
                np.testing.assert_allclose(value, box.theta[name], rtol=0, atol=1e-10)
    for name, value in learned(params).items():  # everything has changed
        assert np.abs(value - box.theta[name]).max() > 1e-2
    assert float(state.average_reward) == pytest.approx(box.average_reward)
