"""The T-maze: remember at the end of a corridor a sign from its start."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rtrrl.environments.base import Environment
from rtrrl.environments.spaces import Box, Discrete
from rtrrl.errors import RtrrlError
from rtrrl.types import Key, TimeStep

NORTH, EAST, SOUTH, WEST = range(4)


class TMazeState(eqx.Module):
    """The position in the corridor (0 … length), and whether the goal lies north."""

    position: Int[Array, ""]
    north: Bool[Array, ""]


class TMaze(Environment):
    """A corridor from the start (position 0) east to a T-junction (position `length`).

    The observation is the sign at the start, [0, 1, 1] if the goal lies north of the junction and
    [1, 1, 0] if south; [1, 0, 1] in the corridor; [0, 1, 0] at the junction; zeros after the turn.
    Both sides are equally likely.

    Actions: 0 north, 1 east, 2 south, 3 west. Rewards: +4 for the turn to the goal, −0.1 for the
    wrong turn, −0.1 for every step that runs into a wall (east at the junction is one), else 0.
    Either turn terminates. There is no time limit here: `TimeLimit` adds one. Steps are
    deterministic.

    The best policy goes east `length` times and turns: return 4 in length + 1 steps.

    **Raises** `RtrrlError` where the length is below 1.

    Source: Bakker, "Reinforcement Learning with Long Short-Term Memory", NIPS 2001.
    """

    length: int = eqx.field(static=True)

    def __check_init__(self):
        if self.length < 1:
            raise RtrrlError(f"the corridor of a T-maze is at least 1 long, not {self.length}")

    @property
    def observation_space(self) -> Box:
        return Box.of(0, 1, (3,))

    @property
    def action_space(self) -> Discrete:
        return Discrete(4)

    def reset(self, key: Key) -> tuple[TMazeState, Float[Array, "3"]]:
        state = TMazeState(jnp.zeros((), jnp.int32), jax.random.bernoulli(key))
        return state, self._observe(state)

    def step(
        self, key: Key, state: TMazeState, action: Int[Array, ""]
    ) -> tuple[TMazeState, TimeStep]:
        vertical = (action == NORTH) | (action == SOUTH)
        turned = vertical & (state.position == self.length)
        found = turned & ((action == NORTH) == state.north)
        ahead = jnp.int32(action == EAST) - jnp.int32(action == WEST)
        position = jnp.clip(state.position + ahead, 0, self.length)
        bumped = position == state.position  # true of a turn as well
        state = TMazeState(position, state.north)
        return state, TimeStep(
            observation=jnp.where(turned, 0, self._observe(state)),
            reward=jnp.where(found, 4, jnp.where(bumped, -0.1, 0)).astype(jnp.float32),
            discount=1 - turned.astype(jnp.float32),
            last=turned,
        )

    def _observe(self, state: TMazeState) -> Float[Array, "3"]:
        start, junction = state.position == 0, state.position == self.length
        # The walls of a cell: west, along the corridor, and east.
        first = jnp.where(start, ~state.north, ~junction)
        middle = start | junction
        third = jnp.where(start, state.north, ~junction)
        return jnp.stack([first, middle, third]).astype(jnp.float32)
