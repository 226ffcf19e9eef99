"""From the integers or the vector of an agent's action to the action of a Gymnasium environment.

The functions are closures over NumPy alone: they are sent to other processes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from rtrrl.errors import UnsupportedSpaceError


def flat_actions(space: Any, name: str) -> tuple[Any, Callable[[Any], Any]]:
    """A flat Gymnasium space of the same size as `space`, and the function from it to `space`.

    Discrete is counted from 0; MultiDiscrete and MultiBinary become MultiDiscrete; a Box a flat
    Box. A Dict or Tuple of discrete spaces only, or of boxes only, becomes one of these.

    >>> from gymnasium import spaces
    >>> space = spaces.Dict(a=spaces.Discrete(3), b=spaces.MultiBinary(2))
    >>> flat, to_action = flat_actions(space, "X")
    >>> flat, to_action(np.array([2, 0, 1]))
    (MultiDiscrete([3 2 2]), {'a': 2, 'b': array([0, 1], dtype=int8)})

    **Raises** `UnsupportedSpaceError` for anything else.
    """
    from gymnasium import spaces

    if isinstance(space, spaces.Discrete):
        start = int(space.start)
        return spaces.Discrete(int(space.n)), lambda action: int(action) + start
    if isinstance(space, spaces.MultiDiscrete):
        sizes, shape, dtype = space.nvec.ravel(), space.nvec.shape, space.dtype
        starts = np.asarray(space.start).ravel()
        return (
            spaces.MultiDiscrete(sizes),
            lambda action: (np.asarray(action) + starts).reshape(shape).astype(dtype),
        )
    if isinstance(space, spaces.MultiBinary):
        bit_shape, bits = space.shape, int(np.prod(space.shape))
        return (
            spaces.MultiDiscrete([2] * bits),
            lambda action: np.array(action, np.int8).reshape(bit_shape),
        )
    if isinstance(space, spaces.Box):
        box_shape, number = space.shape, np.dtype(space.dtype).type
        flat = spaces.Box(space.low.ravel(), space.high.ravel(), dtype=number)
        return flat, lambda action: np.array(action, number).reshape(box_shape)
    if isinstance(space, spaces.Dict | spaces.Tuple):
        return _joined(space, name)
    raise _unsupported(space, name)


def _joined(space: Any, name: str) -> tuple[Any, Callable[[Any], Any]]:
    """The joint space of a Dict or Tuple, whose parts are concatenated."""
    from gymnasium import spaces

    named = isinstance(space, spaces.Dict)
    keys = list(space.spaces) if named else list(range(len(space.spaces)))
    parts = [flat_actions(space[key], name) for key in keys]
    flats, functions = [part[0] for part in parts], [part[1] for part in parts]
    single = [isinstance(flat, spaces.Discrete) for flat in flats]
    sizes = [1 if one else flat.shape[0] for flat, one in zip(flats, single, strict=True)]
    ends = np.cumsum(sizes)[:-1]

    def to_action(action: Any) -> Any:
        pieces = np.split(np.asarray(action), ends)
        values = [
            function(piece[0] if one else piece)
            for function, piece, one in zip(functions, pieces, single, strict=True)
        ]
        return dict(zip(keys, values, strict=True)) if named else tuple(values)

    if all(isinstance(flat, spaces.Box) for flat in flats):
        low, high = (np.concatenate([getattr(f, end) for f in flats]) for end in ("low", "high"))
        return spaces.Box(low, high, dtype=low.dtype.type), to_action
    if any(isinstance(flat, spaces.Box) for flat in flats):
        raise _unsupported(space, name)
    counts = [[flat.n] if one else flat.nvec for flat, one in zip(flats, single, strict=True)]
    return spaces.MultiDiscrete(np.concatenate(counts)), to_action


def _unsupported(space: Any, name: str) -> UnsupportedSpaceError:
    return UnsupportedSpaceError(
        f"the actions of '{name}' are {space}: expected Box, Discrete, MultiDiscrete, "
        "MultiBinary, or a Dict or Tuple of discrete spaces only or of boxes only"
    )
