"""The wirings of a CT-RNN: fixed boolean masks of its weights over [x; h; 1]."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from rtrrl.types import Key
from rtrrl.utils import validation

Mask = Bool[Array, "columns hidden"]


class Wiring(validation.Settings):
    """A distribution of masks."""

    @abc.abstractmethod
    def mask(self, input_size: int, hidden_size: int, key: Key) -> Mask:
        """True where a weight exists; the last row, the bias, is all true."""


class FullyConnected(Wiring):
    """Every weight exists."""

    def mask(self, input_size: int, hidden_size: int, key: Key) -> Mask:
        return jnp.ones((input_size + hidden_size + 1, hidden_size), bool)


class SparseRandom(Wiring):
    """Each weight exists with probability `density`; every unit has at least one input.

    **Raises** `SettingError` where `density` is not in (0, 1].
    """

    density: float = eqx.field(static=True, default=0.5)
    """The probability of a weight that may exist."""

    def __check_init__(self) -> None:
        _check_density(self.density)

    def mask(self, input_size: int, hidden_size: int, key: Key) -> Mask:
        draw = jax.random.uniform(key, (hidden_size, input_size + hidden_size))
        smallest = draw == draw.min(axis=1, keepdims=True)
        return _with_bias((draw < self.density) | smallest)


class Diagonal(Wiring):
    """Every unit reads the input and itself, no other unit: diagonal RTRL is exact."""

    def mask(self, input_size: int, hidden_size: int, key: Key) -> Mask:
        inputs = jnp.ones((hidden_size, input_size), bool)
        return _with_bias(jnp.concatenate([inputs, jnp.eye(hidden_size, dtype=bool)], axis=1))


class NCP(Wiring):
    """Layers like a neural circuit policy's (Lechner et al. 2020).

    The inputs drive inter neurons alone, these drive command neurons, which drive each other and
    motor neurons. Half of the units are inter, a quarter command, the rest motor neurons; each
    allowed synapse exists with probability `density`, and each unit has at least one input.

    **Raises** `SettingError` where `density` is not in (0, 1].
    """

    density: float = eqx.field(static=True, default=0.5)
    """The probability of a weight that may exist."""

    def __check_init__(self) -> None:
        _check_density(self.density)

    def mask(self, input_size: int, hidden_size: int, key: Key) -> Mask:
        inter, command = hidden_size // 2, hidden_size // 4
        ends = jnp.array([inter, inter + command])
        layer = jnp.searchsorted(ends, jnp.arange(hidden_size), side="right")
        sensory = jnp.broadcast_to((layer == 0)[:, None], (hidden_size, input_size))
        to, source = layer[:, None], layer[None, :]
        synapses = (to == source + 1) | ((to == 1) & (source == 1))
        allowed = jnp.concatenate([sensory, synapses], axis=1)
        draw = jnp.where(allowed, jax.random.uniform(key, allowed.shape), jnp.inf)
        smallest = allowed & (draw == draw.min(axis=1, keepdims=True))
        return _with_bias((draw < self.density) | smallest)


def _check_density(density: float) -> None:
    validation.obey("lie in (0, 1]", lambda x: (x > 0) & (x <= 1), density=density)


def _with_bias(mask: Bool[Array, "hidden sources"]) -> Mask:
    return jnp.concatenate([mask, jnp.ones((mask.shape[0], 1), bool)], axis=1).T
