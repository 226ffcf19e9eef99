"""Recording the variance of an agent's updates."""

import dataclasses
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from rtrrl.agents import Agent
from rtrrl.errors import RtrrlError, SettingError
from rtrrl.learning.optimizers import MonitoredOptimizer, Optimizer, UpdateStatistics
from rtrrl.types import PyTree


def monitored(agent: Agent) -> Agent:
    """The same agent with a `MonitoredOptimizer`.

    **Raises** `RtrrlError` where the agent does not give its optimizer one direction at every step.
    """
    if is_monitored(agent):
        return agent
    refusal = RtrrlError(
        f"the updates of {type(agent).__name__} cannot be monitored: it does not give one "
        "direction a step to its optimizer; train it without the record of its variance"
    )
    optimizer = getattr(agent, "optimizer", None)
    if not isinstance(optimizer, Optimizer):
        raise refusal
    try:
        return _with_optimizer(agent, MonitoredOptimizer(optimizer))
    except (SettingError, TypeError):  # it takes only a subclass of Optimizer
        raise refusal from None


def unmonitored(agent: Agent) -> Agent:
    """The agent before `monitored`."""
    optimizer = getattr(agent, "optimizer", None)
    if not isinstance(optimizer, MonitoredOptimizer):
        return agent
    return _with_optimizer(agent, optimizer.inner)


def is_monitored(agent: Agent) -> bool:
    """Whether the agent records statistics of its updates."""
    return isinstance(getattr(agent, "optimizer", None), MonitoredOptimizer)


def measured(states: PyTree) -> dict[str, Float[np.ndarray, " seeds"]]:
    """The records of monitored agents, from states with a leading axis of seeds; else empty.

    `gradient_norm` is ‖E G‖, `gradient_variance` tr Cov G = Σ Var G in total and of each group, and
    `update_norm` √(E ‖Δθ‖²), over recent updates (see `MonitoredOptimizer`).
    """
    found = [node for node in jax.tree.leaves(states, is_leaf=_is_record) if _is_record(node)]
    if not found:
        return {}
    statistics = found[0]
    variances = {
        f"gradient_variance_{field.name}": _sum(getattr(statistics.variance, field.name))
        for field in dataclasses.fields(statistics.variance)
    }
    return {
        "gradient_norm": np.sqrt(_sum(jax.tree.map(np.square, statistics.mean))),
        "gradient_variance": np.sum(list(variances.values()), axis=0),
        **variances,
        "update_norm": np.sqrt(_sum(statistics.squared_change)),
    }


def _with_optimizer(agent: Any, optimizer: Optimizer) -> Agent:
    return dataclasses.replace(agent, optimizer=optimizer)


def _is_record(node: Any) -> bool:
    return isinstance(node, UpdateStatistics)


def _sum(tree: PyTree) -> Float[np.ndarray, " seeds"]:
    """The sum over all axes but the first, in float64."""
    leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(tree)]
    return np.sum([leaf.reshape(len(leaf), -1).sum(axis=1) for leaf in leaves], axis=0)
