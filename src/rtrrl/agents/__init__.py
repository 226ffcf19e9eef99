"""Agents, one algorithm a file."""

from rtrrl.agents.actor_critic import ActorCritic, FrozenActorCritic
from rtrrl.agents.base import Agent, Info
from rtrrl.agents.model_based import ModelBased, ModelBasedState
from rtrrl.agents.ppo import PPO, PPOState
from rtrrl.agents.random import Random
from rtrrl.agents.rtrrl import RTRRL
from rtrrl.agents.state import RTRRLState

__all__ = [
    "PPO",
    "RTRRL",
    "ActorCritic",
    "Agent",
    "FrozenActorCritic",
    "Info",
    "ModelBased",
    "ModelBasedState",
    "PPOState",
    "RTRRLState",
    "Random",
]
