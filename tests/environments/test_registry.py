import importlib.metadata
import json
import sys
from dataclasses import asdict

import gymnasium
import pytest

from rtrrl.environments import (
    Box,
    DelayedRecall,
    Discrete,
    Gymnasium,
    Masked,
    ScaledReward,
    TimeLimit,
    TMaze,
    as_environment,
    make,
    register,
    registry,
    tasks,
)
from rtrrl.errors import RtrrlError, UnknownNameError
from rtrrl.utils import registry as named

PAPER = (
    "CartPole CartPole-vel CartPole-pos MetaMaze DiscountingChain UmbrellaChain "
    "BernoulliBandit GaussianBandit Reacher Swimmer MountainCarContinuous "
    "MountainCarContinuous-vel MountainCarContinuous-pos MemoryChain MemoryChain-4 "
    "MemoryChain-64 DeepSea DeepSea-4 DeepSea-16 Catch PointRobot Acrobot Pendulum FourRooms "
    "TMaze-10 DelayedRecall-5"
)


@pytest.mark.parametrize("name", PAPER.split())
def test_every_task_of_the_paper_is_made_by_its_name(name):
    env = make(name)
    assert env.name == name
    assert isinstance(env.observation_space, Box)
    assert len(env.observation_space.shape) == 1


def test_numbers_in_names_are_passed_on():
    deep = make("DeepSea-5").observation_space
    assert isinstance(deep, Box)
    assert deep.size == 25
    assert make("DelayedRecall-7-3").action_space == Discrete(7)
    assert make("DelayedRecall-7").action_space == Discrete(2)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("CartPol", "CartPole"),
        ("cartpole-POS", "CartPole-pos"),
        ("CartPole-xyz", "CartPole-pos"),
        ("MemryChain-32", "MemoryChain-32"),
        ("TMaze", "TMaze-10"),
        ("Catch ", "Catch"),
    ],
)
def test_an_unknown_name_suggests_the_most_similar(name, nearest):
    with pytest.raises(UnknownNameError, match=f"unknown task '{name}'.*{nearest}") as error:
        make(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["", "?"])
def test_a_name_similar_to_none_lists_all(name):
    with pytest.raises(UnknownNameError, match="MetaMaze"):
        make(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MemoryChain-0", "MemoryChain-N takes N from 1 to 1000000, as in MemoryChain-32"),
        ("MemoryChain--3", "MemoryChain-N takes"),
        ("MemoryChain-", "MemoryChain-N takes"),
        ("MemoryChain-1e3", "MemoryChain-N takes"),
        ("MemoryChain-٣", "MemoryChain-N takes"),
        ("MemoryChain-4-5", "MemoryChain-N takes"),
        ("MemoryChain-" + "9" * 30, "MemoryChain-N takes"),
        ("DeepSea-abc", "DeepSea-N takes N from 1 to 100, as in DeepSea-8"),
        ("DeepSea-101", "DeepSea-N takes"),
        ("TMaze-0", "TMaze-N takes"),
        ("DelayedRecall-1-5", "DelayedRecall-K-N takes K from 2 to 1000 and N from 1"),
    ],
)
def test_a_malformed_number_or_one_out_of_range(name, expected):
    with pytest.raises(RtrrlError, match=expected) as error:
        make(name)
    assert "\n" not in str(error.value)
    assert name in str(error.value)


@pytest.mark.parametrize(
    "environment",
    [ScaledReward(make("TMaze-3"), 100.0), TimeLimit(Masked(make("TMaze-3"), (0,)), 9)],
)
def test_a_wrapped_environment_is_not_made_from_its_name(environment):
    with pytest.raises(
        RtrrlError, match="cannot be made from its name: pass the environment"
    ) as error:
        make(environment.name)
    assert "\n" not in str(error.value)
    assert f"'{environment.name}'" in str(error.value)


def test_the_list_of_tasks_is_plain_data():
    infos = tasks()
    assert len({info.name for info in infos}) == len(infos) >= 25
    assert json.loads(json.dumps([asdict(info) for info in infos]))[0]["name"] == "CartPole"
    for info in infos:
        assert make(info.example).name == info.example
        assert info.description
        assert "terminated" in info.ends or "truncated" in info.ends


TAKEN = (
    "CartPole TMaze-N TMaze-K TMaze-7 DelayedRecall-4-8 brax brax-mjx brax/ant gymnasium neurogym "
    "Mine-N Mine-K Mine-4 Other Third-5 Third-N"
)


@pytest.fixture
def registered(monkeypatch):
    """An empty registry of users' environments."""
    monkeypatch.setattr(registry, "ENVIRONMENTS", named.Registry("environment", {}))


@pytest.fixture
def entry_points(monkeypatch, tmp_path):
    """A function that sets the entry points `name = "value"`, to a module with this source."""

    def define(source: str, **values: str):
        (tmp_path / "plugin.py").write_text(source)
        points = {
            name: (importlib.metadata.EntryPoint(name, value, "rtrrl.environment"),)
            for name, value in values.items()
        }
        monkeypatch.setattr(named, "_entry_points", lambda kind: points)

    monkeypatch.syspath_prepend(tmp_path)
    yield define
    sys.modules.pop("plugin", None)


def recall(cues, delay):
    """A recall with distraction.

    Details.
    """
    return DelayedRecall(delay, cues, 0.5)


@pytest.mark.usefixtures("registered")
def test_a_registered_environment_is_made_by_its_name():
    register("Recall-K-N", recall)
    register("ShortMaze", lambda: TMaze(2))
    register("Cart", lambda: Gymnasium("CartPole-v1"))
    environment = make("Recall-3-7")
    assert environment.name == "Recall-3-7"
    assert environment.env == DelayedRecall(7, 3, 0.5)  # type: ignore[attr-defined]
    assert make("ShortMaze").name == "ShortMaze"
    cart = make("Cart")
    assert (cart.name, cart.action_space) == ("Cart", Discrete(2))
    cart.make_vector(1).close()  # type: ignore[attr-defined]
    infos = {info.name: info for info in tasks() if info.backend == "registered"}
    assert list(infos) == ["Recall-K-N", "ShortMaze", "Cart"]
    assert infos["Recall-K-N"].description == "A recall with distraction."
    assert make(infos["Recall-K-N"].example).name == "Recall-10-10"
    with pytest.raises(UnknownNameError, match="did you mean ShortMaze"):
        make("ShortMaz")
    for name in ("Recall-0-7", "Recall-3", "Recall-3-x"):
        with pytest.raises(RtrrlError, match=f"no task '{name}': Recall-K-N takes K from 1 to"):
            make(name)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("name", TAKEN.split())
def test_a_name_is_not_registered_twice(name):
    for taken in ("Mine-N", "Other", "Third-5"):
        register(taken, recall)
    with pytest.raises(RtrrlError, match=f"the environment '{name}' exists already"):
        register(name, recall)


@pytest.mark.usefixtures("registered")
def test_a_malformed_name_is_not_registered():
    for name in ("", "a/b", "5", "brax/mine"):
        with pytest.raises(RtrrlError, match="is not a valid environment name"):
            register(name, recall)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (lambda n: TMaze(n - 5), "'X-5' cannot be made: the corridor of a T-maze is at least 1"),
        (lambda n: {}[n], "'X-5' cannot be made: KeyError: 5"),
        (lambda n: int(f"{n}\nx"), "'X-5' cannot be made: ValueError: invalid literal"),
        (lambda: TMaze(3), "'X-5' cannot be made: TypeError: .*takes 0 positional arguments"),
        (lambda n: n, "factory of 'X-5' returns 5: it must return an Environment or a HostEnv"),
        (
            lambda n: gymnasium.make("CartPole-v1"),
            r"returns a gymnasium environment: it must return .*Gymnasium\(make\)",
        ),
    ],
)
def test_a_factory_that_fails_is_named(factory, message):
    register("X-N", factory)
    with pytest.raises(RtrrlError, match=message) as error:
        make("X-5")
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("registered")
def test_an_installed_package_adds_environments(entry_points):
    source = (
        'from rtrrl.environments import TMaze\ndef maze(n):\n    "A maze."\n    return TMaze(n)'
    )
    entry_points(source, **{"Maze-N": "plugin:maze", "Broken": "plugin:gone"})
    assert make("Maze-4").env == TMaze(4)  # type: ignore[attr-defined]
    with pytest.raises(RtrrlError, match="'Broken' cannot be imported from plugin:gone"):
        make("Broken")
    described = {info.name: info.description for info in tasks() if info.backend == "registered"}
    assert described["Maze-N"] == "A maze."
    assert "cannot be imported from plugin:gone" in described["Broken"]
    with pytest.raises(RtrrlError, match="the environment 'Maze-3' exists already"):
        register("Maze-3", recall)


@pytest.mark.usefixtures("registered")
def test_a_package_that_redefines_a_task_is_an_error(entry_points):
    entry_points("", **{"TMaze-N": "plugin:maze"})
    with pytest.raises(RtrrlError, match=r"more than one task has the name 'TMaze-4' \(TMaze-N"):
        make("TMaze-4")


def test_the_letters_of_a_name_are_its_numbers():
    for row in registry.TASKS:
        assert len(registry._letters(row.info.name)) == len(row.ranges)


def test_as_environment():
    maze = TMaze(3)
    assert as_environment("TMaze-3") == make("TMaze-3")
    assert as_environment(maze) is maze
    assert as_environment(lambda: gymnasium.make("CartPole-v1")).name == "CartPole-v1"
    with pytest.raises(UnknownNameError):
        as_environment("TMaz")
    one = gymnasium.make("CartPole-v1")
    for source, message in (
        (one, "CartPoleEnv is one gymnasium environment, .* needs copies: pass a function"),
        (TMaze, "cannot use the class TMaze as an environment: expected the name of a task, an"),
        (3, "cannot use 3 as an environment: expected"),
        (None, "cannot use None as an environment: expected"),
        (lambda: maze, "expected a function that makes a gymnasium.Env"),
    ):
        with pytest.raises(RtrrlError, match=message) as error:
            as_environment(source)
        assert "\n" not in str(error.value)
