"""The evaluation protocol: a frozen agent plays an exact number of whole episodes."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.agents import Agent
from rtrrl.environments import Environment
from rtrrl.types import Key


def play_episode(player: Agent, environment: Environment, key: Key) -> Float[Array, ""]:
    """The return of one whole episode, the terminating reward included, nothing after it.

    The player must not learn (`agent.frozen(state)`); the environment must end.
    """
    life_key, start_key, world_key = jax.random.split(key, 3)
    world, observation = environment.reset(start_key)
    state, action = player.begin(player.init(life_key), observation)

    def step(carry):
        state, world, action, total, time, _ = carry
        world, seen = environment.step(jax.random.fold_in(world_key, time), world, action)
        state, action, _ = player.step(state, seen.observation, seen.reward, seen.discount)
        return state, world, action, total + seen.reward, time + 1, seen.last

    start = (state, world, action, jnp.zeros(()), jnp.zeros((), jnp.int32), jnp.array(False))
    return jax.lax.while_loop(lambda carry: ~carry[-1], step, start)[3]


@eqx.filter_jit
def evaluate(
    agent: Agent,
    state: Any,
    environment: Environment,
    key: Key,
    episodes: int = 10,
    greedy: bool = False,
) -> Float[Array, "episodes"]:
    """The returns of exactly `episodes` whole episodes of the agent as it is now.

    Every episode has a stream of its own and runs to its end, so that short ones are not
    favoured. Actions are sampled, or the policy's mode if `greedy`.
    """
    player = agent.frozen(state, greedy)
    keys = jax.random.split(key, episodes)
    return jax.vmap(lambda key: play_episode(player, environment, key))(keys)
