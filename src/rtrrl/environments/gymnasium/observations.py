"""From an observation of a Gymnasium environment to a vector.

The functions are closures over NumPy alone: they are sent to other processes.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rtrrl.environments.gymnasium.construction import BrokenRuleError
from rtrrl.errors import UnsupportedSpaceError

Read = Callable[[Any], np.ndarray]


def flat_observations(space: Any, name: str) -> tuple[Any, Read]:
    """A flat Box of the same size as `space`, and the function from an observation to its vector.

    Numbers keep their precision. Discrete and MultiDiscrete are one-hot; the parts of a Dict or
    Tuple are concatenated.

    >>> from gymnasium import spaces
    >>> space = spaces.Dict(at=spaces.Box(-1, 1, (2,)), door=spaces.Discrete(3))
    >>> flat, to_vector = flat_observations(space, "X")
    >>> flat.shape, to_vector({"at": [0.5, 1.0], "door": 1})
    ((5,), array([0.5, 1. , 0. , 1. , 0. ]))

    **Raises** `UnsupportedSpaceError` where the space has no fixed length or no entries. The
    function raises `BrokenRuleError` for an observation of another kind or shape than the space's.
    """
    from gymnasium import spaces

    try:
        flat = spaces.flatten_space(space)
    except (NotImplementedError, ValueError):  # a ValueError: of a Dict or Tuple without parts
        flat = None
    if not isinstance(flat, spaces.Box):
        raise UnsupportedSpaceError(
            f"the observations of '{name}' are {space}, which has no fixed length or no "
            "entries: expected Box, Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of "
            "them"
        )
    return flat, _reader(space, "the observation")


def _reader(space: Any, what: str) -> Read:
    from gymnasium import spaces

    if isinstance(space, spaces.Box | spaces.MultiBinary):
        return _numbers(space.shape, what)
    if isinstance(space, spaces.Discrete):
        return _one_hot(np.array([space.n]), np.array([space.start]), (), what)
    if isinstance(space, spaces.MultiDiscrete):
        return _one_hot(space.nvec.ravel(), np.ravel(space.start), space.shape, what)
    if isinstance(space, spaces.Dict | spaces.Tuple):
        named = isinstance(space, spaces.Dict)
        parts: Any = space.spaces if named else dict(enumerate(space.spaces))
        readers = {key: _reader(part, f"{what}[{key!r}]") for key, part in parts.items()}
        return _joined(readers, named, what)
    return lambda observation: np.asarray(spaces.flatten(space, observation))


def _numbers(shape: tuple[int, ...], what: str) -> Read:
    significant = [length for length in shape if length != 1]

    def read(observation: Any) -> np.ndarray:
        array = _array(observation, what)
        if array.dtype.kind not in "buif":
            raise BrokenRuleError(f"{what} is {observation!r:.60}", f"numbers of shape {shape}")
        if array.shape != shape and [n for n in array.shape if n != 1] != significant:
            raise BrokenRuleError(f"{what} has shape {array.shape}", f"{shape}, as in its space")
        return array.ravel()

    return read


def _one_hot(counts: np.ndarray, starts: np.ndarray, shape: tuple[int, ...], what: str) -> Read:
    counts, starts = counts.astype(np.int64), starts.astype(np.int64)
    offsets = np.cumsum(counts) - counts
    expected = f"integers of shape {shape}" if shape else "an integer"
    expected += f" from {_listed(starts)} to {_listed(starts + counts - 1)}"

    def read(observation: Any) -> np.ndarray:
        array = _array(observation, what)
        fits = array.dtype.kind in "bui" and array.size == counts.size
        index = array.ravel().astype(np.int64) - starts if fits else np.full_like(starts, -1)
        if not ((index >= 0) & (index < counts)).all():
            raise BrokenRuleError(f"{what} is {observation!r:.60}", expected)
        vector = np.zeros(int(counts.sum()), np.float32)
        vector[offsets + index] = 1
        return vector

    return read


def _joined(readers: dict[Any, Read], named: bool, what: str) -> Read:
    kind: Any = Mapping if named else tuple | list
    expected = f"a dict with the entries {list(readers)}" if named else f"a tuple of {len(readers)}"

    def read(observation: Any) -> np.ndarray:
        if not isinstance(observation, kind):
            raise BrokenRuleError(f"{what} is {observation!r:.60}", expected)
        if named and (missing := [key for key in readers if key not in observation]):
            raise BrokenRuleError(f"{what} lacks the entry {missing[0]!r}", expected)
        if not named and len(observation) != len(readers):
            raise BrokenRuleError(f"{what} has {len(observation)} parts", expected)
        return np.concatenate([reader(observation[key]) for key, reader in readers.items()])

    return read


def _array(observation: Any, what: str) -> np.ndarray:
    try:
        return np.asarray(observation)
    except ValueError as error:  # of lists of different lengths
        raise BrokenRuleError(f"{what} is {observation!r:.60}", "an array") from error


def _listed(numbers: np.ndarray) -> Any:
    return int(numbers[0]) if numbers.size == 1 else numbers.tolist()
