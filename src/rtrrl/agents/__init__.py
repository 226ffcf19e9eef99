"""Agents, one algorithm a file."""

from rtrrl.agents.base import Agent, Info
from rtrrl.agents.rtrrl import RTRRL, FrozenRTRRL, RTRRLState

__all__ = ["RTRRL", "Agent", "FrozenRTRRL", "Info", "RTRRLState"]
