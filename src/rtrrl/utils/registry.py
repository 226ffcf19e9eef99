"""Things that are chosen by name: ours, those a user registers, those of installed packages."""

import functools
import importlib.metadata
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from rtrrl.errors import RtrrlError, UnknownNameError

Member = TypeVar("Member", covariant=True)


class Registry(Mapping[str, Member], Generic[Member]):
    """Factories by name; `registry[name]` calls one.

    A package adds members with entry points of the group `rtrrl.KIND`; such a package is imported
    when its member is first asked for.

    >>> shapes = Registry("shape", {"unit": lambda size=1: [size]})
    >>> shapes["unit"], shapes.make("unit", size=3)
    ([1], [3])
    >>> shapes.register("unit", list)
    Traceback (most recent call last):
    rtrrl.errors.RtrrlError: there is a shape 'unit' already: choose another name
    """

    def __init__(self, kind: str, members: Mapping[str, Callable[..., Member]]):
        self.kind = kind
        self._factories = dict(members)

    def register(self, name: str, factory: Callable[..., Member]) -> None:
        """Add a member.

        **Raises** `RtrrlError` where the name is taken or malformed, or the factory is not
        callable.
        """
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][\w.-]*", name):
            raise RtrrlError(
                f"{name!r} cannot name a {self.kind}: expected a letter, then letters, digits, "
                "'-', '_' or '.'"
            )
        if not callable(factory):
            raise RtrrlError(
                f"the factory of {self.kind} '{name}' is {factory!r}: expected a class or a "
                "function"
            )
        if name in self:
            raise RtrrlError(f"there is a {self.kind} '{name}' already: choose another name")
        self._factories[name] = factory

    def make(self, name: str, *args: Any, **changes: Any) -> Member:
        """A new member, from the factory of that name.

        **Raises** `UnknownNameError` with the nearest names; `RtrrlError` where the factory fails,
        with its own message.
        """
        factory = self._factory(name)
        try:
            return factory(*args, **changes)
        except RtrrlError:
            raise
        except Exception as error:
            raise RtrrlError(
                f"the {self.kind} '{name}' cannot be made: {type(error).__name__}: {error}"
            ) from error

    def _factory(self, name: str) -> Callable[..., Member]:
        found = _entry_points(self.kind).get(name, ())
        if len(found) + (name in self._factories) > 1:
            packages = ", ".join(f"{point.dist.name}" for point in found if point.dist)
            raise RtrrlError(
                f"there are two of the name {self.kind} '{name}': see the entry points of "
                f"{packages}; uninstall one, or rename it there"
            )
        if name in self._factories:
            return self._factories[name]
        if not found:
            raise UnknownNameError(self.kind, name, self)
        try:
            return found[0].load()
        except Exception as error:
            raise RtrrlError(
                f"the {self.kind} '{name}' cannot be imported from {found[0].value}: {error}"
            ) from error

    def __getitem__(self, name: str) -> Member:
        return self.make(name)

    def __contains__(self, name: object) -> bool:
        return name in self._factories or name in _entry_points(self.kind)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._factories, *_entry_points(self.kind)]))

    def __len__(self) -> int:
        return len(list(iter(self)))


@functools.cache
def _entry_points(kind: str) -> dict[str, tuple[importlib.metadata.EntryPoint, ...]]:
    """The entry points of installed packages, by name; nothing is imported."""
    found: dict[str, tuple[importlib.metadata.EntryPoint, ...]] = {}
    for point in importlib.metadata.entry_points(group=f"rtrrl.{kind}"):
        found[point.name] = (*found.get(point.name, ()), point)
    return found
