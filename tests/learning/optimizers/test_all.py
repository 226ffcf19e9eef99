"""Contracts of every registered optimizer."""

import dataclasses
import functools
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
from tests.helpers import scan_steps
from tests.learning.optimizers.steps import (
    KINDS,
    apply_step,
    apply_steps,
    flat,
    history,
    init_params,
    td_updates,
)
from tests.members import quick_jit

each_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


def without_information(td_update):
    """No error, no gradient, no entropy bonus."""
    return dataclasses.replace(jax.tree.map(jnp.zeros_like, td_update), decay=td_update.decay)


@each_optimizer
@pytest.mark.parametrize("decay", [0.0, 0.9, 1.0])
def test_updates_of_zeros_change_nothing_and_are_finite(name, decay):
    """Zeros first and in between, at every γλ."""
    params = init_params()
    given = [
        dataclasses.replace(each, decay=ParameterGroups(decay, decay, decay))
        for each in td_updates(params, 3)
    ]
    order = [
        without_information(given[0]),
        without_information(given[0]),
        given[0],
        without_information(given[0]),
        given[1],
        given[2],
    ]
    found = [flat(each) for each in history(OPTIMIZERS[name], params, order)]
    np.testing.assert_array_equal(found[2], found[0])
    assert all(np.isfinite(each).all() for each in found)
    assert (found[3] != found[2]).all()
    assert (found[-1] != found[-2]).any()


@each_optimizer
def test_a_zero_error_or_gradient_is_finite(name):
    params = init_params()
    given = list(td_updates(params, 2))
    zero_error = dataclasses.replace(given[0], delta=jnp.zeros(()))
    zero_gradient = dataclasses.replace(
        without_information(given[0]), delta=jnp.ones(()), entropy_bonus=given[0].entropy_bonus
    )
    for order in (
        [zero_error, *given],
        [zero_gradient, *given],
        [given[0], zero_error, zero_gradient],
    ):
        assert np.isfinite(flat(apply_steps(OPTIMIZERS[name], params, order))).all()


@each_optimizer
def test_the_state_keeps_its_shapes_and_types(name):
    """As a loop requires of its carry."""
    params, optimizer = init_params(), OPTIMIZERS[name]
    state = optimizer.init(params)
    td_update = next(td_updates(params))
    described = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), tree)  # noqa: E731
    before = jax.eval_shape(lambda: state)
    _, after = jax.eval_shape(lambda state: apply_step(optimizer, td_update, state, params), state)
    assert described(before) == described(after)


@each_optimizer
def test_fixed_arrays_are_not_trained(name):
    params, optimizer = init_params(), OPTIMIZERS[name]
    new, _ = apply_step(optimizer, next(td_updates(params)), optimizer.init(params), params)
    np.testing.assert_array_equal(new.actor.feedback.value, params.actor.feedback.value)
    np.testing.assert_array_equal(new.cell.mask, params.cell.mask)
    assert (flat(parameters(new)) != flat(parameters(params))).all()


@each_optimizer
def test_settings_may_be_arrays_with_one_entry_per_seed(name, x64):
    params, optimizer = init_params(), OPTIMIZERS[name]
    given = list(td_updates(params, 3))
    names = [field.name for field in dataclasses.fields(optimizer)]
    of = lambda factor: dataclasses.replace(  # noqa: E731
        optimizer, **{each: jnp.asarray(getattr(optimizer, each) * factor) for each in names}
    )
    factors = jnp.array([1.0, 0.9])

    @quick_jit
    @jax.vmap
    def mapped(factor):
        own, state, new = of(factor), of(factor).init(params), params
        for td_update in given:
            new, state = apply_step(own, td_update, state, new)
        return parameters(new)

    together = mapped(factors)
    for index, factor in enumerate([1.0, 0.9]):
        alone = apply_steps(of(factor), params, given)
        got = jax.tree.map(lambda leaf, i=index: leaf[i], together)
        np.testing.assert_allclose(flat(got), flat(alone), rtol=1e-9, atol=1e-13)
    first, second = (flat(jax.tree.map(lambda leaf, i=i: leaf[i], together)) for i in (0, 1))
    assert (first != second).any()


@each_optimizer
@pytest.mark.parametrize("invalid", [-1.0, float("nan")])
def test_invalid_settings_are_named(name, invalid):
    optimizer = OPTIMIZERS[name]
    for field in dataclasses.fields(optimizer):
        with pytest.raises(ValueError, match=rf"{field.name} is {invalid}: it must "):
            dataclasses.replace(optimizer, **{field.name: invalid})


@pytest.mark.parametrize(
    "settings", [{"epsilon": 0.0}, {"b1": 1.0}, {"b2": 1.0}, {"learning_rate": math.inf}]
)
def test_adam_refuses_settings_that_lead_to_nan(settings):
    with pytest.raises(ValueError, match="it must"):
        dataclasses.replace(OPTIMIZERS["adam"], **settings)


@each_optimizer
def test_an_agent_learns_with_it(name):
    agent = parts.with_parts(
        RTRRL.default("TMaze-3", cell=cells.RTUConfig(hidden_size=3)), {"optimizer": name}
    )
    assert isinstance(agent, RTRRL)
    assert type(agent.optimizer) is type(OPTIMIZERS[name])
    assert serialization.from_dict(serialization.to_dict(agent)) == agent

    key = jax.random.key(0)
    before = parameters(quick_jit(agent.init)(key).params)
    state, info = quick_jit(functools.partial(scan_steps, agent))(
        key, jax.random.normal(key, (200, 4))
    )
    after = parameters(state.params)
    assert np.isfinite(flat(after)).all()
    assert np.isfinite(info.td_error).all()
    assert all((flat(getattr(before, k)) != flat(getattr(after, k))).any() for k in KINDS)


@each_optimizer
def test_only_optax_optimizers_can_be_shared_over_environments(name):
    agent = RTRRL.default("TMaze-3", optimizer=OPTIMIZERS[name])
    if isinstance(agent.optimizer, OptaxOptimizer):
        shared = agent.share_over_envs()
        assert isinstance(shared, RTRRL)
        assert shared.optimizer == MeanOverEnvs(agent.optimizer)
        return
    kind = type(agent.optimizer).__name__
    with pytest.raises(
        RtrrlError, match=f"^{kind} learns from one environment at a time: num_envs must be 1"
    ):
        agent.share_over_envs()


@pytest.mark.parametrize("kind", [PPO, ModelBased])
def test_an_agent_without_td_updates_takes_only_optax_optimizers(kind):
    agent = kind.default("TMaze-3")
    assert parts.with_parts(agent, {"optimizer": "adam"}) is agent
    with pytest.raises(RtrrlError, match=r"^optimizer='obgd' does not apply: "):
        parts.with_parts(agent, {"optimizer": "obgd"})


def test_choosing_the_present_optimizer_keeps_its_settings():
    agent = RTRRL.default("TMaze-3", optimizer=Adam(learning_rate=0.5))
    assert parts.with_parts(agent, {"optimizer": "adam"}) is agent
    with pytest.raises(UnknownNameError, match=r"obgdd.*obgd"):
        parts.with_parts(agent, {"optimizer": "obgdd"})
