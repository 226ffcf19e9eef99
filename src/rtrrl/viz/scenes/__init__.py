"""Scene renderers: one for each family of environments, and bars for all others."""

from collections.abc import Callable
from typing import Any

from rtrrl.environments import Box, Environment, Flattened, Gymnax, TMaze, Wrapper
from rtrrl.environments.brax.adapter import Brax
from rtrrl.environments.popgym import NoisyStatelessCartPole, StatelessCartPole
from rtrrl.environments.wrappers import TimeLimitState
from rtrrl.viz.scenes import brax, classic, grids, planes
from rtrrl.viz.scenes.base import Bars as Bars
from rtrrl.viz.scenes.base import Episode as Episode
from rtrrl.viz.scenes.base import SceneRenderer as SceneRenderer
from rtrrl.viz.scenes.pixels import Pixels as Pixels
from rtrrl.viz.scenes.shapes import Scene as Scene

_GYMNAX: dict[str, Callable[[], SceneRenderer]] = {
    "CartPole-v1": classic.CartPole,
    "Acrobot-v1": classic.Acrobot,
    "Pendulum-v1": classic.Pendulum,
    "MountainCar-v0": lambda: classic.MountainCar(0.5),
    "MountainCarContinuous-v0": lambda: classic.MountainCar(0.45),
    "Catch-bsuite": grids.Catch,
    "FourRooms-misc": lambda: grids.Maze(grids.four_rooms()),
    "MetaMaze-misc": lambda: grids.Maze(grids.pillars(), sight=1),
    "Reacher-misc": planes.Reacher,
    "Swimmer-misc": planes.Swimmer,
    "PointRobot-misc": planes.PointRobot,
}
"""For environments built without options, which may change their size."""


def renderer_for(environment: Environment) -> SceneRenderer:
    """The renderer of an environment, chosen by what is inside its wrappers."""
    inner = environment
    while isinstance(inner, Wrapper):
        inner = inner.env
    match inner:
        case TMaze(length=length):
            return grids.TMaze(length)
        case StatelessCartPole() | NoisyStatelessCartPole():
            return classic.CartPole()
        case Brax(id=id, backend=backend):
            return brax.Bodies(id, backend)
        case Gymnax(id="DeepSea-bsuite", options=options):
            return grids.DeepSea(dict(options).get("size", 8))
        case Gymnax(id=id, options=()) if id in _GYMNAX:
            return _GYMNAX[id]()
        case Gymnax(observation_space=Box(shape=(10, 10, channels)) as board):
            # only where the whole board is observed
            if environment.observation_space in (board, Flattened(inner).observation_space):
                return grids.MinAtar(channels)
    return Bars(environment.action_space)


def unwrapped(env_state: Any) -> Any:
    """The state of the innermost environment, without what `TimeLimit` adds."""
    while isinstance(env_state, TimeLimitState):
        env_state = env_state.inner
    return env_state
