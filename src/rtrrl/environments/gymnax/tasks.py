"""The worlds of gymnax, by the paper's names."""

import functools
from collections.abc import Callable

from rtrrl.environments.base import Environment
from rtrrl.environments.catalogue import LONGEST, Task, task
from rtrrl.environments.gymnax.adapter import Gymnax
from rtrrl.environments.wrappers import Flattened, Masked, TruncationAsTermination

_gymnax = functools.partial(task, "gymnax")


def _world(id: str, random: bool = False) -> Callable[[], Environment]:
    """How to build gymnax's `id`; `random` says whether its steps, not only its resets, are."""
    return lambda: Gymnax(id, random=random)


def _masked(id: str, *keep: int) -> Callable[[], Environment]:
    return lambda: Masked(Gymnax(id, random=False), keep)


def _memory_chain(length: int = 5) -> Environment:
    # An episode takes length + 1 steps: keep gymnax's own cap of 1000 out of its way.
    params = {"memory_length": length, "max_steps_in_episode": max(1000, length + 2)}
    return Gymnax("MemoryChain-bsuite", params=params, random=False)


def _deep_sea(size: int = 8) -> Environment:
    return Flattened(Gymnax("DeepSea-bsuite", options={"size": size}, random=False))


def _min_atar(id: str, random: bool) -> Callable[[], Environment]:
    return lambda: Flattened(Gymnax(id, random=random))


def _discounting_chain() -> Environment:
    # gymnax truncates at 100 steps. In bsuite that is the end, and the time left is observed.
    return TruncationAsTermination(Gymnax("DiscountingChain-bsuite", random=False))


_CART_ENDS = "terminated when the pole or the cart is out of bounds, truncated at 500 steps"
_CAR_ENDS = "terminated at the goal, truncated at 999 steps"

TASKS: tuple[Task, ...] = (
    _gymnax(
        "CartPole",
        _world("CartPole-v1"),
        "balance a pole on a cart",
        ends=_CART_ENDS,
        optimal=500.0,
    ),
    _gymnax(
        "CartPole-pos",
        _masked("CartPole-v1", 0, 2),
        "balance a pole on a cart, seeing positions alone",
        hidden="both velocities",
        ends=_CART_ENDS,
        optimal=500.0,
    ),
    _gymnax(
        "CartPole-vel",
        _masked("CartPole-v1", 1, 3),
        "balance a pole on a cart, seeing velocities alone",
        hidden="position and angle",
        ends=_CART_ENDS,
        optimal=500.0,
    ),
    _gymnax(
        "MountainCarContinuous",
        _world("MountainCarContinuous-v0"),
        "swing a weak car up a hill at little cost",
        ends=_CAR_ENDS,
    ),
    _gymnax(
        "MountainCarContinuous-pos",
        _masked("MountainCarContinuous-v0", 0),
        "swing a weak car up a hill, seeing its position alone",
        hidden="the velocity",
        ends=_CAR_ENDS,
    ),
    _gymnax(
        "MountainCarContinuous-vel",
        _masked("MountainCarContinuous-v0", 1),
        "swing a weak car up a hill, seeing its velocity alone",
        hidden="the position",
        ends=_CAR_ENDS,
    ),
    _gymnax(
        "Acrobot",
        _world("Acrobot-v1"),
        "swing a two-link pendulum above the bar",
        ends="terminated above the bar, truncated at 500 steps",
    ),
    _gymnax(
        "Pendulum",
        _world("Pendulum-v1"),
        "swing a pendulum up and hold it",
        ends="truncated at 200 steps",
    ),
    _gymnax(
        "MemoryChain",
        _memory_chain,
        "MemoryChain-5, gymnax's own length",
        hidden="a bit shown at the start",
        ends="terminated after 6 steps",
        random=0.0,
        optimal=1.0,
    ),
    _gymnax(
        "MemoryChain-N",
        _memory_chain,
        "say after N steps which bit was shown at the start",
        hidden="a bit shown at the start",
        ends="terminated after N + 1 steps",
        example="MemoryChain-32",
        ranges=((1, LONGEST),),
        random=0.0,
        optimal=1.0,
    ),
    _gymnax(
        "DeepSea",
        _deep_sea,
        "DeepSea-8, gymnax's own depth",
        ends="terminated after 8 steps",
        random=2**-8 - 0.005,
        optimal=0.99,
    ),
    _gymnax(
        "DeepSea-N",
        _deep_sea,
        "explore: one of 2^N paths down finds the treasure, and each step towards it costs",
        ends="terminated after N steps, the depth of the sea",
        example="DeepSea-8",
        ranges=((1, 100),),
        random=2**-8 - 0.005,
        optimal=0.99,
    ),
    _gymnax(
        "DiscountingChain",
        _discounting_chain,
        "the first action chooses a reward after 1, 3, 10, 30 or 100 steps",
        ends="terminated after 100 steps",
        random=1.02,
        optimal=1.1,
    ),
    _gymnax(
        "UmbrellaChain",
        _world("UmbrellaChain-bsuite", random=True),
        "the first action alone decides the last reward, with random rewards between",
        ends="terminated after 10 steps",
        random=0.0,
        optimal=1.0,
    ),
    _gymnax(
        "Catch",
        lambda: Flattened(Gymnax("Catch-bsuite", random=False)),
        "catch a falling ball with a paddle",
        ends="terminated after 9 steps",
        optimal=1.0,
    ),
    _gymnax(
        "BernoulliBandit",
        _world("BernoulliBandit-misc", random=True),
        "find the better of two arms that pay with probability 0.1 and 0.9",
        hidden="which arm is better",
        ends="truncated at 100 steps",
        random=50.0,
    ),
    _gymnax(
        "GaussianBandit",
        _world("GaussianBandit-misc", random=True),
        "find out whether the uncertain arm is better than 0",
        hidden="the arm's mean",
        ends="truncated at 100 steps",
        random=-50.0,
    ),
    _gymnax(
        "MetaMaze",
        _world("MetaMaze-misc", random=True),
        "find a hidden goal and return to it as often as possible",
        hidden="all but the 3×3 cells around",
        ends="truncated at 200 steps, terminated if put back right onto the goal",
    ),
    _gymnax(
        "FourRooms",
        _world("FourRooms-misc", random=True),
        "walk to another room on feet that slip",
        ends="terminated at the goal, truncated at 500 steps",
    ),
    _gymnax(
        "PointRobot",
        _world("PointRobot-misc", random=True),
        "find a hidden goal on a half circle and return to it",
        hidden="the goal",
        ends="truncated at 100 steps",
    ),
    _gymnax(
        "Reacher",
        _world("Reacher-misc"),
        "bring the tip of a two-joint arm to a goal",
        ends="truncated at 100 steps",
    ),
    _gymnax(
        "Swimmer",
        _world("Swimmer-misc"),
        "swim to a goal between urchins",
        ends="truncated at 500 steps",
    ),
    _gymnax(
        "Asterix-MinAtar",
        _min_atar("Asterix-MinAtar", random=True),
        "collect gold that crosses the board and keep away from enemies",
        ends="terminated by an enemy, truncated at 1000 steps",
    ),
    _gymnax(
        "Breakout-MinAtar",
        _min_atar("Breakout-MinAtar", random=False),
        "hit a wall of bricks with a ball and a paddle",
        ends="terminated when the ball is lost, truncated at 1000 steps",
    ),
    _gymnax(
        "Freeway-MinAtar",
        _min_atar("Freeway-MinAtar", random=True),
        "cross a road of eight lanes again and again",
        ends="truncated at 2500 steps",
    ),
    _gymnax(
        "Seaquest-MinAtar",
        _min_atar("Seaquest-MinAtar", random=True),
        "rescue divers from among fish and submarines before the air is used up",
        ends="terminated by a hit or without air, truncated at 1000 steps",
    ),
    _gymnax(
        "SpaceInvaders-MinAtar",
        _min_atar("SpaceInvaders-MinAtar", random=False),
        "shoot at aliens that come nearer and shoot back",
        ends="terminated by a bullet or an alien, truncated at 1000 steps",
    ),
)
