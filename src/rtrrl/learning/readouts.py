"""Linear readouts of the features, and the feedback of their errors to the cell."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.types import Fixed, Key, PyTree, parameters
from rtrrl.utils import validation
from rtrrl.utils.registry import Registry

Features = Float[Array, "features"]
Outputs = Float[Array, "outputs"]


class Readout(eqx.Module):
    """A function of the features, with its gradient and the feedback of its errors."""

    @abc.abstractmethod
    def __call__(self, features: Features) -> Outputs:
        """The outputs."""

    @abc.abstractmethod
    def gradient(self, features: Features, y_bar: Outputs) -> PyTree:
        """ȳᵀ ∂y/∂θ, as a pytree of the readout's parameters."""

    @abc.abstractmethod
    def pullback(self, y_bar: Outputs) -> Features:
        """f̄, the error signal that the features receive for ȳ."""


class LinearReadout(Readout):
    """y = W [f; 1]."""

    weight: eqx.AbstractVar[Float[Array, "outputs columns"]]

    def __call__(self, features: Features) -> Outputs:
        return self.weight @ _with_one(features)

    def gradient(self, features: Features, y_bar: Outputs) -> PyTree:
        """ȳ [f; 1]ᵀ."""
        weight_bar = y_bar[:, None] * _with_one(features)
        return eqx.tree_at(lambda readout: readout.weight, parameters(self), weight_bar)


class SymmetricReadout(LinearReadout):
    """y = W [f; 1], f̄ = Wᵀ ȳ: backpropagation."""

    weight: Float[Array, "outputs columns"]

    def pullback(self, y_bar: Outputs) -> Features:
        return jnp.sum(y_bar[:, None] * self.weight[:, :-1], axis=0)


class RandomReadout(LinearReadout):
    """y = W [f; 1], f̄ = Bᵀ ȳ with a fixed random B: feedback alignment (Lillicrap et al. 2016)."""

    weight: Float[Array, "outputs columns"]
    feedback: Fixed

    def pullback(self, y_bar: Outputs) -> Features:
        return jnp.sum(y_bar[:, None] * self.feedback.value, axis=0)


class WithConstants(Readout):
    """y = [readout(f); c]: the last outputs are parameters, independent of the features."""

    readout: Readout
    constant: Float[Array, "constants"]

    def __call__(self, features: Features) -> Outputs:
        return jnp.concatenate([self.readout(features), self.constant])

    def gradient(self, features: Features, y_bar: Outputs) -> PyTree:
        """The constants' gradient is ȳ itself."""
        readout_bar, constant_bar = jnp.split(y_bar, [y_bar.size - self.constant.size])
        return WithConstants(self.readout.gradient(features, readout_bar), constant_bar)

    def pullback(self, y_bar: Outputs) -> Features:
        return self.readout.pullback(y_bar[: y_bar.size - self.constant.size])


class Feedback(validation.Settings):
    """The kind of an agent's readouts."""

    @abc.abstractmethod
    def readout(self, features: int, outputs: int, scale: float, key: Key) -> Readout:
        """A readout with weights of standard deviation scale/√features and no bias."""


class Symmetric(Feedback):
    """Readouts whose errors are fed back through their own weights."""

    def readout(self, features: int, outputs: int, scale: float, key: Key) -> SymmetricReadout:
        return SymmetricReadout(_weights(key, outputs, features, scale))


class RandomFeedback(Feedback):
    """Readouts whose errors are fed back through a fixed random matrix.

    **Raises** `SettingError` where `scale` is negative or infinite.
    """

    scale: float = 1.0
    """The standard deviation of B's entries is scale/√features."""

    def __check_init__(self) -> None:
        validation.nonnegative(scale=self.scale)

    def readout(self, features: int, outputs: int, scale: float, key: Key) -> RandomReadout:
        forward, backward = jax.random.split(key)
        feedback = _weights(backward, outputs, features, self.scale)[:, :-1]
        return RandomReadout(_weights(forward, outputs, features, scale), Fixed(feedback))


FEEDBACKS: Registry[Feedback] = Registry(
    "feedback", {"symmetric": Symmetric, "random": RandomFeedback}
)


def _weights(key: Key, outputs: int, features: int, scale: float) -> Array:
    weight = jax.random.normal(key, (outputs, features)) * scale / features**0.5
    return jnp.concatenate([weight, jnp.zeros((outputs, 1))], axis=1)


def _with_one(features: Features) -> Array:
    return jnp.concatenate([features, jnp.ones(1, features.dtype)])
