"""Agents, one algorithm a file."""

from rtrrl.agents.actor_critic import ActorCritic
from rtrrl.agents.base import Agent, Info
from rtrrl.agents.frozen import FrozenActorCritic
from rtrrl.agents.random import Random
from rtrrl.agents.rtrrl import RTRRL
from rtrrl.agents.state import RTRRLState

__all__ = ["RTRRL", "ActorCritic", "Agent", "FrozenActorCritic", "Info", "RTRRLState", "Random"]
