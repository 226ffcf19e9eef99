"""From δ and traces to a change of parameters; one rule a file."""

from rtrrl.updates.adam import Adam
from rtrrl.updates.base import Credit, Groups, Update, by_group, zeros_like
from rtrrl.updates.intentional import Intentional
from rtrrl.updates.monitored import Monitored, MonitoredState, Statistics
from rtrrl.updates.obgd import AdaptiveObGD, ObGD
from rtrrl.updates.transformations import STREAMS, MeanOverStreams, OptaxUpdate, PerGroup

OPTIMIZERS: dict[str, Update] = {
    "adam": Adam(),
    "obgd": ObGD(),
    "adaptive-obgd": AdaptiveObGD(),
    "intentional": Intentional(),
}
"""By the names that the command line knows."""

__all__ = [
    "OPTIMIZERS",
    "STREAMS",
    "Adam",
    "AdaptiveObGD",
    "Credit",
    "Groups",
    "Intentional",
    "MeanOverStreams",
    "Monitored",
    "MonitoredState",
    "ObGD",
    "OptaxUpdate",
    "PerGroup",
    "Statistics",
    "Update",
    "by_group",
    "zeros_like",
]
