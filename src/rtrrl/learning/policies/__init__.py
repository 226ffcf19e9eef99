"""Distributions over actions, as functions of the actor's outputs."""

from typing import Any

from rtrrl.environments.spaces import Box, Discrete, MultiDiscrete
from rtrrl.errors import UnsupportedSpaceError
from rtrrl.learning.policies.base import Policy
from rtrrl.learning.policies.categorical import Categorical, Factored
from rtrrl.learning.policies.gaussian import (
    SCORES,
    SPREADS,
    Gaussian,
    GlobalSpread,
    PlainScore,
    Score,
    Spread,
    StateSpread,
    VarianceScaledScore,
)
from rtrrl.learning.policies.noise import NOISES, AutoregressiveNoise, Noise, WhiteNoise


def policy_for(space: Any) -> Policy:
    """The natural policy for an action space.

    **Raises** `UnsupportedSpaceError` where it is no `Discrete`, `MultiDiscrete` or flat `Box`.
    """
    match space:
        case Discrete(n):
            return Categorical(n)
        case MultiDiscrete(sizes):
            return Factored(sizes)
        case Box(shape=(_,), low=low, high=high):
            return Gaussian(low, high)
    raise UnsupportedSpaceError(
        f"the action space {space} is not supported: expected Discrete, MultiDiscrete or a flat Box"
    )


__all__ = [
    "NOISES",
    "SCORES",
    "SPREADS",
    "AutoregressiveNoise",
    "Categorical",
    "Factored",
    "Gaussian",
    "GlobalSpread",
    "Noise",
    "PlainScore",
    "Policy",
    "Score",
    "Spread",
    "StateSpread",
    "VarianceScaledScore",
    "WhiteNoise",
    "policy_for",
]
