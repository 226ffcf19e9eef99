"""Objects by name: those of rtrrl, those registered by a user, those of installed packages."""

import dataclasses
import functools
import importlib.metadata
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from rtrrl.errors import RtrrlError, UnknownNameError

Member = TypeVar("Member", covariant=True)


class Registry(Mapping[str, Member], Generic[Member]):
    """Factories by name; `registry[name]` calls the one of that name.

    An installed package adds members by entry points of the group `rtrrl.KIND`. It is imported
    when such a member is first made.

    >>> shapes = Registry("shape", {"unit": lambda size=1: [size]})
    >>> shapes["unit"], shapes.make("unit", size=3)
    ([1], [3])
    >>> shapes.register("unit", list)
    Traceback (most recent call last):
    rtrrl.errors.RtrrlError: the shape 'unit' exists already: choose another name
    """

    def __init__(self, kind: str, members: Mapping[str, Callable[..., Member]]):
        self.kind = kind
        self._factories = dict(members)

    def register(self, name: str, factory: Callable[..., Member]) -> None:
        """Add a member.

        **Raises** `RtrrlError` where the name is malformed or taken, or the factory cannot be
        called.
        """
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][\w.-]*", name):
            raise RtrrlError(
                f"{name!r} is not a valid {self.kind} name: expected a letter, then letters, "
                "digits, '-', '_' or '.'"
            )
        instance = dataclasses.is_dataclass(factory) and not isinstance(factory, type)
        if instance or not callable(factory):  # an instance of a config can be called, with sizes
            raise RtrrlError(
                f"the factory of the {self.kind} '{name}' is {factory!r}: expected a class or a "
                "function"
            )
        if name in self:
            raise RtrrlError(f"the {self.kind} '{name}' exists already: choose another name")
        self._factories[name] = factory

    def make(self, name: str, *args: Any, **changes: Any) -> Member:
        """Call the factory of that name.

        **Raises** `UnknownNameError` with the most similar names; `RtrrlError` with the factory's
        message where it fails.
        """
        factory = self.factory(name)
        try:
            return factory(*args, **changes)
        except RtrrlError:
            raise
        except Exception as error:
            raise RtrrlError(
                f"the {self.kind} '{name}' cannot be made: {type(error).__name__}: {error}"
            ) from error

    def factory(self, name: str) -> Callable[..., Member]:
        """The factory of that name. **Raises** as `make` does, where there is none."""
        points = _entry_points(self.kind).get(name, ())
        if len(points) + (name in self._factories) > 1:
            packages = ", ".join(point.dist.name for point in points if point.dist)
            raise RtrrlError(
                f"the {self.kind} '{name}' is defined more than once, also by the entry points of "
                f"{packages}: rename one there, or uninstall it"
            )
        if name in self._factories:
            return self._factories[name]
        if not points:
            raise UnknownNameError(self.kind, name, self)
        try:
            return points[0].load()
        except Exception as error:
            raise RtrrlError(
                f"the {self.kind} '{name}' cannot be imported from {points[0].value}: {error}"
            ) from error

    def __getitem__(self, name: str) -> Member:
        return self.make(name)

    def get(self, name: str, default: Any = None) -> Any:
        """`registry[name]`, or `default` where there is no such name."""
        return self[name] if name in self else default  # noqa: SIM401

    def __contains__(self, name: object) -> bool:
        return name in self._factories or name in _entry_points(self.kind)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._factories, *_entry_points(self.kind)]))

    def __len__(self) -> int:
        return sum(1 for _ in self)


@functools.cache
def _entry_points(kind: str) -> dict[str, tuple[importlib.metadata.EntryPoint, ...]]:
    """The entry points of installed packages, by name; nothing is imported."""
    points: dict[str, tuple[importlib.metadata.EntryPoint, ...]] = {}
    for point in importlib.metadata.entry_points(group=f"rtrrl.{kind}"):
        points[point.name] = (*points.get(point.name, ()), point)
    return points


def import_entry_points(module: str) -> None:
    """Import what installed packages register from `module`, if anything."""
    for point in importlib.metadata.entry_points(module=module):
        if point.group.startswith("rtrrl."):
            point.load()
