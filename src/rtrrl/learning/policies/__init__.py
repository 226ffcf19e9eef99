"""Distributions over actions, as functions of the actor's outputs."""

from collections.abc import Callable
from typing import Any

from rtrrl.environments.spaces import Box, Discrete, MultiDiscrete, Product, Space
from rtrrl.errors import UnsupportedSpaceError
from rtrrl.learning.policies.base import Policy
from rtrrl.learning.policies.categorical import Categorical, Factored
from rtrrl.learning.policies.gaussian import (
    SCORES,
    SPREADS,
    Gaussian,
    GlobalSpread,
    PlainScore,
    ScoreEstimator,
    Spread,
    StateSpread,
    VarianceScaledScore,
)
from rtrrl.learning.policies.joint import Joint
from rtrrl.learning.policies.noise import NOISES, AutoregressiveNoise, NoiseProcess, WhiteNoise
from rtrrl.utils.registry import Registry


def policy_for(space: Any) -> Policy:
    """The natural policy for an action space.

    **Raises** `UnsupportedSpaceError` where it is not a `Discrete`, `MultiDiscrete`, flat `Box` or
    `Product` of the last two.
    """
    match space:
        case Discrete(n):
            return Categorical(n)
        case MultiDiscrete(sizes):
            return Factored(sizes)
        case Box(shape=(_,), low=low, high=high):
            return Gaussian(low, high)
        case Product(MultiDiscrete(sizes), Box(shape=(_,), low=low, high=high)):
            return Joint(Factored(sizes), Gaussian(low, high))
    raise UnsupportedSpaceError(
        f"the action space {space} is not supported: expected Discrete, MultiDiscrete, a flat Box, "
        "or a Product of the last two"
    )


def _fitting(kind: type[Policy]) -> Callable[[Space], Policy]:
    def make(space: Space) -> Policy:
        policy = policy_for(space)
        if not isinstance(policy, kind):
            raise UnsupportedSpaceError(
                f"a {kind.__name__} policy does not fit {space}: use {type(policy).__name__}"
            )
        return policy

    return make


POLICIES: Registry[Policy] = Registry(
    "policy",
    {
        "categorical": _fitting(Categorical),
        "factored": _fitting(Factored),
        "gaussian": _fitting(Gaussian),
        "joint": _fitting(Joint),
    },
)
"""The policies by name; a factory takes the action space."""

__all__ = [
    "NOISES",
    "POLICIES",
    "SCORES",
    "SPREADS",
    "AutoregressiveNoise",
    "Categorical",
    "Factored",
    "Gaussian",
    "GlobalSpread",
    "Joint",
    "NoiseProcess",
    "PlainScore",
    "Policy",
    "ScoreEstimator",
    "Spread",
    "StateSpread",
    "VarianceScaledScore",
    "WhiteNoise",
    "policy_for",
]
