"""The spaces of observations and actions."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from rtrrl.types import Key


@dataclasses.dataclass(frozen=True)
class Discrete:
    """The integers 0 … n − 1."""

    n: int

    def sample(self, key: Key) -> Int[Array, ""]:
        """A uniformly random element."""
        return jax.random.randint(key, (), 0, self.n, jnp.int32)

    def __str__(self) -> str:
        return f"Discrete({self.n})"


@dataclasses.dataclass(frozen=True)
class MultiDiscrete:
    """Vectors of integers, the i-th in 0 … sizes[i] − 1."""

    sizes: tuple[int, ...]

    def sample(self, key: Key) -> Int[Array, " dimensions"]:
        """A uniformly random element."""
        return jax.random.randint(key, (len(self.sizes),), 0, jnp.array(self.sizes), jnp.int32)

    def __str__(self) -> str:
        return f"MultiDiscrete({'×'.join(map(str, self.sizes))})"


@dataclasses.dataclass(frozen=True)
class Box:
    """Real arrays of one shape between `low` and `high`.

    The bounds have one entry per entry of the flattened array; a bound may be ±∞.
    """

    shape: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def of(cls, low, high, shape: tuple[int, ...]) -> "Box":
        """A box from bounds that broadcast to `shape`.

        >>> Box.of(0, [1, 2], shape=(2,))
        Box(shape=(2,), low=(0.0, 0.0), high=(1.0, 2.0))
        """
        flat = (np.broadcast_to(np.asarray(bound, float), shape).ravel() for bound in (low, high))
        return cls(tuple(shape), *(tuple(bound.tolist()) for bound in flat))

    @property
    def size(self) -> int:
        """The number of entries."""
        return math.prod(self.shape)

    def sample(self, key: Key) -> Float[Array, "..."]:
        """A random point: uniform where both bounds are finite, else standard normal, clipped."""
        low, high = (np.reshape(bound, self.shape) for bound in (self.low, self.high))
        bounded = np.isfinite(low) & np.isfinite(high)
        uniform = jax.random.uniform(
            key, self.shape, jnp.float32, np.where(bounded, low, 0), np.where(bounded, high, 1)
        )
        normal = jax.random.normal(key, self.shape, jnp.float32)
        return jnp.where(bounded, uniform, jnp.clip(normal, low, high))

    def __str__(self) -> str:
        return f"Box({'×'.join(map(str, self.shape)) or 'scalar'})"


Space = Discrete | MultiDiscrete | Box
