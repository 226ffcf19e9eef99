"""From δ and traces to a change of parameters."""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from rtrrl.types import PyTree, Scalar, parameters


class Groups(eqx.Module):
    """One thing for each parameter group of an actor-critic on a recurrent state."""

    actor: PyTree
    critic: PyTree
    cell: PyTree


class Update(eqx.Module):
    """How parameters change after a TD error."""

    @abc.abstractmethod
    def init(self, groups: Groups) -> PyTree:
        """The optimizer's state for these parameters."""

    @abc.abstractmethod
    def __call__(
        self, state: PyTree, groups: Groups, delta: Scalar, traces: Groups, bonus: Groups
    ) -> tuple[Groups, PyTree]:
        """Ascends δ·trace + bonus: the new parameters and optimizer state."""


class OptaxUpdate(Update):
    """Any optax transformation, one for each group, of the ascent direction δ e + bonus."""

    @abc.abstractmethod
    def transformation(self) -> optax.GradientTransformation:
        """What maps gradients, a `Groups`, to parameter changes."""

    def init(self, groups: Groups) -> PyTree:
        """The transformation's own state."""
        return self.transformation().init(parameters(groups))

    def __call__(
        self, state: PyTree, groups: Groups, delta: Scalar, traces: Groups, bonus: Groups
    ) -> tuple[Groups, PyTree]:
        """One step of the transformation; optax descends, so the direction is negated."""
        descent = jax.tree.map(lambda e, b: -(delta * e + b), traces, bonus)
        change, state = self.transformation().update(descent, state, parameters(groups))
        return eqx.apply_updates(groups, change), state


class Adam(OptaxUpdate):
    """Adam after clipping the norm over all parameters together (RTRRL, appendix).

    `learning_rate` is α_C; the actor's and the recurrence's are multiples of it.
    """

    learning_rate: float = 1e-3
    actor_multiple: float = 1.0
    recurrent_multiple: float = 1.0
    clip: float = 1.0
    b1: float = 0.9
    b2: float = 0.999
    epsilon: float = 1e-8

    def __check_init__(self) -> None:
        for name in ("learning_rate", "actor_multiple", "recurrent_multiple", "clip", "epsilon"):
            value = getattr(self, name)
            if isinstance(value, int | float) and not value >= 0:
                raise ValueError(f"{name} is {value}: it must not be negative")

    def transformation(self) -> optax.GradientTransformation:
        """Clip, then Adam, then the step size of each group."""
        multiples = Groups(self.actor_multiple, 1.0, self.recurrent_multiple)

        def rescale(updates: PyTree, _: PyTree = None) -> PyTree:
            return jax.tree.map(
                lambda multiple, group: jax.tree.map(
                    lambda u: -self.learning_rate * multiple * u, group
                ),
                multiples,
                updates,
            )

        unclipped = isinstance(self.clip, float) and math.isinf(self.clip)
        return optax.chain(
            optax.identity() if unclipped else _clip_by_norm(self.clip),
            optax.scale_by_adam(self.b1, self.b2, self.epsilon),
            optax.stateless(rescale),
        )


STREAMS = "streams"
"""The name of the axis along which the streams of one agent lie, where it has several."""


class MeanOverStreams(Update):
    """Another update, of the mean direction over all streams that share the parameters.

    Its state is the other's own, so that an agent of several streams can go on with one.
    """

    update: OptaxUpdate

    def init(self, groups: Groups) -> PyTree:
        """The other's."""
        return self.update.init(groups)

    def __call__(
        self, state: PyTree, groups: Groups, delta: Scalar, traces: Groups, bonus: Groups
    ) -> tuple[Groups, PyTree]:
        """One step of the other, along the mean of δ e + bonus."""
        ascent = jax.tree.map(lambda e, b: delta * e + b, traces, bonus)
        mean = jax.lax.pmean(ascent, STREAMS)
        nothing = jax.tree.map(jnp.zeros_like, mean)
        return self.update(state, groups, jnp.ones_like(delta), mean, nothing)


class PerGroup(OptaxUpdate):
    """A transformation of your own for each of actor, critic and cell.

    Functions cannot be written to config.json, so an agent with these trains without `out`.
    """

    actor: optax.GradientTransformation
    critic: optax.GradientTransformation
    cell: optax.GradientTransformation

    def transformation(self) -> optax.GradientTransformation:
        """Each group's own."""
        rules = Groups(self.actor, self.critic, self.cell)
        kinds = ("actor", "critic", "cell")

        def init(params: PyTree) -> PyTree:
            return tuple(getattr(rules, kind).init(getattr(params, kind)) for kind in kinds)

        def update(updates: PyTree, state: PyTree, params: PyTree = None) -> PyTree:
            pairs = [
                getattr(rules, kind).update(getattr(updates, kind), own, getattr(params, kind))
                for kind, own in zip(kinds, state, strict=True)
            ]
            changes, states = zip(*pairs, strict=True)
            return Groups(*changes), states

        return optax.GradientTransformation(init, update)


def zeros_like(groups: Groups) -> Groups:
    """Zeros in the place of every parameter."""
    return jax.tree.map(jnp.zeros_like, parameters(groups))


def _clip_by_norm(bound: float) -> optax.GradientTransformation:
    """As `optax.clip_by_global_norm`, whose sums XLA's CPU backend compiles into slow windows."""

    def clip(updates: PyTree, _: PyTree = None) -> PyTree:
        norm = jnp.sqrt(sum(_sum_of_squares(leaf) for leaf in jax.tree.leaves(updates)))
        return jax.tree.map(lambda leaf: bound / jnp.maximum(bound, norm) * leaf, updates)

    return optax.stateless(clip)


def _sum_of_squares(leaf: Array) -> Scalar:
    return jnp.sum(leaf**2 @ jnp.ones(leaf.shape[-1], leaf.dtype))
