"""Names that users register, and those of installed packages."""

import inspect
import sys

import pytest

from rtrrl.cells import GRUConfig
from rtrrl.errors import RtrrlError, UnknownNameError
from rtrrl.utils import registry
from rtrrl.utils.registry import Registry, import_entry_points


@pytest.fixture
def shapes():
    return Registry("shape", {"point": list, "line": lambda length=1: [length]})


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that puts a distribution with one module and one entry point on `sys.path`."""

    def add(package, entry_point, code=""):
        (tmp_path / f"{package}.py").write_text(code)
        metadata = tmp_path / f"{package}-1.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
        (metadata / "entry_points.txt").write_text(f"[rtrrl.shape]\n{entry_point}\n")
        registry._entry_points.cache_clear()

    monkeypatch.syspath_prepend(tmp_path)
    yield add
    registry._entry_points.cache_clear()
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


def test_a_registry_is_a_mapping_that_makes_its_members(shapes):
    assert list(shapes) == ["point", "line"]
    assert len(shapes) == 2
    assert dict(shapes) == {"point": [], "line": [1]}
    assert shapes["point"] is not shapes["point"]
    assert shapes.make("line", 3) == shapes.make("line", length=3) == [3]


def test_get_answers_an_unknown_name_with_the_default(shapes):
    assert shapes.get("line") == [1]
    assert shapes.get("circle") is None
    assert shapes.get("circle", "none") == "none"


def test_a_registered_member_is_made_like_the_others(shapes):
    shapes.register("circle", dict)
    assert shapes["circle"] == {}
    assert "circle" in shapes
    assert list(shapes)[-1] == "circle"


@pytest.mark.parametrize(
    ("name", "factory", "message"),
    [
        ("point", list, "the shape 'point' exists already"),
        ("", list, "'' is not a valid shape name: expected a letter"),
        ("two words", list, "'two words' is not a valid shape name"),
        ("-flag", list, "'-flag' is not a valid shape name"),
        (
            "circle",
            [],
            r"the factory of the shape 'circle' is \[\]: expected a class or a function",
        ),
        ("gru", GRUConfig(), r"the factory of the shape 'gru' is GRUConfig\(.*: expected a class"),
    ],
)
def test_a_bad_registration_is_refused(shapes, name, factory, message):
    with pytest.raises(RtrrlError, match=message):
        inspect.unwrap(Registry.register)(shapes, name, factory)  # without the tests' type check
    assert list(shapes) == ["point", "line"]


def test_an_unknown_name_is_answered_with_similar_ones(shapes):
    with pytest.raises(UnknownNameError, match="unknown shape 'pint': did you mean point"):
        shapes["pint"]
    with pytest.raises(UnknownNameError, match="unknown shape 'xyz': choose from line, point"):
        shapes["xyz"]


def test_a_factory_that_fails_gives_one_line_and_the_cause(shapes):
    shapes.register("broken", lambda: 1 / 0)
    with pytest.raises(
        RtrrlError, match="the shape 'broken' cannot be made: ZeroDivisionError: division by zero"
    ) as raised:
        shapes["broken"]
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_an_error_of_rtrrl_in_a_factory_is_not_wrapped(shapes):
    error = RtrrlError("a message")

    def fail():
        raise error

    shapes.register("broken", fail)
    with pytest.raises(RtrrlError) as raised:
        shapes["broken"]
    assert raised.value is error


def test_an_entry_point_is_a_member_and_imported_when_it_is_made(shapes, install):
    install("rtrrl_squares", "square = rtrrl_squares:square", "square = lambda side=2: [side] * 4")
    assert "square" in shapes
    assert list(shapes) == ["point", "line", "square"]
    assert "rtrrl_squares" not in sys.modules
    assert shapes["square"] == [2, 2, 2, 2]
    assert shapes.make("square", side=3) == [3, 3, 3, 3]
    with pytest.raises(RtrrlError, match="the shape 'square' exists already"):
        shapes.register("square", list)
    assert "square" not in Registry("another kind", {})


def test_an_entry_point_does_not_replace_a_member(shapes, install):
    install("rtrrl_points", "point = rtrrl_points:point", "point = tuple")
    with pytest.raises(RtrrlError, match=r"'point' is defined more than once.*of rtrrl_points"):
        shapes["point"]
    assert shapes["line"] == [1]


def test_two_entry_points_of_one_name_are_refused(shapes, install):
    install("rtrrl_one", "square = rtrrl_one:square", "square = tuple")
    install("rtrrl_two", "square = rtrrl_two:square", "square = list")
    with pytest.raises(RtrrlError, match=r"entry points of (rtrrl_one|rtrrl_two), (rtrrl_\w+)"):
        shapes["square"]


@pytest.mark.parametrize(
    ("code", "cause"), [("import no_such_module", "no_such_module"), ("", "square")]
)
def test_an_entry_point_that_cannot_be_imported_gives_its_source(shapes, install, code, cause):
    install("rtrrl_squares", "square = rtrrl_squares:square", code)
    with pytest.raises(
        RtrrlError, match=f"'square' cannot be imported from rtrrl_squares:square: .*{cause}"
    ):
        shapes["square"]


def test_entry_points_are_imported_by_their_module(install):
    install("rtrrl_squares", "square = rtrrl_squares:square", "square = tuple")
    import_entry_points("another_module")
    assert "rtrrl_squares" not in sys.modules
    import_entry_points("rtrrl_squares")
    assert "rtrrl_squares" in sys.modules
