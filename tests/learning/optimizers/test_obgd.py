"""Overshoot-bounded steps: their formula, and the bound itself."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.learning.optimizers import AdaptiveObGD, ObGD, ParameterGroups
from rtrrl.learning.readouts import Symmetric
from tests.learning.optimizers.steps import (
    KINDS,
    apply_step,
    changes,
    flat,
    history,
    init_params,
    td_updates,
)

pytestmark = pytest.mark.usefixtures("x64")

KAPPA = {"actor": 2.5, "critic": 1.5, "cell": 0.5}
SETTINGS = {
    "learning_rate": 0.7,
    "kappa_actor": KAPPA["actor"],
    "kappa_critic": KAPPA["critic"],
    "kappa_recurrent": KAPPA["cell"],
}
SIZES = 1e-3, 1.0, 30.0
"""Of traces: too small for the bound, and large enough."""


def bounded(kappa, delta, trace, bonus):
    """The step, and whether the bound held it back."""
    reach = 0.7 * kappa * max(abs(delta), 1.0) * np.abs(trace).sum()
    return 0.7 / max(1.0, reach) * (delta * trace + bonus), reach > 1


def test_obgd_by_hand():
    params = init_params()
    given = list(td_updates(params, 20, SIZES))
    got = changes(history(ObGD(**SETTINGS), params, given))
    held = set()
    for kind in KINDS:
        for td_update, change in zip(given, got[kind], strict=True):
            trace = flat(getattr(td_update.traces, kind))
            bonus = flat(getattr(td_update.entropy_bonus, kind))
            expected, bound = bounded(KAPPA[kind], float(td_update.delta), trace, bonus)
            np.testing.assert_allclose(change, expected, rtol=1e-9, atol=1e-14)
            held.add((bound, abs(float(td_update.delta)) > 1))
    assert len(held) == 4, "both sides of both maxima"


def test_adaptive_obgd_by_hand():
    params = init_params()
    given = list(td_updates(params, 9, SIZES))
    got = changes(history(AdaptiveObGD(**SETTINGS, b2=0.8, epsilon=0.01), params, given))
    for kind in KINDS:
        v = 0.0
        for t, td_update in enumerate(given, 1):
            delta = float(td_update.delta)
            trace = flat(getattr(td_update.traces, kind))
            bonus = flat(getattr(td_update.entropy_bonus, kind))
            v = 0.8 * v + 0.2 * (delta * trace) ** 2
            unit = np.sqrt(v / (1 - 0.8**t) + 0.01)
            expected, _ = bounded(KAPPA[kind], delta, trace / unit, bonus / unit)
            np.testing.assert_allclose(got[kind][t - 1], expected, rtol=1e-9, atol=1e-14)


def critic_step(optimizer, delta, trace):
    """A critic before and after one step along a trace."""
    params = dataclasses.replace(
        init_params(), critic=Symmetric().readout(trace.size - 1, 1, 1.0, jax.random.key(3))
    )
    td_update = next(td_updates(params))
    critic = dataclasses.replace(td_update.traces.critic, weight=jnp.asarray(trace)[None])
    nothing = jax.tree.map(jnp.zeros_like, td_update.entropy_bonus)
    td_update = dataclasses.replace(
        td_update,
        delta=jnp.asarray(delta),
        traces=ParameterGroups(td_update.traces.actor, critic, td_update.traces.cell),
        entropy_bonus=nothing,
    )
    after, _ = apply_step(optimizer, td_update, optimizer.init(params), params)
    return params.critic, after.critic


@pytest.mark.parametrize("delta", [-40.0, -1.0, -0.1, 0.0, 0.5, 3.0])
@pytest.mark.parametrize("kappa", [1.0, 2.0])
def test_no_value_changes_by_more_than_the_bound(delta, kappa):
    """|Δv(f)| = α |δ| |e·f| ≤ α |δ| ‖e‖₁ ‖f‖_∞ ≤ min(|δ|, 1) / κ where ‖f‖_∞ ≤ 1."""
    rng = np.random.default_rng(0)
    for size in (0.01, 1.0, 100.0):
        trace = size * rng.normal(size=7)
        before, after = critic_step(ObGD(kappa_critic=kappa), delta, trace)
        features = rng.uniform(-1, 1, (50, 6))
        features = [*features, np.sign(trace[:-1] * trace[-1])]  # the worst: e·f = ‖e‖₁
        moved = [abs(float((after(f) - before(f))[0])) for f in map(jnp.asarray, features)]
        assert max(moved) <= min(abs(delta), 1) / kappa * (1 + 1e-12)


@pytest.mark.parametrize("delta", [-40.0, -1.0, -0.1, 0.5, 3.0])
def test_the_bound_is_reached_where_features_are_ones_and_zeros(delta):
    """On a trace of one step of such features ‖f‖² = ‖f‖₁: Δv = sign(δ) min(|δ|, 1) / κ."""
    features = jnp.array([1.0, 0, 1, 1, 0, 1])
    before, after = critic_step(ObGD(kappa_critic=2.0), delta, np.append(features, 1.0))
    change = float((after(features) - before(features))[0])
    assert change == pytest.approx(np.sign(delta) * min(abs(delta), 1) / 2, rel=1e-12)


@pytest.mark.parametrize("optimizer", [ObGD(), AdaptiveObGD()], ids=["obgd", "adaptive"])
def test_the_trace_of_a_group_does_not_change_the_steps_of_others(optimizer):
    params = init_params()
    td_update = next(td_updates(params))
    long = jax.tree.map(lambda e: 1e6 * e, td_update.traces.cell)
    other = dataclasses.replace(td_update, traces=dataclasses.replace(td_update.traces, cell=long))
    plain, changed = (changes(history(optimizer, params, [each])) for each in (td_update, other))
    for kind in ("actor", "critic"):
        np.testing.assert_array_equal(plain[kind], changed[kind])
    assert (plain["cell"][0] != changed["cell"][0]).any()
