"""Agents, one algorithm a file."""

from rtrrl.agents.base import Agent, Info
from rtrrl.agents.frozen import FrozenRTRRL
from rtrrl.agents.random import Random
from rtrrl.agents.rtrrl import RTRRL
from rtrrl.agents.state import RTRRLState

__all__ = ["RTRRL", "Agent", "FrozenRTRRL", "Info", "RTRRLState", "Random"]
