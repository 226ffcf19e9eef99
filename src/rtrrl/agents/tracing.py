"""Settings as arguments of compiled programs: agents that differ in numbers alone share them."""

import dataclasses
from collections.abc import Iterator
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

Module = TypeVar("Module", bound=eqx.Module)
Path = tuple[str, ...]


def with_traced_settings(agent: Module, shape: tuple[int, ...] = ()) -> Module:
    """The agent with an array of this shape for every float setting of rtrrl's own classes.

    The shape is that of a leading axis over seeds, or (). Excepted are settings that shape the
    program: static ones, and infinite ones, which mean that there is no bound. What a user's class
    holds stays as it is, since the class may branch on it.
    """
    dtype = jnp.zeros(()).dtype
    found = dict(_floats(agent))

    def array(value: Any) -> jax.Array:
        if isinstance(value, Tracer):
            return value
        # through NumPy, so that nothing has to be compiled
        return jnp.array(np.broadcast_to(np.asarray(value, dtype), np.shape(value) or shape))

    return eqx.tree_at(
        lambda agent: [_get(agent, path) for path in found], agent, [*map(array, found.values())]
    )


def _floats(
    module: eqx.Module, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The settings to trace, by path."""
    if type(module).__module__.partition(".")[0] != "rtrrl":
        return
    for field in dataclasses.fields(module):
        value, here = getattr(module, field.name), (*path, field.name)
        if field.metadata.get("static"):
            continue
        if isinstance(value, eqx.Module):
            yield from _floats(value, here)
        elif field.type is float and (eqx.is_array(value) or np.isfinite(value)):
            yield here, value


def _get(module: eqx.Module, path: Path) -> Any:
    for name in path:
        module = getattr(module, name)
    return module
