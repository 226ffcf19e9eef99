"""The settings of an agent for another environment."""

import dataclasses
from typing import TypeVar

import equinox as eqx

from rtrrl.agents.base import Agent, environment_spec
from rtrrl.environments import AbstractEnvironment
from rtrrl.environments.spaces import Product, Space
from rtrrl.learning.policies import Joint, Policy, policy_for

Module = TypeVar("Module", bound=eqx.Module)


def for_environment(agent: Agent, environment: AbstractEnvironment) -> Agent:
    """The agent with the same settings for another environment.

    A policy that does not fit the actions is replaced by the default one for them.

    **Raises** `UnsupportedSpaceError` where the observation is not a flat box.
    """
    name, size, space = environment_spec(environment)
    fields = {"task": name, "observation_size": size}
    if (policy := getattr(agent, "policy", None)) is not None:
        fields["policy"] = _for_space(policy, space)
    return _replace(agent, fields)


def _for_space(policy: Policy, space: Space) -> Policy:
    other = policy_for(space)
    if isinstance(policy, Joint) and isinstance(space, Product):
        choices = _for_space(policy.choices, space.choices)
        numbers = _for_space(policy.numbers, space.numbers)
        return dataclasses.replace(policy, choices=choices, numbers=numbers)
    sizes = ("num_actions", "sizes", "low", "high")
    same = _replace(policy, {size: getattr(other, size) for size in sizes if hasattr(other, size)})
    if same.action_space == space:
        return same
    return other.with_exploration() if policy == policy.with_exploration() else other


def _replace(module: Module, fields: dict) -> Module:
    """The module with other values of those fields that it has."""
    return dataclasses.replace(
        module, **{name: value for name, value in fields.items() if hasattr(module, name)}
    )
