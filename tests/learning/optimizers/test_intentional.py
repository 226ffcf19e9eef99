"""Intentional steps: their formula, and the change of output they are sized by."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.learning.optimizers import Intentional, ParameterGroups
from tests.learning.optimizers.steps import (
    DECAY,
    KINDS,
    changes,
    flat,
    history,
    init_params,
    td_updates,
)

pytestmark = pytest.mark.usefixtures("x64")

ETA = {"actor": 0.03, "critic": 0.4, "cell": 0.1}
ETAS = {"eta_actor": ETA["actor"], "eta_critic": ETA["critic"], "eta_recurrent": ETA["cell"]}


def by_hand(kind, given, clip, b2, error_decay, epsilon):
    """The steps of one group, with Adam's way of correcting biases."""
    decay, nu, sigma, square, size = getattr(DECAY, kind), 0.0, 0.0, 0.0, 0.0
    for t, td_update in enumerate(given, 1):
        delta = float(td_update.delta)
        if t > 1:
            rms = np.sqrt(square / (1 - error_decay ** (t - 1)))
            delta = np.sign(delta) * min(abs(delta), clip * rms)
        square = error_decay * square + (1 - error_decay) * delta**2
        size = error_decay * size + (1 - error_decay) * abs(delta)
        if kind == "actor":
            delta /= size / (1 - error_decay**t)
        parts = td_update.gradient, td_update.traces, td_update.entropy_bonus
        g, e, bonus = (flat(getattr(part, kind)) for part in parts)
        nu = b2 * nu + (1 - b2) * g**2
        m = np.sqrt(nu / (1 - b2**t)) + epsilon
        sigma = decay * sigma + (1 - decay) * np.sum(g**2 / m)
        alpha = ETA[kind] / np.sqrt(sigma / (1 - decay**t) * np.sum(e**2 / m))
        yield alpha * (delta * e + bonus) / m


@pytest.mark.parametrize("kind", KINDS)
def test_intentional_by_hand(kind):
    params, settings = init_params(), {"clip": 1.2, "b2": 0.8, "error_decay": 0.95, "epsilon": 0.01}
    given = list(td_updates(params, 9, (0.01, 1.0, 30.0)))
    got = changes(history(Intentional(**ETAS, **settings), params, given))[kind]
    np.testing.assert_allclose(got, list(by_hand(kind, given, **settings)), rtol=1e-9)
    free = list(by_hand(kind, given, **settings | {"clip": np.inf}))
    assert not np.allclose(got, free), "some error was clipped"


def first_step(params, delta):
    """A step whose trace is its gradient, without entropy bonus."""
    td_update = next(td_updates(params))
    nothing = jax.tree.map(jnp.zeros_like, td_update.entropy_bonus)
    return dataclasses.replace(
        td_update, delta=jnp.asarray(delta), traces=td_update.gradient, entropy_bonus=nothing
    )


@pytest.mark.parametrize("delta", [-30.0, -0.01, 2.0])
def test_the_first_step_changes_each_output_by_eta_delta(delta):
    """∇·Δθ = η δ for the critic, which is the change of v, and η sign(δ) for the actor."""
    params = init_params()
    td_update = first_step(params, delta)
    got = changes(history(Intentional(**ETAS), params, [td_update]))
    for kind, intended in [("actor", np.sign(delta)), ("critic", delta), ("cell", delta)]:
        change = flat(getattr(td_update.gradient, kind)) @ got[kind][0]
        assert change == pytest.approx(ETA[kind] * intended, rel=1e-9)


def test_changes_of_output_do_not_depend_on_the_scale_of_features():
    """c times the gradients and traces, 1/c times the step: c f · Δθ/c."""
    params, optimizer = init_params(), Intentional(**ETAS, epsilon=1e-30)
    scales = ParameterGroups(3.0, 0.2, 50.0)
    scale = lambda tree: jax.tree.map(  # noqa: E731
        lambda c, group: jax.tree.map(lambda x: c * x, group), scales, tree
    )
    given = list(td_updates(params, 6))
    scaled = [
        dataclasses.replace(
            each,
            traces=scale(each.traces),
            gradient=scale(each.gradient),
            entropy_bonus=scale(each.entropy_bonus),
        )
        for each in given
    ]
    plain, other = (changes(history(optimizer, params, each)) for each in (given, scaled))
    for kind in KINDS:
        c = getattr(scales, kind)
        np.testing.assert_allclose(np.multiply(c, other[kind]), plain[kind], rtol=1e-8, atol=1e-13)


def test_a_group_with_zero_trace_is_unchanged_whatever_its_entropy_bonus():
    params = init_params()
    given = [
        dataclasses.replace(each, traces=jax.tree.map(jnp.zeros_like, each.traces))
        for each in td_updates(params, 2)
    ]
    got = changes(history(Intentional(), params, given))
    assert not any(np.any(step) for steps in got.values() for step in steps)


def test_outliers_of_delta_are_clipped_also_in_their_statistics():
    """After a hundred of size 1 a huge one counts as 20, the next as 20 √((100 + 20²) / 101)."""
    params, optimizer = init_params(), Intentional(error_decay=1.0)
    ordinary = [first_step(params, (-1.0) ** t) for t in range(100)]
    step = lambda *deltas: changes(  # noqa: E731
        history(optimizer, params, [*ordinary, *(first_step(params, delta) for delta in deltas)])
    )["critic"][-1]
    np.testing.assert_allclose(step(1e3), 20 * step(1.0), rtol=1e-9)
    ratio = 20 * np.sqrt(500 / 101)
    np.testing.assert_allclose(step(1e3, 1e6), ratio * step(1e3, 1.0), rtol=1e-9)
