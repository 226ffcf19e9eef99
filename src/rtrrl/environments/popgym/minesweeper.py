"""Minesweeper on a board that is not observed."""

import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Int8

from rtrrl.environments.base import Environment
from rtrrl.environments.popgym.shuffling import shuffled
from rtrrl.environments.spaces import Box, MultiDiscrete
from rtrrl.errors import RtrrlError
from rtrrl.types import Key, TimeStep


class MinesweeperState(eqx.Module):
    """The board row by row (mines, numbers, viewed squares), and the number of steps."""

    mined: Bool[Array, "squares"]
    numbers: Int8[Array, "squares"]
    """The number of mines on the square itself and on the up to eight around it."""
    viewed: Bool[Array, "squares"]
    time: Int[Array, ""]


class Minesweeper(Environment):
    """View all squares without a mine; only the number on the last square is observed.

    The number counts the mines on the square itself and on its neighbours. The observation is that
    number, one-hot (min(mines + 1, 10) entries); it is 0 at the start. Action: [row, column]. With
    T = squares − mines, the rewards are

        a new square without a mine    1/T
        a square viewed before         −1/2 / (T − 2)
        a mine                         −1/2 − 1/T

    The episode terminates at a mine or once all squares without one are viewed, and is otherwise
    truncated after T steps. A policy that never errs returns 1, but the first square is a gamble.

    The observation does not say which square was viewed: an agent needs its last action as an
    input. Steps are deterministic.

    POPGym's levels: (size, mines) = ((4, 4), 2), ((6, 6), 6) and ((8, 8), 10).

    **Raises** `RtrrlError` where the mines are none or leave fewer than 3 squares.

    Source: POPGym (Morad et al., ICLR 2023), as in the package popgym 1.0.7.
    """

    size: tuple[int, int] = eqx.field(static=True, default=(4, 4))
    mines: int = eqx.field(static=True, default=2)

    def __check_init__(self):
        most = math.prod(self.size) - 3
        if not 1 <= self.mines <= most:
            rows, columns = self.size
            raise RtrrlError(
                f"a board of {rows}×{columns} squares has from 1 to {most} mines, not {self.mines}"
            )

    @property
    def steps(self) -> int:
        """T, the number of squares without a mine."""
        return math.prod(self.size) - self.mines

    @property
    def observation_space(self) -> Box:
        return Box.of(0, 1, (self._kinds,))

    @property
    def action_space(self) -> MultiDiscrete:
        return MultiDiscrete(self.size)

    def reset(self, key: Key) -> tuple[MinesweeperState, Float[Array, " observed"]]:
        squares = math.prod(self.size)
        mined = shuffled(key, np.repeat([1, 0], [self.mines, self.steps])) > 0
        numbers = _mine_counts(mined.reshape(self.size)).ravel()
        state = MinesweeperState(mined, numbers, jnp.zeros(squares, bool), jnp.int32(0))
        return state, self._observe(jnp.zeros((), jnp.int8))

    def step(
        self, key: Key, state: MinesweeperState, action: Int[Array, "2"]
    ) -> tuple[MinesweeperState, TimeStep]:
        square = action[0] * self.size[1] + action[1]
        mine, again = state.mined[square], state.viewed[square]
        # A comparison, not a scatter, which is a loop of its own on a CPU.
        here = jnp.arange(state.viewed.size) == square
        viewed = state.viewed | (here & ~mine)
        time = state.time + 1
        over = mine | (viewed | state.mined).all()
        success = 1 / self.steps
        reward = jnp.where(again, -0.5 / (self.steps - 2), success)
        return MinesweeperState(state.mined, state.numbers, viewed, time), TimeStep(
            observation=self._observe(state.numbers[square]),
            reward=jnp.where(mine, -0.5 - success, reward).astype(jnp.float32),
            discount=1 - over.astype(jnp.float32),
            last=over | (time == self.steps),
        )

    @property
    def _kinds(self) -> int:
        return min(self.mines + 1, 10)

    def _observe(self, number: Int8[Array, ""]) -> Float[Array, " observed"]:
        return jax.nn.one_hot(number, self._kinds, dtype=jnp.float32)


def _mine_counts(mined: Bool[Array, "rows columns"]) -> Int8[Array, "rows columns"]:
    """The number of mines among each square and its up to eight neighbours."""
    rows, columns = mined.shape
    padded = jnp.pad(mined.astype(jnp.int8), 1)
    shifts = itertools.product(range(3), repeat=2)
    shifted = [padded[i : i + rows, j : j + columns] for i, j in shifts]
    return jnp.stack(shifted).sum(0, dtype=jnp.int8)
