"""What an agent sees and what it may do, described."""

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
        """One of them, each as likely as the others."""
        return jax.random.randint(key, (), 0, self.n, jnp.int32)

    def __str__(self) -> str:
        return f"Discrete({self.n})"


@dataclasses.dataclass(frozen=True)
class MultiDiscrete:
    """Vectors of integers, the i-th one in 0 … sizes[i] − 1."""

    sizes: tuple[int, ...]

    def sample(self, key: Key) -> Int[Array, " dimensions"]:
        """Each entry uniform, independent of the others."""
        return jax.random.randint(key, (len(self.sizes),), 0, jnp.array(self.sizes), jnp.int32)

    def __str__(self) -> str:
        return f"MultiDiscrete({'×'.join(map(str, self.sizes))})"


@dataclasses.dataclass(frozen=True)
class Box:
    """Real arrays of one shape between `low` and `high`.

    One bound per entry, in the order of the flattened array; a bound may be ±∞.
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
        """A point drawn uniformly where both bounds are finite, else from a normal of unit width.

        The normal is centred at 0 and clipped to whichever bound there is.
        """
        low, high = (np.reshape(bound, self.shape) for bound in (self.low, self.high))
        bounded = np.isfinite(low) & np.isfinite(high)
        inside = jax.random.uniform(
            key, self.shape, jnp.float32, np.where(bounded, low, 0), np.where(bounded, high, 1)
        )
        anywhere = jax.random.normal(key, self.shape, jnp.float32)
        return jnp.where(bounded, inside, jnp.clip(anywhere, low, high))

    def __str__(self) -> str:
        return f"Box({'×'.join(map(str, self.shape)) or 'scalar'})"


Space = Discrete | MultiDiscrete | Box
