"""What can be said of any module: a hash, and whose classes it is made of."""

import equinox as eqx
import jax


def structural_hash(module: eqx.Module) -> int:
    """A hash that agrees with `==` and exists where fields are arrays, which have none.

    `jax.jit(agent.step)` needs one. An array counts by shape and dtype alone.
    """
    leaves, structure = jax.tree.flatten(module)
    hashable = [(leaf.shape, leaf.dtype) if eqx.is_array(leaf) else leaf for leaf in leaves]
    return hash((structure, *hashable))


def is_own(module: eqx.Module) -> bool:
    """Whether rtrrl defines the class of the module and those of all modules in its fields."""
    if type(module).__module__.partition(".")[0] != "rtrrl":
        return False
    return all(is_own(value) for value in vars(module).values() if isinstance(value, eqx.Module))
