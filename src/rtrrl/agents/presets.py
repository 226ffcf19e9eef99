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

The learning rate of the critic is half the actor's, that of the cell a seventh, and that of its Λ
thirty times smaller still, or less; traces are long. Initial time constants are spread up to 1,000
steps. The norm is not clipped: clipped steps do not shrink as the gradient does.
"""

RTRRL_PAPER_STABLE = {
    "optimizer": Adam(5e-4, 2.0, 0.02, clip=math.inf, epsilon=1e-3),
    "inputs": _INPUTS,
}
"""The paper's cell, rule and random feedback, with settings that keep what is learned."""

PPO_DEFAULT = {"inputs": InputPipeline(rewards=ReturnScaledRewards())}
"""PPO for every environment, tuned on CartPole, Acrobot and MemoryChain-8.

Advantages are usually scaled to a variance of 1. Where rewards give no information yet, that
amplifies noise, and the policy ceases to explore; so `advantage_floor` bounds the scale. It is in
units of the reward, hence the scaled rewards. Of the cells, a GRU learned most reliably.
"""
