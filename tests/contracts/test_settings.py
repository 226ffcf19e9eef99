"""Every setting of every class is checked when it is constructed, in one line that names it."""

import dataclasses
import inspect

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rtrrl
from rtrrl.agents.actor_critic import FrozenActorCritic
from rtrrl.agents.registry import PRESETS, make_agent
from rtrrl.environments import Box, MultiDiscrete, Product, make
from rtrrl.errors import SettingError
from rtrrl.learning import optimizers
from rtrrl.learning.policies import policy_for
from rtrrl.utils.validation import Settings
from tests.probes import ContinuousBandit

pytestmark = pytest.mark.usefixtures("unchecked")

TASK = "TMaze-3"
ADAM = optimizers.Adam()
_SGD = optax.sgd(0.1)


def frozen() -> FrozenActorCritic:
    agent = make_agent("paper", TASK)
    return eqx.filter_jit(lambda: agent.frozen(agent.init(jax.random.key(0))))()


EXAMPLES = [
    *(make_agent(name, TASK) for name in PRESETS),
    policy_for(make(TASK).action_space),
    policy_for(make("MinesweeperEasy").action_space),
    policy_for(ContinuousBandit().action_space),
    policy_for(Product(MultiDiscrete((2,)), ContinuousBandit().action_space)),
    policy_for(Product(MultiDiscrete((2, 3)), Box.of(-1, 1, (2,)))),
    optimizers.PerGroup(_SGD, _SGD, _SGD),
    optimizers.MeanOverEnvs(ADAM),
    optimizers.MonitoredOptimizer(ADAM),
]
"""Of the classes that cannot be made without arguments."""


def own_classes(kind: type = Settings) -> set[type]:
    """The concrete classes of settings in rtrrl."""
    found = set() if inspect.isabstract(kind) or "rtrrl." not in kind.__module__ else {kind}
    return found.union(*map(own_classes, kind.__subclasses__()))


def example(kind: type) -> Settings:
    for each in EXAMPLES:
        if type(each) is kind:
            return each
    return frozen() if kind is FrozenActorCritic else kind()


FIELDS = [
    pytest.param(kind, field, id=f"{kind.__name__}.{field.name}")
    for kind in sorted(own_classes() - {Settings, rtrrl.cells.CellConfig}, key=str)
    for field in dataclasses.fields(kind)
]


def fields(*types: type):
    return [each for each in FIELDS if each.values[1].type in types]


def refuse(kind: type, field: dataclasses.Field, value: object, says: str) -> None:
    with pytest.raises(SettingError, match=says) as caught:
        dataclasses.replace(example(kind), **{field.name: value})
    message = str(caught.value)
    assert field.name in message
    assert "\n" not in message
    assert len(message) < 250


NO_NUMBERS = [
    *("1e-3", None, True, 1j, 10**400, [0.5, 0.6], (0.5,), {}, object()),
    *(np.ones((2, 2)), np.array([0.5, "a"], object), jnp.ones((2, 2)), jnp.ones(2, bool)),
]


def test_the_classes_are_found():
    kinds = {each.values[0] for each in FIELDS}
    assert {rtrrl.RTRRL, rtrrl.cells.RTUConfig, optimizers.Adam} < kinds
    assert len(fields(float)) > 50


@pytest.mark.parametrize(("kind", "field"), fields(float))
def test_a_float_is_a_number_or_an_array_with_one_per_seed(kind, field):
    for value in NO_NUMBERS:
        refuse(kind, field, value, "must be (a|one) number")
    refuse(kind, field, float("nan"), "it must|they must")
    number = getattr(example(kind), field.name)
    for same in (np.float32(number), np.float64(number)):
        dataclasses.replace(example(kind), **{field.name: same})
    array = jnp.array([number, number])
    per_seed = array, np.array([number, number]), array[0]
    if field.metadata.get("static"):
        for value in per_seed:
            refuse(kind, field, value, "all seeds share it")
    else:
        for value in per_seed:
            dataclasses.replace(example(kind), **{field.name: value})
        refuse(kind, field, array.at[1].set(jnp.nan), rf"{field.name}\[1\].* nan.* must")
        refuse(kind, field, array.at[0].set(-jnp.inf), rf"{field.name}\[0\].* -inf.* must")


@pytest.mark.parametrize(("kind", "field"), fields(int))
def test_a_whole_number_is_one_for_all_seeds(kind, field):
    for value in [*NO_NUMBERS, 8.0, jnp.array([8, 16]), jnp.array(8)]:
        if not isinstance(value, int) or isinstance(value, bool):
            refuse(kind, field, value, "must be one whole number")


@pytest.mark.parametrize(("kind", "field"), fields(bool))
def test_a_switch_is_true_or_false(kind, field):
    for value in [*NO_NUMBERS, 2, 1.0]:
        if not isinstance(value, bool):
            refuse(kind, field, value, "must be True or False")


PARTS = [
    each
    for each in FIELDS
    if isinstance(each.values[1].type, type) and issubclass(each.values[1].type, eqx.Module)
]


@pytest.mark.parametrize(("kind", "field"), PARTS)
def test_a_part_belongs_to_its_family(kind, field):
    for value in ("adam", None, 3, optimizers.Adam, make(TASK)):
        with pytest.raises((SettingError, rtrrl.errors.UnsupportedSpaceError)) as caught:
            dataclasses.replace(example(kind), **{field.name: value})
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("agent", "setting", "says"),
    [
        ("paper", "gamma", r"gamma\[1\] is 1\.5: it must lie in \[0, 1\]"),
        ("ppo", "gae_lambda", r"gae_lambda\[1\] is 1\.5: it must lie in \[0, 1\]"),
    ],
)
def test_every_entry_of_an_array_is_checked_like_a_number(agent, setting, says):
    with pytest.raises(SettingError, match=says):
        make_agent(agent, TASK, **{setting: jnp.array([0.9, 1.5])})
    make_agent(agent, TASK, **{setting: jnp.array([0.9, 1.0, 0.0])})


def test_the_entries_of_two_arrays_are_compared_seed_by_seed():
    ring = rtrrl.cells.UniformRing
    ring(jnp.array([0.1, 0.8]), jnp.array([0.2, 0.9]))
    ring(0.1, jnp.array([0.2, 0.9]))
    says = r"r_min\[1\], r_max\[1\] are 0\.75, 0\.5: they must obey"
    with pytest.raises(SettingError, match=says):
        ring(jnp.array([0.0, 0.75]), jnp.array([0.5, 0.5]))
    with pytest.raises(SettingError, match=r"r_min, r_max\[1\] are 0\.5, 0\.25"):
        ring(0.5, jnp.array([0.75, 0.25]))
    with pytest.raises(SettingError, match="r_min, r_max are arrays of several lengths"):
        ring(jnp.array([0.1, 0.2]), jnp.array([0.2, 0.3, 0.4]))


def test_what_jax_traces_is_not_checked():
    def init(gamma, longest):
        eigenvalues = rtrrl.cells.LogUniformTimescales(1.0, longest)
        cell = rtrrl.cells.RTUConfig(hidden_size=2, eigenvalues=eigenvalues)
        return make_agent("paper", TASK, gamma=gamma, cell=cell, rule="diagonal-rtrl").gamma

    assert jax.vmap(init)(jnp.array([0.5, 7.0]), jnp.array([9.0, 0.0])).tolist() == [0.5, 7.0]


def test_an_unbounded_box_has_a_policy():
    policy_for(Box.of(-np.inf, np.inf, (2,)))


class UsersTrace(rtrrl.learning.traces.Accumulating):
    """A part as a user writes it."""

    rate: "float" = 0.5
    count: int = 3


def test_the_settings_of_a_users_class_are_checked_too():
    UsersTrace(float("inf"))
    with pytest.raises(SettingError, match=r"rate is '0\.5': it must be a number"):
        UsersTrace("0.5")
    with pytest.raises(SettingError, match=r"count is 0\.5: it must be one whole number"):
        UsersTrace(count=0.5)
