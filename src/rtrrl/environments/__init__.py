"""Worlds: the protocol, wrappers, adapters, and the registry of tasks by name."""

from rtrrl.environments.base import AbstractEnvironment as AbstractEnvironment
from rtrrl.environments.base import Environment as Environment
from rtrrl.environments.catalogue import TaskInfo as TaskInfo
from rtrrl.environments.gymnasium.adapter import Gymnasium as Gymnasium
from rtrrl.environments.gymnax.adapter import Gymnax as Gymnax
from rtrrl.environments.host import HostEnvironment as HostEnvironment
from rtrrl.environments.host import VectorEnvironment as VectorEnvironment
from rtrrl.environments.memory.delayed_recall import DelayedRecall as DelayedRecall
from rtrrl.environments.memory.tmaze import TMaze as TMaze
from rtrrl.environments.registry import make as make
from rtrrl.environments.registry import tasks as tasks
from rtrrl.environments.spaces import Box as Box
from rtrrl.environments.spaces import Discrete as Discrete
from rtrrl.environments.spaces import MultiDiscrete as MultiDiscrete
from rtrrl.environments.spaces import Space as Space
from rtrrl.environments.wrappers import Flattened as Flattened
from rtrrl.environments.wrappers import Masked as Masked
from rtrrl.environments.wrappers import Named as Named
from rtrrl.environments.wrappers import NoisyObservation as NoisyObservation
from rtrrl.environments.wrappers import ScaledReward as ScaledReward
from rtrrl.environments.wrappers import TimeLimit as TimeLimit
from rtrrl.environments.wrappers import TruncationAsTermination as TruncationAsTermination
from rtrrl.environments.wrappers import Wrapper as Wrapper
