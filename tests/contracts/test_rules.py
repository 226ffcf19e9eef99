"""The contract of gradient rules, tested on every cell that a rule fits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.cells import CELLS, CTRNN, GRU, recurrent_parameters
from rtrrl.errors import RtrrlError, UnsupportedCellError
from rtrrl.gradients import RFLO, RULES, TBPTT, UORO, DiagonalRTRL
from tests.members import (
    HIDDEN,
    INPUTS,
    assert_same,
    cell,
    each_cell,
    each_rule,
    quick_jit,
    rule_for,
)

XS = jax.random.normal(jax.random.key(0), (4, INPUTS))


@each_cell
@each_rule
def test_step_and_pullback(cell_name, rule_name):
    """In one compiled program: shapes, h' = f(h, x), linearity, scan, vmap and restart."""
    model = cell(cell_name)
    rule = rule_for(rule_name, model)
    h = model.initial_state()
    first, second = jax.random.normal(jax.random.key(1), (2, *h.shape))

    @quick_jit
    def run(model):
        def step(carry, x):
            h, influence = rule.step(model, carry[1], carry[0], x)
            return (h, influence), model(carry[0], x)

        initial = rule.init(model, jax.random.key(2))
        (end, influence), hs = jax.lax.scan(step, (h, initial), XS)
        bars = jnp.stack([first, second, 2 * first - 3 * second, jnp.zeros_like(h)])
        pulled = jax.vmap(lambda h_bar: rule.pullback(model, influence, h_bar))(bars)
        return initial, influence, rule.restart(model, influence), end, hs[-1], pulled

    initial, influence, restarted, end, by_cell, pulled = run(model)
    for other in (influence, restarted):
        assert jax.tree.structure(other) == jax.tree.structure(initial)
        for a, b in zip(jax.tree.leaves(other), jax.tree.leaves(initial), strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
    for a, b in zip(jax.tree.leaves(restarted), jax.tree.leaves(initial), strict=True):
        if jnp.issubdtype(a.dtype, jnp.number):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(end, by_cell, rtol=1e-5, atol=1e-6)

    trained = recurrent_parameters(model)
    assert jax.tree.structure(pulled) == jax.tree.structure(trained)
    for got, leaf in zip(jax.tree.leaves(pulled), jax.tree.leaves(trained), strict=True):
        assert (got.shape[1:], got.dtype) == (leaf.shape, leaf.dtype)
        assert jnp.isfinite(got).all()
        np.testing.assert_allclose(got[2], 2 * got[0] - 3 * got[1], rtol=1e-3, atol=1e-4)
        assert not got[3].any()


@each_rule
def test_a_rule_is_static_and_hashable(rule_name):
    """So that it can be a setting of a compiled agent."""
    assert not jax.tree.leaves(RULES[rule_name])
    assert hash(RULES[rule_name]) == hash(RULES[rule_name])


@pytest.mark.parametrize(
    ("rule", "cell_name", "instead"),
    [
        *((RFLO(), name, r"use SnAp1 or RTRL") for name in CELLS if name != "ctrnn"),
        *((DiagonalRTRL(), name, r"use SnAp1 .* or RTRL") for name in ("ctrnn", "gru", "lstm")),
    ],
)
def test_the_refusal_of_a_cell_says_what_to_use(rule, cell_name, instead):
    model = cell(cell_name)
    with pytest.raises(UnsupportedCellError, match=instead) as refusal:
        rule.init(model)
    assert isinstance(refusal.value, RtrrlError)
    assert type(model).__name__ in str(refusal.value)


def test_memory_is_as_documented():
    """Dense: hidden × θ; local: one number per weight; rank one: hidden + θ; frozen: none."""
    model = CTRNN(INPUTS, HIDDEN, key=jax.random.key(0))
    theta = sum(leaf.size for leaf in jax.tree.leaves(recurrent_parameters(model)))

    def floats(name):
        leaves = jax.tree.leaves(RULES[name].init(model))
        return sum(leaf.size for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating))

    assert floats("rtrl") == HIDDEN * theta
    assert floats("snap1") == floats("rflo") == floats("immediate") == theta
    assert floats("uoro") == HIDDEN + theta
    assert floats("tbptt") == RULES["tbptt"].window * (HIDDEN + INPUTS)
    assert floats("frozen") == 0


def test_uoro_draws_new_signs_in_every_episode():
    model = GRU(INPUTS, HIDDEN, key=jax.random.key(0))
    step = quick_jit(lambda P: UORO().step(model, P, model.initial_state(), XS[0])[1])
    first = step(UORO().init(model, jax.random.key(0)))
    again = step(UORO().init(model, jax.random.key(0)))
    other = step(UORO().restart(model, first))
    assert_same(first.w, again.w, 0.0)
    assert not np.array_equal(first.w.weight, other.w.weight)


def test_a_window_has_at_least_one_step():
    with pytest.raises(ValueError, match="window is 0: it must be 1 or more"):
        TBPTT(0)
