"""Pictures of worlds: each family's own, and bars for whatever has none."""

from collections.abc import Callable

from rtrrl.environments import Box, Environment, Flattened, Gymnax, TMaze, Wrapper
from rtrrl.environments.brax.adapter import Brax
from rtrrl.environments.popgym import NoisyStatelessCartPole, StatelessCartPole
from rtrrl.environments.wrappers import TimeLimitState
from rtrrl.viz.scenes import brax, classic, grids, planes
from rtrrl.viz.scenes.base import Bars as Bars
from rtrrl.viz.scenes.base import Episode as Episode
from rtrrl.viz.scenes.base import Picture as Picture
from rtrrl.viz.scenes.pixels import Pixels as Pixels
from rtrrl.viz.scenes.shapes import Scene as Scene

_GYMNAX: dict[str, Callable[[], Picture]] = {
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
"""Of worlds built without options; with options they may be of another size."""


def picture_of(environment: Environment) -> Picture:
    """How a world is drawn, by what it is inside its wrappers."""
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
            # not where a part of the board is hidden
            if environment.observation_space in (board, Flattened(inner).observation_space):
                return grids.MinAtar(channels)
    return Bars(environment.action_space)


def innermost(state: object) -> object:
    """A world's own state, out of what a `TimeLimit` adds to it."""
    while isinstance(state, TimeLimitState):
        state = state.inner
    return state
