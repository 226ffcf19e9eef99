"""Which weights of a CT-RNN exist: fixed boolean masks over [x; h; 1]."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from rtrrl.types import Key

Mask = Bool[Array, "columns hidden"]


class Wiring(eqx.Module):
    """A rule for drawing the mask."""

    @abc.abstractmethod
    def mask(self, input_size: int, hidden_size: int, key: Key) -> Mask:
        """True where a weight exists. The bias, the last row, is always present."""


class FullyConnected(Wiring):
    """Every weight exists."""

    def mask(self, input_size: int, hidden_size: int, key: Key) -> Mask:
        """All true."""
        del key
        return jnp.ones((input_size + hidden_size + 1, hidden_size), bool)


class SparseRandom(Wiring):
    """Each weight exists with probability `density`; every unit keeps one input at least.

    **Raises** `ValueError` where `density` is not in (0, 1].
    """

    density: float = 0.5

    def __check_init__(self) -> None:
        _check_density(self.density)

    def mask(self, input_size: int, hidden_size: int, key: Key) -> Mask:
        """Independent draws."""
        chance = jax.random.uniform(key, (hidden_size, input_size + hidden_size))
        rarest = chance == chance.min(axis=1, keepdims=True)
        return _with_bias((chance < self.density) | rarest)


class Diagonal(Wiring):
    """Every unit reads the input and itself, no other unit: diagonal RTRL is exact."""

    def mask(self, input_size: int, hidden_size: int, key: Key) -> Mask:
        """[1 | I | 1], transposed."""
        del key
        return _with_bias(
            jnp.concatenate(
                [jnp.ones((hidden_size, input_size), bool), jnp.eye(hidden_size, dtype=bool)], 1
            )
        )


class NCP(Wiring):
    """Layers like a neural circuit policy's (Lechner et al. 2020).

    Sensory inputs reach inter neurons alone, these reach command neurons, which are recurrent
    among themselves and reach motor neurons. The units are split 1/2 inter, 1/4 command and the
    rest motor; each allowed synapse exists with probability `density`.

    **Raises** `ValueError` where `density` is not in (0, 1].
    """

    density: float = 0.5

    def __check_init__(self) -> None:
        _check_density(self.density)

    def mask(self, input_size: int, hidden_size: int, key: Key) -> Mask:
        """Random synapses inside the allowed blocks."""
        inter, command = hidden_size // 2, hidden_size // 4
        layer = jnp.searchsorted(
            jnp.array([inter, inter + command]), jnp.arange(hidden_size), side="right"
        )
        sensory = jnp.broadcast_to((layer == 0)[:, None], (hidden_size, input_size))
        to, source = layer[:, None], layer[None, :]
        synapses = (to == source + 1) | ((to == 1) & (source == 1))
        allowed = jnp.concatenate([sensory, synapses], axis=1)
        chance = jnp.where(allowed, jax.random.uniform(key, allowed.shape), jnp.inf)
        rarest = allowed & (chance == chance.min(axis=1, keepdims=True))
        return _with_bias((chance < self.density) | rarest)


def _check_density(density: float) -> None:
    if isinstance(density, int | float) and not 0 < density <= 1:
        raise ValueError(f"density is {density}: it must lie in (0, 1]")


def _with_bias(mask: Bool[Array, "hidden sources"]) -> Mask:
    return jnp.concatenate([mask, jnp.ones((mask.shape[0], 1), bool)], axis=1).T
