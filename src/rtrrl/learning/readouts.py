"""Linear readouts of the features, and how their error reaches the recurrence."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.types import Fixed, Key, PyTree, parameters
from rtrrl.utils.registry import Registry

Features = Float[Array, "features"]
Outputs = Float[Array, "outputs"]


class Readout(eqx.Module):
    """Outputs from features, and what the features are told of an error in them."""

    @abc.abstractmethod
    def __call__(self, features: Features) -> Outputs:
        """The outputs."""

    @abc.abstractmethod
    def gradient(self, features: Features, y_bar: Outputs) -> PyTree:
        """ȳᵀ ∂y/∂θ, as a pytree of the readout's parameters."""

    @abc.abstractmethod
    def pullback(self, y_bar: Outputs) -> Features:
        """What the features are told of ȳ."""


class LinearReadout(Readout):
    """y = W [f; 1]."""

    weight: eqx.AbstractVar[Float[Array, "outputs columns"]]

    def __call__(self, features: Features) -> Outputs:
        """y = W [f; 1]."""
        return self.weight @ _with_one(features)

    def gradient(self, features: Features, y_bar: Outputs) -> PyTree:
        """ȳ [f; 1]ᵀ."""
        weight_bar = y_bar[:, None] * _with_one(features)
        return eqx.tree_at(lambda readout: readout.weight, parameters(self), weight_bar)


class SymmetricReadout(LinearReadout):
    """f̄ = Wᵀ ȳ: backpropagation."""

    weight: Float[Array, "outputs columns"]

    def pullback(self, y_bar: Outputs) -> Features:
        """Through the readout's own weights."""
        return jnp.sum(y_bar[:, None] * self.weight[:, :-1], axis=0)


class RandomReadout(LinearReadout):
    """f̄ = B ȳ with a fixed random B: feedback alignment (Lillicrap et al. 2016; RTRRL §1)."""

    weight: Float[Array, "outputs columns"]
    feedback: Fixed

    def pullback(self, y_bar: Outputs) -> Features:
        """Through the fixed random matrix."""
        return jnp.sum(y_bar[:, None] * self.feedback.value, axis=0)


class WithConstants(Readout):
    """y = [W [f; 1]; c]: the last outputs are parameters that no feature reaches."""

    read: Readout
    constant: Float[Array, "constants"]

    def __call__(self, features: Features) -> Outputs:
        """What is read, and the constants."""
        return jnp.concatenate([self.read(features), self.constant])

    def gradient(self, features: Features, y_bar: Outputs) -> PyTree:
        """The constants' gradient is ȳ itself."""
        read_bar, constant_bar = jnp.split(y_bar, [y_bar.size - self.constant.size])
        return WithConstants(self.read.gradient(features, read_bar), constant_bar)

    def pullback(self, y_bar: Outputs) -> Features:
        """Of what is read alone."""
        return self.read.pullback(y_bar[: y_bar.size - self.constant.size])


class Feedback(eqx.Module):
    """Which kind of readout an agent is built with."""

    @abc.abstractmethod
    def readout(self, features: int, outputs: int, scale: float, key: Key) -> Readout:
        """A readout with weights of standard deviation scale/√features and no bias."""


class Symmetric(Feedback):
    """Readouts that send errors back through their own weights."""

    def readout(self, features: int, outputs: int, scale: float, key: Key) -> SymmetricReadout:
        """Random weights."""
        return SymmetricReadout(_weights(key, outputs, features, scale))


class RandomFeedback(Feedback):
    """Readouts that send errors back through a fixed random matrix."""

    scale: float = 1.0

    def readout(self, features: int, outputs: int, scale: float, key: Key) -> RandomReadout:
        """Random weights and an independent random feedback."""
        forward, backward = jax.random.split(key)
        feedback = _weights(backward, outputs, features, self.scale)[:, :-1]
        return RandomReadout(_weights(forward, outputs, features, scale), Fixed(feedback))


FEEDBACKS: Registry[Feedback] = Registry(
    "feedback", {"symmetric": Symmetric, "random": RandomFeedback}
)
"""By the names that the command line knows."""


def _weights(key: Key, outputs: int, features: int, scale: float) -> Array:
    weight = jax.random.normal(key, (outputs, features)) * scale / features**0.5
    return jnp.concatenate([weight, jnp.zeros((outputs, 1))], axis=1)


def _with_one(features: Features) -> Array:
    return jnp.concatenate([features, jnp.ones(1, features.dtype)])
