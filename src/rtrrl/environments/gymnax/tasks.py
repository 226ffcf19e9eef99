"""The environments of gymnax, by the paper's names."""

import functools
from collections.abc import Callable

from rtrrl.environments.base import Environment
from rtrrl.environments.catalogue import LONGEST, Task, task
from rtrrl.environments.gymnax.adapter import Gymnax
from rtrrl.environments.wrappers import Flattened, Masked, TruncationAsTermination

_gymnax = functools.partial(task, "gymnax")


def _make(id: str, *keep: int, random: bool = False, flat: bool = False) -> Callable:
    """A function that builds gymnax's `id`: only the entries `keep`, if any, or flattened.

    `random` says whether its steps, not only its resets, are random.
    """

    def build() -> Environment:
        environment = Gymnax(id, random=random)
        if keep:
            return Masked(environment, keep)
        return Flattened(environment) if flat else environment

    return build


def _memory_chain(length: int = 5) -> Environment:
    # An episode takes length + 1 steps: gymnax's own limit of 1000 must not end it.
    params = {"memory_length": length, "max_steps_in_episode": max(1000, length + 2)}
    return Gymnax("MemoryChain-bsuite", params=params, random=False)


def _deep_sea(size: int = 8) -> Environment:
    return Flattened(Gymnax("DeepSea-bsuite", options={"size": size}, random=False))


def _discounting_chain() -> Environment:
    # gymnax truncates at 100 steps. In bsuite that is the end, and the time left is observed.
    return TruncationAsTermination(Gymnax("DiscountingChain-bsuite", random=False))


_CART_POLE = "terminated when the pole or the cart is out of bounds, truncated at 500 steps"
_CAR = "terminated at the goal, truncated at 999 steps"
_MINATAR = "truncated at 1000 steps"

# Columns: name, how to build it, description / what is hidden, how it ends, the return of a random
# and of the best policy.
# fmt: off
TASKS: tuple[Task, ...] = (
    _gymnax("CartPole", _make("CartPole-v1"), "balance a pole on a cart",
            "nothing", _CART_POLE, None, 500.0),
    _gymnax("CartPole-pos", _make("CartPole-v1", 0, 2),
            "balance a pole on a cart, observing positions only",
            "both velocities", _CART_POLE, None, 500.0),
    _gymnax("CartPole-vel", _make("CartPole-v1", 1, 3),
            "balance a pole on a cart, observing velocities only",
            "position and angle", _CART_POLE, None, 500.0),
    _gymnax("MountainCarContinuous", _make("MountainCarContinuous-v0"),
            "swing a weak car up a hill at little cost", "nothing", _CAR),
    _gymnax("MountainCarContinuous-pos", _make("MountainCarContinuous-v0", 0),
            "swing a weak car up a hill, observing its position only", "the velocity", _CAR),
    _gymnax("MountainCarContinuous-vel", _make("MountainCarContinuous-v0", 1),
            "swing a weak car up a hill, observing its velocity only", "the position", _CAR),
    _gymnax("Acrobot", _make("Acrobot-v1"), "swing a two-link pendulum above the bar",
            "nothing", "terminated above the bar, truncated at 500 steps"),
    _gymnax("Pendulum", _make("Pendulum-v1"), "swing a pendulum up and hold it",
            "nothing", "truncated at 200 steps"),
    _gymnax("MemoryChain", _memory_chain, "MemoryChain-5, gymnax's own length",
            "a bit shown at the start", "terminated after 6 steps", 0.0, 1.0),
    _gymnax("MemoryChain-N", _memory_chain,
            "choose after N steps the action that matches a bit shown at the start",
            "a bit shown at the start", "terminated after N + 1 steps", 0.0, 1.0,
            example="MemoryChain-32", ranges=((1, LONGEST),)),
    _gymnax("DeepSea", _deep_sea, "DeepSea-8, gymnax's own depth",
            "nothing", "terminated after 8 steps", 2**-8 - 0.005, 0.99),
    _gymnax("DeepSea-N", _deep_sea,
            "explore: one of 2^N paths down leads to the treasure; each step towards it costs",
            "nothing", "terminated after N steps, the depth of the sea", 2**-8 - 0.005, 0.99,
            example="DeepSea-8", ranges=((1, 100),)),
    _gymnax("DiscountingChain", _discounting_chain,
            "the first action chooses a reward after 1, 3, 10, 30 or 100 steps",
            "nothing", "terminated after 100 steps", 1.02, 1.1),
    _gymnax("UmbrellaChain", _make("UmbrellaChain-bsuite", random=True),
            "the first action alone decides the last reward, with random rewards between",
            "nothing", "terminated after 10 steps", 0.0, 1.0),
    _gymnax("Catch", _make("Catch-bsuite", flat=True), "catch a falling ball with a paddle",
            "nothing", "terminated after 9 steps", None, 1.0),
    _gymnax("BernoulliBandit", _make("BernoulliBandit-misc", random=True),
            "find the better of two arms that pay with probability 0.1 and 0.9",
            "which arm is better", "truncated at 100 steps", 50.0),
    _gymnax("GaussianBandit", _make("GaussianBandit-misc", random=True),
            "find out whether the uncertain arm is better than 0",
            "the arm's mean", "truncated at 100 steps", -50.0),
    _gymnax("MetaMaze", _make("MetaMaze-misc", random=True),
            "find a hidden goal and return to it as often as possible",
            "all but the 3×3 cells around",
            "truncated at 200 steps, terminated if put back right onto the goal"),
    _gymnax("FourRooms", _make("FourRooms-misc", random=True),
            "walk to another room; some moves go in a random direction",
            "nothing", "terminated at the goal, truncated at 500 steps"),
    _gymnax("PointRobot", _make("PointRobot-misc", random=True),
            "find a hidden goal on a half circle and return to it",
            "the goal", "truncated at 100 steps"),
    _gymnax("Reacher", _make("Reacher-misc"), "bring the tip of a two-joint arm to a goal",
            "nothing", "truncated at 100 steps"),
    _gymnax("Swimmer", _make("Swimmer-misc"), "swim to a goal between urchins",
            "nothing", "truncated at 500 steps"),
    _gymnax("Asterix-MinAtar", _make("Asterix-MinAtar", random=True, flat=True),
            "collect gold that crosses the board and avoid enemies",
            "nothing", f"terminated by an enemy, {_MINATAR}"),
    _gymnax("Breakout-MinAtar", _make("Breakout-MinAtar", flat=True),
            "hit a wall of bricks with a ball and a paddle",
            "nothing", f"terminated when the ball is lost, {_MINATAR}"),
    _gymnax("Freeway-MinAtar", _make("Freeway-MinAtar", random=True, flat=True),
            "cross a road of eight lanes again and again", "nothing", "truncated at 2500 steps"),
    _gymnax("Seaquest-MinAtar", _make("Seaquest-MinAtar", random=True, flat=True),
            "rescue divers from among fish and submarines before the air is used up",
            "nothing", f"terminated by a hit or without air, {_MINATAR}"),
    _gymnax("SpaceInvaders-MinAtar", _make("SpaceInvaders-MinAtar", flat=True),
            "shoot at aliens that approach and shoot back",
            "nothing", f"terminated by a bullet or an alien, {_MINATAR}"),
)
# fmt: on
