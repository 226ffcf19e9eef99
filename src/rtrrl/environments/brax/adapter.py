"""The environments of Brax, stepped without its automatic reset.

brax is imported only when an environment is first stepped or reset: the spaces are written down
here, so that the tasks can be listed where brax is not installed.
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
"""The physics engines."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """The sizes of observation and action, and which entries are positions and velocities.

    A position does not depend on the velocities q̇ of the joints; a velocity is 0 where they are;
    an entry that is neither (a torque) is in no list.
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
    # seven angles; their velocities; positions of hand, object and goal
    "pusher": Layout(23, 7, (*range(7), *range(14, 23)), range(7, 14)),
    # the others do not contain the position of the body along the ground
    "hopper": Layout(11, 3, range(5), range(5, 11)),
    "walker2d": Layout(17, 6, range(8), range(8, 17)),
    "halfcheetah": Layout(17, 6, range(8), range(8, 17)),
    "ant": Layout(27, 8, range(13), range(13, 27)),
    # joints; inertia and mass of the links, 10 numbers each; their velocities, 6 each; and last the
    # torques, which are neither
    "humanoid": Layout(244, 17, (*range(22), *range(45, 155)), (*range(22, 45), *range(155, 221))),
}
"""The environments that all backends can step. Brax's swimmer fails with the JAX required here."""


class Brax(Environment):
    """A Brax environment.

    Brax's `done` is always a true end (a fall) and becomes discount 0. There is no time limit:
    `TimeLimit` adds one. Brax's automatic reset, which always returns to the same first state, is
    not used: every reset draws a new state from its key. Steps are deterministic.

    Only the physics part of Brax's state is carried; nothing else has an effect on a step. Numbers
    that are not finite are passed on unchanged. Actions are from −1 to 1 at every actuator.

    **Arguments:** `id`, Brax's own name; `backend`, the physics engine, one of `BACKENDS`.

    **Raises** `UnknownNameError` where there is no such environment or backend. `reset` and `step`
    raise `RtrrlError` where brax is not installed.

    Everything is static: the environment's constants are compiled in.

    Source: Freeman et al., "Brax: a differentiable physics engine for large scale rigid body
    simulation", 2021.
    """

    id: str = eqx.field(static=True)
    backend: str = eqx.field(static=True, default="spring")

    def __check_init__(self):
        if self.id not in LAYOUTS:
            raise UnknownNameError("Brax environment", self.id, LAYOUTS)
        if self.backend not in BACKENDS:
            raise UnknownNameError("Brax backend", self.backend, BACKENDS)

    @property
    def name(self) -> str:
        return f"{self.id}-{self.backend}"

    @property
    def observation_space(self) -> Box:
        return Box.of(-jnp.inf, jnp.inf, (LAYOUTS[self.id].observed,))

    @property
    def action_space(self) -> Box:
        return Box.of(-1, 1, (LAYOUTS[self.id].actions,))

    def reset(self, key: Key) -> tuple[Any, Float[Array, " observed"]]:
        with jax.enable_x64(False):
            state = brax_environment(self.id, self.backend).reset(key)
        return state.pipeline_state, state.obs

    def step(self, key: Key, state: Any, action: Float[Array, " actions"]) -> tuple[Any, TimeStep]:
        environment = brax_environment(self.id, self.backend)
        from brax.envs import State

        with jax.enable_x64(False):
            zero = jnp.zeros((), jnp.float32)
            before = State(state, obs=zero, reward=zero, done=zero)
            after = environment.step(before, action.astype(jnp.float32))
        return after.pipeline_state, TimeStep(
            observation=after.obs,
            reward=jnp.asarray(after.reward, jnp.float32),
            discount=1 - jnp.asarray(after.done, jnp.float32),
            last=jnp.asarray(after.done, bool),
        )


@functools.cache
def brax_environment(id: str, backend: str) -> Any:
    """Brax's own environment object; cached because it cannot be hashed."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # mujoco prints which options are missing
            import brax.envs
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise RtrrlError(
            f"{package} is not installed, which the environments of Brax need: "
            "pip install 'rtrrl[brax]'"
        ) from error
    # Inside a trace, the environment's constants must still be concrete numbers.
    with jax.ensure_compile_time_eval(), jax.enable_x64(False), _no_model_warnings():
        return brax.envs.get_environment(id, backend=backend)


@contextlib.contextmanager
def _no_model_warnings() -> Iterator[None]:
    """Suppress warnings about Brax's own models, which a user cannot change.

    MuJoCo would write its warnings into a file in the working directory.
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
