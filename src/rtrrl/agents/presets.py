"""Settings of the recommended agents; the others are the defaults of the agents' fields."""

import math

from rtrrl.cells import LogUniformTimescales, RTUConfig
from rtrrl.gradients import DiagonalRTRL
from rtrrl.learning.exploration_bonus import Novelty
from rtrrl.learning.input_pipeline import InputPipeline
from rtrrl.learning.normalizers import AmplifiedObservations, ReturnScaledRewards
from rtrrl.learning.optimizers import Adam
from rtrrl.learning.readouts import Symmetric

_INPUTS = InputPipeline(AmplifiedObservations(), ReturnScaledRewards(), Novelty())

RTRRL_DEFAULT = {
    "cell": RTUConfig(eigenvalues=LogUniformTimescales(), eigenvalue_lr_scale=0.03),
    "rule": DiagonalRTRL(),
    "feedback": Symmetric(),
    "optimizer": Adam(5e-4, 2.0, 0.3, clip=math.inf, epsilon=1e-3),
    "inputs": _INPUTS,
}
"""RTRRL that keeps what it learns (docs/stability.md).

The critic learns half as fast as the actor, the cell seven times more slowly, and its Λ another
thirty times or more; traces are long. Initial time constants are spread up to 1,000 steps. The
norm is not clipped: a clipped step is as large when little is left to learn as when all is.
"""

RTRRL_PAPER_STABLE = {
    "optimizer": Adam(5e-4, 2.0, 0.02, clip=math.inf, epsilon=1e-3),
    "inputs": _INPUTS,
}
"""The paper's cell, rule and random feedback, with settings that keep what is learned."""

PPO_DEFAULT = {"inputs": InputPipeline(rewards=ReturnScaledRewards())}
"""PPO for every environment, tuned on CartPole, Acrobot and MemoryChain-8.

Small advantages are not scaled up to a variance of 1, as is usual: where rewards give no
information yet, they are noise, and a policy that follows noise ceases to explore. That floor,
`advantage_floor`, is in units of the reward, hence the scaled rewards. Of the cells, a GRU learned
most reliably.
"""
