"""Arrays that users give, or return from methods of theirs."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped

from rtrrl.errors import RtrrlError

NUMBER = (jnp.floating, jnp.integer)
REAL = (*NUMBER, jnp.bool_)
"""The kinds of dtypes that `as_real` takes."""


def as_real(numbers: Any) -> Shaped[Array, "..."]:
    """An array of floats, with at least the precision of float32."""
    array = jnp.asarray(numbers)
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))


def check_array(
    what: str, value: Any, shape: tuple[int, ...], kinds: tuple[type, ...], expected: str
) -> None:
    """**Raises** `RtrrlError` where a value is not an array of a shape, of one of some kinds."""
    try:
        array = jnp.asarray(value)
        fits = array.shape == shape and any(jnp.issubdtype(array.dtype, kind) for kind in kinds)
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise RtrrlError(f"{what} is {in_words(value)}: expected {expected}")


def in_words(value: Any) -> str:
    """What a value is, in a few words.

    >>> in_words((1, 2)), in_words(jnp.zeros(3)), in_words("abc"), in_words(list)
    ('a tuple of 2', 'float32[3]', "'abc'", 'the class list')
    """
    if isinstance(value, jax.Array | jax.ShapeDtypeStruct | np.ndarray | np.generic):
        return f"{value.dtype}[{','.join(map(str, value.shape))}]"
    if isinstance(value, tuple | list | dict) and not hasattr(value, "_fields"):
        return f"a {type(value).__name__} of {len(value)}"
    if value is None or isinstance(value, bool | int | float | str):
        return f"{value!r:.40}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    kind = type(value).__name__
    return f"an {kind}" if kind[0] in "AEIOU" else f"a {kind}"
