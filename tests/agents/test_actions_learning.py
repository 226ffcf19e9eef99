"""Agents learn actions beside one bound, and integers together with numbers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl import RTRRL
from rtrrl.cells import MemorylessConfig
from rtrrl.environments import Box, Environment, MultiDiscrete, Product
from rtrrl.gradients import Immediate
from rtrrl.types import TimeStep
from tests.helpers import train_seeds

HALF = Box.of(10, np.inf, (1,))


class Target(Environment):
    """Reward −|a − target|, −5 at least, of the last entry; integers are rewarded if they are 1."""

    space: Box | Product = eqx.field(static=True)
    target: float = eqx.field(static=True)

    @property
    def observation_space(self):
        return Box.of(1, 1, (1,))

    @property
    def action_space(self):
        return self.space

    def reset(self, key):
        return None, jnp.ones(1)

    def step(self, key, state, action):
        reward = jnp.sum(action[:-1] == 1) - jnp.minimum(jnp.abs(action[-1] - self.target), 5.0)
        return state, TimeStep(jnp.ones(1), reward, jnp.zeros(()), jnp.ones((), bool))


@pytest.mark.parametrize(
    ("space", "action"),
    [
        (HALF, [12.0]),
        (HALF, [10.2]),
        (Box.of(-np.inf, 3, (1,)), [-1.0]),
        (Product(MultiDiscrete((3,)), HALF), [1.0, 12.0]),
    ],
    ids=["above a bound", "at a bound", "below a bound", "with an integer"],
)
def test_the_best_action_is_learned(space, action):
    environment = Target(space, action[-1])
    agent = RTRRL.default(environment, cell=MemorylessConfig(), rule=Immediate())
    _, states = train_seeds(agent, environment, 4000)
    learned = jax.vmap(agent.policy.mode)(states.last.outputs)
    np.testing.assert_allclose(learned, np.tile(action, (4, 1)), atol=0.15)
