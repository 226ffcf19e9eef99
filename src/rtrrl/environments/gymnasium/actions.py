"""From the action of an agent to the action of a Gymnasium environment.

The functions are closures over NumPy alone: they are sent to other processes.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rtrrl.environments.spaces import Box, Discrete, MultiDiscrete, Product, Space
from rtrrl.errors import UnsupportedSpaceError

Numbers = Sequence[Any] | np.ndarray
Convert = Callable[[Numbers, Numbers], Any]


def flat_actions(space: Any, name: str) -> tuple[Space, Callable[[Any], Any]]:
    """The action space for agents, and the function from its elements to those of `space`.

    Every action is a vector of integers, counted from 0, a vector of numbers, or both. What the
    function returns is always contained in `space`: rounded to its dtype, between its bounds.

    A Box of integers becomes one of numbers, in which each integer k, counted from the bound, is
    the interval from k − ½ to k + ½. A Box so far from 0 that float32 does not resolve it is
    counted from a bound.

    >>> from gymnasium import spaces
    >>> space = spaces.Dict(a=spaces.Discrete(3), b=spaces.Box(-5, 5, (2,), np.int8))
    >>> flat, to_action = flat_actions(space, "X")
    >>> str(flat), to_action(np.array([2, 0.4, 10.5]))
    ('Product(MultiDiscrete(3), Box(2))', {'a': 2, 'b': array([-5,  5], dtype=int8)})

    **Raises** `UnsupportedSpaceError` for other kinds of spaces.
    """
    from gymnasium import spaces

    sizes, low, high, convert = _flat(space, name)
    choices, numbers = MultiDiscrete(tuple(sizes)), Box((len(low),), tuple(low), tuple(high))
    count = len(sizes)
    if isinstance(space, spaces.Discrete):
        return Discrete(sizes[0]), lambda action: convert([action], [])
    if count and low:
        product = Product(choices, numbers)
        return product, lambda action: convert(action[:count].astype(int), action[count:])
    if count:
        return choices, lambda action: convert(action, [])
    if low:
        return numbers, lambda action: convert([], action)
    raise _unsupported(space, name)


class _Flat(NamedTuple):
    """A space as integers and numbers, and the function from these to its elements."""

    sizes: list[int]
    """How many values each integer has."""
    low: list[float]
    high: list[float]
    """The bounds of the numbers."""
    convert: Convert


def _flat(space: Any, name: str) -> _Flat:
    from gymnasium import spaces

    if isinstance(space, spaces.Discrete):
        start = int(space.start)
        return _Flat([int(space.n)], [], [], lambda choices, _: int(choices[0]) + start)
    if isinstance(space, spaces.MultiDiscrete):
        shape, dtype = space.nvec.shape, space.dtype
        starts = np.ravel(space.start).astype(int)
        return _Flat(
            space.nvec.ravel().tolist(),
            [],
            [],
            lambda choices, _: (np.asarray(choices, int) + starts).astype(dtype).reshape(shape),
        )
    if isinstance(space, spaces.MultiBinary):
        bits = space.shape
        return _Flat(
            [2] * math.prod(bits),
            [],
            [],
            lambda choices, _: np.asarray(choices, np.int8).reshape(bits),
        )
    if isinstance(space, spaces.Box):
        return _real(space) if space.dtype.kind == "f" else _whole(space)
    if isinstance(space, spaces.Dict | spaces.Tuple):
        return _joined(space, name)
    raise _unsupported(space, name)


def _real(space: Any) -> _Flat:
    """A Box of floating-point numbers."""
    shape, dtype, limits = space.shape, space.dtype, np.finfo(space.dtype)
    wide = np.result_type(dtype, np.float64)
    low, high = space.low.ravel().astype(wide), space.high.ravel().astype(wide)
    least, most = np.maximum(low, limits.min), np.minimum(high, limits.max)
    origin = _origin(Box.of(low, high, low.shape))

    def convert(_: Numbers, numbers: Numbers) -> np.ndarray:
        # NaN is that of an agent whose run is about to be ended
        near = np.nan_to_num(np.asarray(numbers, wide)) + origin
        return np.clip(near, least, most).astype(dtype).reshape(shape)

    near_low, near_high = ((bound - origin).astype(float).tolist() for bound in (low, high))
    return _Flat([], near_low, near_high, convert)


def _origin(box: Box) -> np.ndarray:
    """From where to count: a bound, where float32 has fewer than 256 steps in the range, else 0."""
    below, above = box.bounded
    low, high = np.where(below, box.low, 0), np.where(above, box.high, 0)
    width = np.where(below & above, high - low, 2)
    step = np.maximum(np.abs(low), np.abs(high)) * 2.0**-23
    return np.where((width > 0) & (width < 256 * step), np.where(below, low, high), 0)


def _whole(space: Any) -> _Flat:
    """A Box of integers; Python's do not overflow."""
    shape, dtype = space.shape, space.dtype
    low, high = ([int(bound) for bound in each.ravel()] for each in (space.low, space.high))
    below, above = Box.of(
        np.where(space.bounded_below, space.low.astype(float), -np.inf),
        np.where(space.bounded_above, space.high.astype(float), np.inf),
        shape,
    ).bounded
    bounds = list(zip(low, high, below.tolist(), above.tolist(), strict=True))
    origins = [least if b else most if a else 0 for least, most, b, a in bounds]
    halves = [0.5 if least < most else 0.0 for least, most in zip(low, high, strict=True)]

    def convert(_: Numbers, numbers: Numbers) -> np.ndarray:
        near = np.nan_to_num(np.asarray(numbers, float)).tolist()
        whole = [
            min(max(origin + math.floor(number + 0.5), least), most)
            for number, origin, least, most in zip(near, origins, low, high, strict=True)
        ]
        return np.array(whole, dtype).reshape(shape)

    cells = list(zip(bounds, origins, halves, strict=True))
    return _Flat(
        [],
        [least - origin - half if b else -math.inf for (least, _, b, _), origin, half in cells],
        [most - origin + half if a else math.inf for (_, most, _, a), origin, half in cells],
        convert,
    )


def _joined(space: Any, name: str) -> _Flat:
    """A Dict or Tuple, whose parts are concatenated."""
    from gymnasium import spaces

    named = isinstance(space, spaces.Dict)
    keys = list(space.spaces) if named else list(range(len(space.spaces)))
    parts = [_flat(space[key], name) for key in keys]
    functions = [part.convert for part in parts]
    of_choices = _slices([len(part.sizes) for part in parts])
    of_numbers = _slices([len(part.low) for part in parts])

    def convert(choices: Numbers, numbers: Numbers) -> Any:
        values = [
            function(choices[one], numbers[other])
            for function, one, other in zip(functions, of_choices, of_numbers, strict=True)
        ]
        return dict(zip(keys, values, strict=True)) if named else tuple(values)

    return _Flat(
        [size for part in parts for size in part.sizes],
        [bound for part in parts for bound in part.low],
        [bound for part in parts for bound in part.high],
        convert,
    )


def _slices(lengths: list[int]) -> list[slice]:
    """Where pieces of these lengths are, one after the other."""
    return [slice(sum(lengths[:i]), sum(lengths[: i + 1])) for i in range(len(lengths))]


def _unsupported(space: Any, name: str) -> UnsupportedSpaceError:
    return UnsupportedSpaceError(
        f"the actions of '{name}' are {space}: expected Box, Discrete, MultiDiscrete, "
        "MultiBinary, or a Dict or Tuple of them"
    )
