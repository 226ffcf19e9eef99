import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest


@functools.cache
def _episode(env, policy, steps):
    def step(carry, time):
        state, observation, memory, key = carry
        key, key_step = jax.random.split(key)
        action, memory = policy(time, observation, memory)
        state, timestep = env.step(key_step, state, action)
        return (state, timestep.observation, memory, key), timestep

    @jax.jit
    def episode(key):
        key_reset, key = jax.random.split(key)
        state, first = env.reset(key_reset)
        carry = (state, first, jnp.zeros((), jnp.int32), key)
        return first, jax.lax.scan(step, carry, jnp.arange(steps))[1]

    return episode


def _play(env, policy, steps, seed=0):
    episode = _episode(env, policy, steps)
    first, timesteps = jax.tree.map(np.asarray, episode(jax.random.key(seed)))
    assert timesteps.last.any(), f"no end within {steps} steps"
    length = int(timesteps.last.argmax()) + 1
    cut = jax.tree.map(lambda leaf: leaf[:length], timesteps)
    return np.concatenate([first[None], cut.observation]), cut.reward, cut.discount, cut.last


@pytest.fixture
def play() -> Callable:
    """A function that runs one episode, which must end within `steps` steps.

    `play(env, policy, steps, seed)` with `policy(time, observation, memory) -> action, memory`
    (the memory starts as the integer 0) returns the observations, first and final ones included,
    and the rewards, discounts and `last` of the steps taken.
    """
    return _play
