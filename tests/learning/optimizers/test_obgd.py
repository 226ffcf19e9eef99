"""Overshoot-bounded steps: their formula, and the bound itself."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.learning.optimizers import AdaptiveObGD, ObGD, ParameterGroups
from rtrrl.learning.readouts import Symmetric
from tests.learning.optimizers.lives import KINDS, changes, credits, flat, history, newborn

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
    groups = newborn()
    given = list(credits(groups, 20, SIZES))
    got = changes(history(ObGD(**SETTINGS), groups, given))
    held = set()
    for kind in KINDS:
        for credit, change in zip(given, got[kind], strict=True):
            trace, bonus = flat(getattr(credit.traces, kind)), flat(getattr(credit.bonus, kind))
            expected, bound = bounded(KAPPA[kind], float(credit.delta), trace, bonus)
            np.testing.assert_allclose(change, expected, rtol=1e-9, atol=1e-14)
            held.add((bound, abs(float(credit.delta)) > 1))
    assert len(held) == 4, "both sides of both maxima"


def test_adaptive_obgd_by_hand():
    groups = newborn()
    given = list(credits(groups, 9, SIZES))
    got = changes(history(AdaptiveObGD(**SETTINGS, b2=0.8, epsilon=0.01), groups, given))
    for kind in KINDS:
        v = 0.0
        for t, credit in enumerate(given, 1):
            delta = float(credit.delta)
            trace, bonus = flat(getattr(credit.traces, kind)), flat(getattr(credit.bonus, kind))
            v = 0.8 * v + 0.2 * (delta * trace) ** 2
            unit = np.sqrt(v / (1 - 0.8**t) + 0.01)
            expected, _ = bounded(KAPPA[kind], delta, trace / unit, bonus / unit)
            np.testing.assert_allclose(got[kind][t - 1], expected, rtol=1e-9, atol=1e-14)


def critic_step(update, delta, trace):
    """A critic before and after one step along a trace."""
    groups = dataclasses.replace(
        newborn(), critic=Symmetric().readout(trace.size - 1, 1, 1.0, jax.random.key(3))
    )
    credit = next(credits(groups))
    critic = dataclasses.replace(credit.traces.critic, weight=jnp.asarray(trace)[None])
    nothing = jax.tree.map(jnp.zeros_like, credit.bonus)
    credit = dataclasses.replace(
        credit,
        delta=jnp.asarray(delta),
        traces=ParameterGroups(credit.traces.actor, critic, credit.traces.cell),
        bonus=nothing,
    )
    after, _ = update(update.init(groups), groups, credit)
    return groups.critic, after.critic


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


@pytest.mark.parametrize("update", [ObGD(), AdaptiveObGD()], ids=["obgd", "adaptive"])
def test_one_groups_trace_does_not_shrink_anothers_step(update):
    groups = newborn()
    credit = next(credits(groups))
    long = jax.tree.map(lambda e: 1e6 * e, credit.traces.cell)
    other = dataclasses.replace(credit, traces=dataclasses.replace(credit.traces, cell=long))
    plain, changed = (changes(history(update, groups, [each])) for each in (credit, other))
    for kind in ("actor", "critic"):
        np.testing.assert_array_equal(plain[kind], changed[kind])
    assert (plain["cell"][0] != changed["cell"][0]).any()
