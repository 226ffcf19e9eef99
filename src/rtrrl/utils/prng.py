"""JAX's random numbers, bit for bit, at a fraction of their cost on a CPU.

XLA's CPU backend compiles JAX's threefry into a separate loop. Without a loop, it fuses with
whatever uses the numbers.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import define_prng_impl
from jaxtyping import Array, UInt32

from rtrrl.errors import RtrrlError
from rtrrl.types import Key
from rtrrl.utils.arrays import in_words

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA

Word = UInt32[Array, "*shape"]


def inline_threefry(key: Key) -> Key:
    """The same key with a generator of the same numbers, without a loop.

    >>> import jax
    >>> key = jax.random.key(7)
    >>> bool(jax.random.uniform(inline_threefry(key)) == jax.random.uniform(key))
    True
    """
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=_THREEFRY)


def is_key(leaf: Any) -> bool:
    """Whether a leaf is a typed key, as an array or as a `jax.ShapeDtypeStruct`."""
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def as_key(key: Any) -> Key:
    """A typed key, also of the numbers that `jax.random.PRNGKey` returns.

    **Raises** `RtrrlError` for anything else.
    """
    if is_key(key):
        return key
    if isinstance(key, jax.Array) and key.dtype == jnp.uint32 and key.ndim == 1:
        return jax.random.wrap_key_data(key)
    raise RtrrlError(f"the key is {in_words(key)}: expected a key, such as jax.random.key(0)")


def key_implementation(key: Any) -> str:
    """The name of the generator of a typed key."""
    names = []
    jax.eval_shape(lambda key: names.append(str(jax.random.key_impl(key))), key)
    return names[0]


def without_key_type(leaf: Any) -> Any:
    """The numbers of a typed key; any other leaf as it is."""
    if not is_key(leaf):
        return leaf
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return jax.eval_shape(jax.random.key_data, leaf)
    return jax.random.key_data(leaf)


def with_key_type(leaf: Any, like: Any) -> Any:
    """The inverse of `without_key_type`: a key of the type of `like`, if that is one."""
    if not is_key(like):
        return leaf
    return jax.random.wrap_key_data(leaf, impl=key_implementation(like))


def zeros_like(leaf: Any) -> Array:
    """Zeros of the shape and dtype of a `jax.ShapeDtypeStruct`, which may be that of a key.

    Through NumPy, so that nothing has to be compiled.
    """
    numbers = without_key_type(leaf)
    return with_key_type(jnp.array(np.zeros(numbers.shape, numbers.dtype)), leaf)


def _threefry(key: UInt32[Array, "2"], high: Word, low: Word) -> tuple[Word, Word]:
    """Threefry-2x32 with 20 rounds (Salmon et al. 2011)."""
    schedule = key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(_PARITY)
    high, low = high + schedule[0], low + schedule[1]
    for i in range(5):
        for rotation in _ROTATIONS[i % 2]:
            high = high + low
            low = high ^ ((low << rotation) | (low >> (32 - rotation)))
        high = high + schedule[(i + 1) % 3]
        low = low + schedule[(i + 2) % 3] + jnp.uint32(i + 1)
    return high, low


def _threefry_of_range(key: UInt32[Array, "2"], shape: tuple[int, ...]) -> tuple[Word, Word]:
    index = jnp.arange(math.prod(shape), dtype=jnp.uint32).reshape(shape)
    return _threefry(key, jnp.zeros_like(index), index)


def _random_bits(key: UInt32[Array, "2"], width: int, shape: tuple[int, ...]) -> Array:
    high, low = _threefry_of_range(key, shape)
    if width == 64:
        return (high.astype(jnp.uint64) << 32) | low.astype(jnp.uint64)
    return (high ^ low).astype(f"uint{width}")


def _fold_in(key: UInt32[Array, "2"], data: Array | int) -> UInt32[Array, "2"]:
    return jnp.stack(_threefry(key, jnp.uint32(0), jnp.asarray(data, jnp.uint32)))


_THREEFRY = define_prng_impl(
    key_shape=(2,),
    seed=lambda seed: jax.random.key_data(jax.random.key(seed)),
    split=lambda key, shape: jnp.stack(_threefry_of_range(key, shape), axis=-1),
    random_bits=_random_bits,
    fold_in=_fold_in,
    name="rtrrl_threefry",
    tag="rtrrl3",
)
