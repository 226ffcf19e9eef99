"""The spaces of observations and actions."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rtrrl.errors import UnsupportedSpaceError
from rtrrl.types import Key

LARGEST = 1e10
"""A bound of this size counts as none: infinity is often written as 1e20 or the like."""


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

    **Raises** `UnsupportedSpaceError` where a bound is NaN or there is nothing between them.
    """

    shape: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        for i, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            if not (low <= high and low < math.inf and high > -math.inf):
                raise UnsupportedSpaceError(
                    f"entry {i} of a Box ranges from {low} to {high}: expected low ≤ high"
                )

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

    @property
    def bounded(self) -> tuple[Bool[np.ndarray, " size"], Bool[np.ndarray, " size"]]:
        """Which entries have a lower bound, and which an upper one.

        ±`LARGEST` and beyond are none, except for an entry whose range is smaller than that.
        """
        low, high = np.array(self.low), np.array(self.high)
        narrow = high / 2 - low / 2 < LARGEST / 2  # high − low may overflow
        return narrow | (low > -LARGEST), narrow | (high < LARGEST)

    @property
    def frame(self) -> tuple[Float[np.ndarray, " size"], Float[np.ndarray, " size"]]:
        """Two finite numbers of each entry: its bounds, where there are two.

        Where there is one, it and the number 2 beside it, inside the box; where there is none, ±1.
        """
        low, high = np.array(self.low), np.array(self.high)
        below, above = self.bounded
        return (
            np.where(below, low, np.where(above, high - 2, -1.0)),
            np.where(above, high, np.where(below, low + 2, 1.0)),
        )

    def sample(self, key: Key) -> Float[Array, "..."]:
        """A random point: uniform between two bounds, else normal about 0 or half-normal."""
        below, above = (np.reshape(each, self.shape) for each in self.bounded)
        low, high = (jnp.asarray(np.reshape(each, self.shape), jnp.float32) for each in self.frame)
        both = below & above
        uniform = jax.random.uniform(
            key, self.shape, jnp.float32, jnp.where(both, low, 0), jnp.where(both, high, 1)
        )
        normal = jax.random.normal(key, self.shape, jnp.float32)
        one_sided = jnp.where(below, low + jnp.abs(normal), high - jnp.abs(normal))
        return jnp.where(both, uniform, jnp.where(below | above, one_sided, normal))

    def __str__(self) -> str:
        return f"Box({'×'.join(map(str, self.shape)) or 'scalar'})"


@dataclasses.dataclass(frozen=True)
class Product:
    """Integers and real numbers at once: one vector of floats, first `choices`, then `numbers`."""

    choices: MultiDiscrete
    numbers: Box

    @property
    def low(self) -> tuple[float, ...]:
        """The least value of each entry."""
        return (0.0,) * len(self.choices.sizes) + self.numbers.low

    @property
    def high(self) -> tuple[float, ...]:
        """The largest value of each entry."""
        return tuple(n - 1.0 for n in self.choices.sizes) + self.numbers.high

    @property
    def size(self) -> int:
        """The number of entries."""
        return len(self.choices.sizes) + self.numbers.size

    def split(
        self, vector: Float[Array, " size"]
    ) -> tuple[Int[Array, " choices"], Float[Array, "..."]]:
        """The elements of `choices` and of `numbers` in an element."""
        count = len(self.choices.sizes)
        return vector[:count].astype(int), vector[count:].reshape(self.numbers.shape)

    def join(
        self, choices: Int[Array, " choices"], numbers: Float[Array, "..."]
    ) -> Float[Array, " size"]:
        """The inverse of `split`."""
        return jnp.concatenate([choices.astype(numbers.dtype), numbers.ravel()])

    def sample(self, key: Key) -> Float[Array, " size"]:
        """A random element, as those of `choices` and `numbers`."""
        keys = jax.random.split(key)
        return self.join(self.choices.sample(keys[0]), self.numbers.sample(keys[1]))

    def __str__(self) -> str:
        return f"Product({self.choices}, {self.numbers})"


Space = Discrete | MultiDiscrete | Box | Product
