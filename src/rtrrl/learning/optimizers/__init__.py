"""From TD errors and traces to updates of the parameters, one optimizer a file."""

from rtrrl.learning.optimizers.adam import Adam
from rtrrl.learning.optimizers.base import (
    Optimizer,
    ParameterGroups,
    TDUpdate,
    by_group,
    zeros_like,
)
from rtrrl.learning.optimizers.from_optax import ENVS_AXIS, MeanOverEnvs, OptaxOptimizer, PerGroup
from rtrrl.learning.optimizers.intentional import Intentional
from rtrrl.learning.optimizers.monitored import (
    MonitoredOptimizer,
    MonitoredOptimizerState,
    UpdateStatistics,
)
from rtrrl.learning.optimizers.obgd import AdaptiveObGD, ObGD
from rtrrl.utils.registry import Registry

OPTIMIZERS: Registry[Optimizer] = Registry(
    "optimizer",
    {
        "adam": Adam,
        "obgd": ObGD,
        "adaptive-obgd": AdaptiveObGD,
        "intentional": Intentional,
    },
)

__all__ = [
    "ENVS_AXIS",
    "OPTIMIZERS",
    "Adam",
    "AdaptiveObGD",
    "Intentional",
    "MeanOverEnvs",
    "MonitoredOptimizer",
    "MonitoredOptimizerState",
    "ObGD",
    "OptaxOptimizer",
    "Optimizer",
    "ParameterGroups",
    "PerGroup",
    "TDUpdate",
    "UpdateStatistics",
    "by_group",
    "zeros_like",
]
