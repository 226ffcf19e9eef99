"""Every public name of the package has a docstring; an override inherits the one of its base."""

import importlib
import inspect
import pkgutil

import pytest

import rtrrl

MODULES = ["rtrrl", *(found.name for found in pkgutil.walk_packages(rtrrl.__path__, "rtrrl."))]


def public_members(module):
    """The classes and functions of a module, and their methods and properties, by name."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(thing) or callable(thing):
            yield name, thing
        if inspect.isclass(thing):
            for attribute, member in vars(thing).items():
                is_method = isinstance(member, classmethod | staticmethod | property)
                if not attribute.startswith("_") and (is_method or inspect.isroutine(member)):
                    yield f"{name}.{attribute}", getattr(thing, attribute)


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_public_names_have_docstrings(name):
    module = importlib.import_module(name)
    assert inspect.getdoc(module)
    assert [path for path, thing in public_members(module) if not inspect.getdoc(thing)] == []
