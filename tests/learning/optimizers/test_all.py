"""What holds for every update that the command line knows."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl import RTRRL, cells
from rtrrl.agents import PPO, ModelBased, parts
from rtrrl.errors import RtrrlError, UnknownNameError
from rtrrl.learning.optimizers import (
    OPTIMIZERS,
    Adam,
    MeanOverEnvs,
    OptaxOptimizer,
    ParameterGroups,
)
from rtrrl.runs import serialization
from rtrrl.types import parameters
from tests.learning.optimizers.lives import credits, flat, history, live, newborn
from tests.members import quick_jit

each_update = pytest.mark.parametrize("name", OPTIMIZERS)


def silent(credit):
    """Nothing to learn from: no error, no gradient, no bonus."""
    return dataclasses.replace(jax.tree.map(jnp.zeros_like, credit), decay=credit.decay)


@each_update
@pytest.mark.parametrize("decay", [0.0, 0.9, 1.0])
def test_nothing_comes_of_nothing_and_spoils_nothing(name, decay):
    """Zeros first and in between, at every γλ: no step, no NaN."""
    groups = newborn()
    given = [
        dataclasses.replace(each, decay=ParameterGroups(decay, decay, decay))
        for each in credits(groups, 3)
    ]
    order = [silent(given[0]), silent(given[0]), given[0], silent(given[0]), given[1], given[2]]
    seen = [flat(each) for each in history(OPTIMIZERS[name], groups, order)]
    np.testing.assert_array_equal(seen[2], seen[0])
    assert all(np.isfinite(each).all() for each in seen)
    assert (seen[3] != seen[2]).all()
    assert (seen[-1] != seen[-2]).any()


@each_update
def test_an_error_of_zero_and_a_gradient_of_zero_are_no_nan(name):
    groups = newborn()
    given = list(credits(groups, 2))
    unsurprised = dataclasses.replace(given[0], delta=jnp.zeros(()))
    flatland = dataclasses.replace(silent(given[0]), delta=jnp.ones(()), bonus=given[0].bonus)
    for order in ([unsurprised, *given], [flatland, *given], [given[0], unsurprised, flatland]):
        assert np.isfinite(flat(live(OPTIMIZERS[name], groups, order))).all()


@each_update
def test_the_state_keeps_its_types(name):
    """So that it can be carried through a loop."""
    groups, update = newborn(), OPTIMIZERS[name]
    state = update.init(groups)
    credit = next(credits(groups))
    described = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), tree)  # noqa: E731
    before = jax.eval_shape(lambda: state)
    _, after = jax.eval_shape(lambda state: update(state, groups, credit), state)
    assert described(before) == described(after)


@each_update
def test_fixed_arrays_are_no_parameters(name):
    groups, update = newborn(), OPTIMIZERS[name]
    new, _ = update(update.init(groups), groups, next(credits(groups)))
    np.testing.assert_array_equal(new.actor.feedback.value, groups.actor.feedback.value)
    np.testing.assert_array_equal(new.cell.mask, groups.cell.mask)
    assert (flat(parameters(new)) != flat(parameters(groups))).all()


@each_update
def test_settings_may_be_arrays_with_one_entry_per_seed(name, x64):
    groups, update = newborn(), OPTIMIZERS[name]
    given = list(credits(groups, 3))
    names = [field.name for field in dataclasses.fields(update)]
    of = lambda factor: dataclasses.replace(  # noqa: E731
        update, **{each: jnp.asarray(getattr(update, each) * factor) for each in names}
    )
    factors = jnp.array([1.0, 0.9])

    @quick_jit
    @jax.vmap
    def mapped(factor):
        own, state, theta = of(factor), of(factor).init(groups), groups
        for credit in given:
            theta, state = own(state, theta, credit)
        return parameters(theta)

    together = mapped(factors)
    for index, factor in enumerate([1.0, 0.9]):
        alone = live(of(factor), groups, given)
        got = jax.tree.map(lambda leaf, i=index: leaf[i], together)
        np.testing.assert_allclose(flat(got), flat(alone), rtol=1e-9, atol=1e-13)
    first, second = (flat(jax.tree.map(lambda leaf, i=i: leaf[i], together)) for i in (0, 1))
    assert (first != second).any()


@each_update
@pytest.mark.parametrize("nonsense", [-1.0, float("nan")])
def test_a_setting_that_makes_no_sense_is_named(name, nonsense):
    update = OPTIMIZERS[name]
    for field in dataclasses.fields(update):
        with pytest.raises(ValueError, match=rf"{field.name} is {nonsense}: it must "):
            dataclasses.replace(update, **{field.name: nonsense})


@pytest.mark.parametrize(
    "settings", [{"epsilon": 0.0}, {"b1": 1.0}, {"b2": 1.0}, {"learning_rate": math.inf}]
)
def test_adam_refuses_what_would_become_nan(settings):
    with pytest.raises(ValueError, match="it must"):
        dataclasses.replace(OPTIMIZERS["adam"], **settings)


@each_update
def test_an_agent_lives_with_it(name):
    agent = parts.chosen(
        RTRRL.default("TMaze-3", cell=cells.RTUConfig(hidden_size=3)), {"optimizer": name}
    )
    assert isinstance(agent, RTRRL)
    assert type(agent.optimizer) is type(OPTIMIZERS[name])
    assert serialization.from_dict(serialization.to_dict(agent)) == agent

    @quick_jit
    def life(key):
        state, _ = agent.begin(agent.init(key), jnp.ones(3))
        born = parameters(state.parameters)

        def turn(state, now):
            state, _, info = agent.step(state, now[:3], now[3], jnp.ones(()))
            return state, info.td_error

        state, errors = jax.lax.scan(turn, state, jax.random.normal(key, (200, 4)))
        return born, parameters(state.parameters), errors

    born, grown, errors = life(jax.random.key(0))
    assert np.isfinite(flat(grown)).all()
    assert np.isfinite(errors).all()
    assert all(
        (flat(a) != flat(b)).any() for a, b in zip(*map(_groups, (born, grown)), strict=True)
    )


def _groups(tree):
    return tree.actor, tree.critic, tree.cell


@each_update
def test_only_what_optax_transforms_is_shared_by_streams(name):
    agent = RTRRL.default("TMaze-3", optimizer=OPTIMIZERS[name])
    if isinstance(agent.optimizer, OptaxOptimizer):
        sharing = agent.sharing()
        assert isinstance(sharing, RTRRL)
        assert sharing.optimizer == MeanOverEnvs(agent.optimizer)
        return
    kind = type(agent.optimizer).__name__
    with pytest.raises(RtrrlError, match=f"^{kind} learns from one stream at a time: leave --envs"):
        agent.sharing()


@pytest.mark.parametrize("kind", [PPO, ModelBased])
def test_an_agent_that_learns_without_traces_takes_only_what_optax_transforms(kind):
    agent = kind.default("TMaze-3")
    assert parts.chosen(agent, {"optimizer": "adam"}) is agent
    with pytest.raises(RtrrlError, match=r"^--optimizer obgd does not apply: "):
        parts.chosen(agent, {"optimizer": "obgd"})


def test_the_present_optimizer_keeps_its_settings():
    agent = RTRRL.default("TMaze-3", optimizer=Adam(learning_rate=0.5))
    assert parts.chosen(agent, {"optimizer": "adam"}) is agent
    with pytest.raises(UnknownNameError, match=r"obgdd.*obgd"):
        parts.chosen(agent, {"optimizer": "obgdd"})
