"""Delayed recall: one cue among K, a delay, and a query for the cue."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rtrrl.environments.base import Environment
from rtrrl.environments.spaces import Box, Discrete
from rtrrl.errors import RtrrlError
from rtrrl.types import Key, TimeStep


class DelayedRecallState(eqx.Module):
    """The cue, and the number of steps since it was shown."""

    cue: Int[Array, ""]
    time: Int[Array, ""]


class DelayedRecall(Environment):
    """A cue is shown once; after `delay` steps without it the action must name it.

    The observation has `cues` + 2 entries, [one-hot, cue flag, query flag]:

        time 0                the cue one-hot, cue flag 1
        time 1 … delay        zeros; with probability `distraction` a random one-hot instead
        time delay + 1        zeros, query flag 1
        time delay + 2        zeros (the final observation)

    The action at the query has the reward +1 if it names the cue, −1 if not, and the episode
    terminates after delay + 2 steps. Every other action has no effect and the reward 0. The best
    return is 1, a random policy's mean is 2/cues − 1, and so is that of any policy without memory.

    **Raises** `RtrrlError` where there are fewer than 2 cues, the delay is negative, or the
    distraction is not a probability.

    Source: `MemoryChain` of bsuite (Osband et al. 2020), with K cues, distraction and no clock.
    """

    delay: int = eqx.field(static=True)
    cues: int = eqx.field(static=True, default=2)
    distraction: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        if self.cues < 2:
            raise RtrrlError(f"delayed recall needs at least 2 cues, not {self.cues}")
        if self.delay < 0:
            raise RtrrlError(f"the delay of a recall is at least 0 steps, not {self.delay}")
        if not 0 <= self.distraction <= 1:
            raise RtrrlError(f"the distraction is a probability, not {self.distraction}")

    @property
    def observation_space(self) -> Box:
        return Box.of(0, 1, (self.cues + 2,))

    @property
    def action_space(self) -> Discrete:
        return Discrete(self.cues)

    def reset(self, key: Key) -> tuple[DelayedRecallState, Float[Array, " {self.cues}+2"]]:
        cue = jax.random.randint(key, (), 0, self.cues, jnp.int32)
        flags = jnp.array([1, 0], jnp.float32)
        observation = jnp.concatenate([jax.nn.one_hot(cue, self.cues, dtype=jnp.float32), flags])
        return DelayedRecallState(cue, jnp.zeros((), jnp.int32)), observation

    def step(
        self, key: Key, state: DelayedRecallState, action: Int[Array, ""]
    ) -> tuple[DelayedRecallState, TimeStep]:
        queried = state.time == self.delay + 1
        reward = jnp.where(action == state.cue, 1, -1)
        state = DelayedRecallState(state.cue, state.time + 1)
        query = (state.time == self.delay + 1).astype(jnp.float32)
        return state, TimeStep(
            observation=jnp.concatenate([self._cue_part(key, state.time), jnp.stack([0, query])]),
            reward=jnp.where(queried, reward, 0).astype(jnp.float32),
            discount=1 - queried.astype(jnp.float32),
            last=queried,
        )

    def _cue_part(self, key: Key, time: Int[Array, ""]) -> Float[Array, " {self.cues}"]:
        if self.distraction == 0:
            return jnp.zeros(self.cues, jnp.float32)
        key_whether, key_which = jax.random.split(key)
        shown = jax.random.bernoulli(key_whether, self.distraction) & (time <= self.delay)
        which = jax.random.randint(key_which, (), 0, self.cues, jnp.int32)
        return jax.nn.one_hot(jnp.where(shown, which, -1), self.cues, dtype=jnp.float32)
