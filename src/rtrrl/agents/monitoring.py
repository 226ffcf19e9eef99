"""The variance of an agent's updates: agents that measure it, and what they measured."""

import dataclasses
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from rtrrl.agents import Agent
from rtrrl.errors import RtrrlError
from rtrrl.learning.optimizers import MonitoredOptimizer, Optimizer, UpdateStatistics
from rtrrl.types import PyTree


def monitored(agent: Agent) -> Agent:
    """The agent with an update that measures itself (`updates.Monitored`) and is else the same.

    **Raises** `RtrrlError` where the agent does not hand a direction to an update at every step.
    """
    if is_monitored(agent):
        return agent
    refusal = RtrrlError(
        f"the updates of {type(agent).__name__} cannot be monitored: it does not hand one "
        f"direction a step to its optimizer; leave --variance out"
    )
    update = getattr(agent, "optimizer", None)
    if not isinstance(update, Optimizer):
        raise refusal
    try:
        return _with(agent, MonitoredOptimizer(update))
    except TypeError:  # it takes no update but its own kind
        raise refusal from None


def unmonitored(agent: Agent) -> Agent:
    """The agent as it was before `monitored`."""
    update = getattr(agent, "optimizer", None)
    if not isinstance(update, MonitoredOptimizer):
        return agent
    return _with(agent, update.update)


def is_monitored(agent: Agent) -> bool:
    """Whether its updates measure themselves."""
    return isinstance(getattr(agent, "optimizer", None), MonitoredOptimizer)


def measured(states: PyTree) -> dict[str, Float[np.ndarray, " seeds"]]:
    """What monitored agents measured, of states with a leading axis of seeds; else nothing.

    `gradient_norm` is ‖E G‖ and `gradient_variance` tr Cov G = Σ Var G, in total and of each group,
    `update_norm` is √(E ‖Δθ‖²), over the latest updates (see `updates.Monitored`).
    """
    found = [node for node in jax.tree.leaves(states, is_leaf=_measures) if _measures(node)]
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


def _with(agent: Any, update: Optimizer) -> Agent:
    return dataclasses.replace(agent, optimizer=update)


def _measures(node: Any) -> bool:
    return isinstance(node, UpdateStatistics)


def _sum(tree: PyTree) -> Float[np.ndarray, " seeds"]:
    """Of every entry but the leading axis."""
    leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(tree)]
    return np.sum([leaf.reshape(len(leaf), -1).sum(axis=1) for leaf in leaves], axis=0)
