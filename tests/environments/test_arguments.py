"""Constructor arguments, in Python and in the names of environments."""

import gymnasium
import numpy as np
import pytest

import rtrrl
from rtrrl.environments import Discrete, Gymnasium, HostEnvironment, TMaze, make, register
from rtrrl.environments.arguments import split_arguments, with_arguments
from rtrrl.errors import RtrrlError, UnknownNameError

MODULE = """
import gymnasium
import numpy as np
from gymnasium import spaces


class Grid(gymnasium.Env):
    action_space = spaces.Discrete(2)

    def __init__(self, size=5, mode="easy", render_mode=None):
        self.observation_space = spaces.Box(0, size, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1), {}

    def step(self, action):
        return np.zeros(1), 1.0, True, False, {}


gymnasium.register("Grid-v0", Grid)
"""


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """The name of an environment in a module of the user's."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "my_grids.py").write_text(MODULE)
    (folder / "empty.py").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield "gymnasium/my_grids:Grid-v0"


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": 8},
        {"mode": "it's (easy), a=b", "size": -1.5e-3},
        {"nested": {"a": [1, (2, None)], "b": True}, "z": ""},
    ],
)
def test_arguments_are_read_back_from_a_name(arguments):
    name = with_arguments("gymnasium/X-v0@0:2", arguments)
    assert split_arguments(name) == ("gymnasium/X-v0@0:2", arguments)
    reversed_order = dict(reversed(arguments.items()))
    assert with_arguments("gymnasium/X-v0@0:2", reversed_order) == name


@pytest.mark.parametrize(
    "name", ["TMaze-3", "TimeLimit(TMaze-3)", "X(f(1))", "X(a=b)", "X(1, a=2)"]
)
def test_a_name_without_readable_arguments_is_left_as_it_is(name):
    assert split_arguments(name) == (name, {})


def test_arguments_reach_the_constructor_and_stay_in_the_name(grid):
    environment = make(grid, size=8)
    assert environment.name == f"{grid}(size=8)"
    assert environment.observation_space.high == (8.0,)
    assert make(environment.name).observation_space == environment.observation_space
    other = make(environment.name, size=9, mode="hard")
    assert other.name == f"{grid}(mode='hard', size=9)"
    assert other.observation_space.high == (9.0,)
    assert make(f"{grid}@0", size=3).observation_space.high == (3.0,)
    assert rtrrl.make_agent("random", f"{grid}(size=3)").task == f"{grid}(size=3)"


def test_gymnasiums_own_argument_and_those_of_neurogym_are_passed():
    envs = make("gymnasium/CartPole-v1", max_episode_steps=1).make_vector(1)
    envs.reset([0], np.array([True]))
    assert envs.step(np.array([0])).last.all()
    pytest.importorskip("neurogym")
    lengths = [steps_of_a_trial(make("neurogym/GoNogo-v0", dt=dt)) for dt in (100, 50)]
    assert lengths[1] > 1.5 * lengths[0]


def steps_of_a_trial(environment):
    envs = environment.make_vector(1)
    envs.reset([0], np.array([True]))
    return next(time for time in range(500) if envs.step(np.array([0])).last.all())


def test_seed_once_is_an_argument_of_every_environment_of_gymnasium(grid):
    environment = make(grid, seed_once=7, size=8)
    assert isinstance(environment, Gymnasium)
    assert (environment.seed_once, environment.source) == (7, "my_grids:Grid-v0(size=8)")
    assert environment.name == f"{grid}(seed_once=7, size=8)"


@pytest.mark.usefixtures("registries")
def test_registered_environments_take_arguments():
    class Host(Gymnasium):
        """A host environment of the user's."""

    def mine(length, cue=0):
        return TMaze(length + cue)

    register("Mine-N", mine)
    register("Cart", lambda gravity=9.8: Host(lambda: gymnasium.make("CartPole-v1"), (0,)))
    assert make("Mine-3", cue=2).name == "Mine-3(cue=2)"
    assert make("Mine-3(cue=2)").action_space == Discrete(4)
    cart = make("Cart", gravity=1.5)
    assert isinstance(cart, HostEnvironment)
    assert cart.name == "Cart(gravity=1.5)"
    with pytest.raises(
        UnknownNameError, match="unknown argument of 'Mine-3' 'cu': did you mean cue"
    ):
        make("Mine-3", cu=2)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("GRID", {"siz": 8}, "unknown argument of 'my_grids:Grid-v0' 'siz': did you mean size"),
        ("GRID", {"size": object()}, "argument size=<object .* cannot be a part of its name"),
        ("GRID", {"size": np.int64(3)}, "cannot be a part of its name: expected numbers"),
        ("GRID", {"a b": 1}, "the argument a b=1 of .* cannot be"),
        ("GRID", {"lambda": 1}, "the argument lambda=1 of .* cannot be"),
        (
            "TMaze-3(n=foo)",
            {},
            r"'TMaze-3\(n=foo\)' cannot be made .* that are plain data",
        ),
        (
            "GRID(size=)",
            {},
            "cannot read the arguments in '.*size=.*expected names with plain data",
        ),
        ("GRID(size)", {}, "cannot read the arguments in"),
        ("TMaze-3", {"size": 8}, "'TMaze-3' takes no arguments: leave out size"),
        ("TMaze-3(size=8)", {}, "'TMaze-3' takes no arguments: leave out size"),
        ("gymnasium/no_such:Grid-v0", {}, "there is no module 'no_such' in the current folder or"),
        ("gymnasium/empty:X-v0", {}, "the module 'empty' registers no environment 'X-v0'$"),
        ("gymnasium/my_grids:Gird-v0", {}, "unknown my_grids environment 'Gird-v0': .*Grid-v0"),
    ],
)
def test_a_mistake_is_one_line(grid, name, arguments, message):
    with pytest.raises(RtrrlError, match=message) as error:
        make(name.replace("GRID", grid), **arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("import no_such_thing", "needs the module 'no_such_thing', which is not installed$"),
        ("import mujoco.no_such", r"needs MuJoCo \(.*\): pip install 'rtrrl\[gymnasium\]'"),
        ("1 / 0", "raised ZeroDivisionError: division by zero"),
    ],
)
def test_what_a_users_module_lacks_is_named(tmp_path, monkeypatch, missing, message):
    module = f"lacking{abs(hash(missing))}"
    (tmp_path / f"{module}.py").write_text(missing)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RtrrlError, match=f"'{module}:X-v0' {message}"):
        make(f"gymnasium/{module}:X-v0")


def test_a_renderer_is_made_with_the_arguments_too(grid):
    envs = make(grid, size=2).make_vector(1, render=True)
    assert envs.reset([0], np.array([True])).tolist() == [[0.0]]
