"""The worlds of Brax, stepped without its automatic reset.

brax is imported only when a world is first stepped or reset: what a world shows and takes is
written down here, so that it can be listed where brax is not installed.
"""

import contextlib
import dataclasses
import functools
import io
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.environments.base import Environment
from rtrrl.environments.spaces import Box
from rtrrl.errors import RtrrlError, UnknownNameError
from rtrrl.types import Key, TimeStep

BACKENDS = ("spring", "positional", "generalized", "mjx")
"""What can compute the physics."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """How many entries a world's observation and action have, and which of them say what.

    A position does not change with the velocities q̇ of the joints, a velocity is 0 where they are;
    what is neither (a torque) is in no list.
    """

    observed: int
    actions: int
    positions: Sequence[int]
    velocities: Sequence[int]


LAYOUTS = {
    # cart and angle
    "inverted_pendulum": Layout(4, 1, range(2), range(2, 4)),
    # cart, sines and cosines of both angles
    "inverted_double_pendulum": Layout(8, 1, range(5), range(5, 8)),
    # cosines and sines of both angles, the target; the tip's velocity; from target to tip
    "reacher": Layout(11, 2, (*range(6), *range(8, 11)), range(6, 8)),
    # seven angles; their velocities; where hand, object and goal are
    "pusher": Layout(23, 7, (*range(7), *range(14, 23)), range(7, 14)),
    # in the rest, where the body is along the ground is not shown at all
    "hopper": Layout(11, 3, range(5), range(5, 11)),
    "walker2d": Layout(17, 6, range(8), range(8, 17)),
    "halfcheetah": Layout(17, 6, range(8), range(8, 17)),
    "ant": Layout(27, 8, range(13), range(13, 27)),
    # joints; inertia and mass of the links, 10 numbers each; their velocities, 6 each; and last the
    # torques, which are neither
    "humanoid": Layout(244, 17, (*range(22), *range(45, 155)), (*range(22, 45), *range(155, 221))),
}
"""The worlds that all backends can step. Brax's swimmer fails with the versions of JAX we allow."""


class Brax(Environment):
    """A Brax world behind the protocol of `Environment`.

    Brax's `done` is always a true end (a fall) and becomes discount 0. There is no time limit:
    wrap the world in `TimeLimit`. Its own automatic reset, which goes back to one and the same
    first state, is not used: every reset draws a new one from its key; steps draw nothing.

    Of Brax's state only that of the physics is carried; nothing else has an influence on a step.
    What is not finite is passed on as it is.

    **Arguments:** `id`, Brax's own name; `backend`, what computes the physics, one of `BACKENDS`.

    **Raises** `UnknownNameError` where there is no such world or backend. `reset` and `step` raise
    `RtrrlError` where brax is not installed.

    Everything is static: the world's constants are compiled in.

    Source: Freeman et al., "Brax: a differentiable physics engine for large scale rigid body
    simulation", 2021.
    """

    id: str = eqx.field(static=True)
    backend: str = eqx.field(static=True, default="spring")

    def __check_init__(self):
        if self.id not in LAYOUTS:
            raise UnknownNameError("Brax world", self.id, LAYOUTS)
        if self.backend not in BACKENDS:
            raise UnknownNameError("Brax backend", self.backend, BACKENDS)

    @property
    def name(self) -> str:
        """Brax's own name and the backend."""
        return f"{self.id}-{self.backend}"

    @property
    def observation_space(self) -> Box:
        """Real numbers without bounds."""
        return Box.of(-jnp.inf, jnp.inf, (LAYOUTS[self.id].observed,))

    @property
    def action_space(self) -> Box:
        """From −1 to 1 at every actuator, at all worlds and backends."""
        return Box.of(-1, 1, (LAYOUTS[self.id].actions,))

    def reset(self, key: Key) -> tuple[Any, Float[Array, " observed"]]:
        """The state of the physics and first observation of a new episode."""
        with jax.enable_x64(False):
            begun = world_of_brax(self.id, self.backend).reset(key)
        return begun.pipeline_state, begun.obs

    def step(self, key: Key, state: Any, action: Float[Array, " actions"]) -> tuple[Any, TimeStep]:
        """One step, the real final observation included; the key is not used."""
        world = world_of_brax(self.id, self.backend)
        from brax.envs import State

        with jax.enable_x64(False):
            nothing = jnp.zeros((), jnp.float32)
            now = State(state, obs=nothing, reward=nothing, done=nothing)
            after = world.step(now, action.astype(jnp.float32))
        return after.pipeline_state, TimeStep(
            observation=after.obs,
            reward=jnp.asarray(after.reward, jnp.float32),
            discount=1 - jnp.asarray(after.done, jnp.float32),
            last=jnp.asarray(after.done, bool),
        )


@functools.cache
def world_of_brax(id: str, backend: str) -> Any:
    """Brax's world; kept here because it cannot be hashed."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # mujoco prints what it can do without
            import brax.envs
    except ModuleNotFoundError as error:
        raise RtrrlError(
            f"{error.name} is not installed, which the worlds of Brax need: "
            "pip install 'rtrrl[brax]'"
        ) from error
    # Called inside a trace, the world's constants must still be numbers.
    with jax.ensure_compile_time_eval(), jax.enable_x64(False), _unsaid():
        return brax.envs.get_environment(id, backend=backend)


@contextlib.contextmanager
def _unsaid() -> Iterator[None]:
    """Without the warnings about Brax's own models, which a user can do nothing about.

    MuJoCo would write its own into a file in the working directory.
    """
    from mujoco import (
        get_mju_user_warning,  # pyright: ignore[reportAttributeAccessIssue] - not in its stubs
        set_mju_user_warning,  # pyright: ignore[reportAttributeAccessIssue]
    )

    handler = get_mju_user_warning()
    set_mju_user_warning(lambda _: None)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Brax System", UserWarning)
            yield
    finally:
        set_mju_user_warning(handler)
