"""Optimizers that are optax transformations."""

import jax
import numpy as np
import optax
import pytest

from rtrrl.learning.optimizers import Adam, PerGroup, zeros_like
from rtrrl.types import parameters
from tests.learning.optimizers.steps import apply_steps, flat, init_params, td_updates

pytestmark = pytest.mark.usefixtures("x64")


@pytest.fixture
def params():
    return init_params()


def after_steps(optimizer, params, count=5):
    return apply_steps(optimizer, params, list(td_updates(params, count)))


@pytest.mark.parametrize("clip", [1.0, 1e9], ids=["clipped", "free"])
def test_adam_is_optax_adam_on_the_descent_direction(params, clip):
    """Clipped over all params together, then Adam of step size 0.1."""
    expected = parameters(params)
    rule = optax.chain(optax.clip_by_global_norm(clip), optax.adam(0.1, 0.8, 0.95, 1e-6))
    state = rule.init(expected)
    for td_update in td_updates(params):
        d = td_update.delta
        given = td_update.traces, td_update.entropy_bonus
        descent = jax.tree.map(lambda e, b, d=d: -d * e - b, *given)
        change, state = rule.update(descent, state)
        expected = optax.apply_updates(expected, change)
    got = after_steps(Adam(0.1, clip=clip, b1=0.8, b2=0.95, epsilon=1e-6), params)
    np.testing.assert_allclose(flat(got), flat(expected), rtol=1e-12)


def test_adam_by_hand(params):
    """The first step of Adam is its step size times the sign, uphill."""
    td_update = next(td_updates(params))
    new = after_steps(Adam(0.1, epsilon=1e-30), params, 1)
    change = flat(new) - flat(parameters(params))
    uphill = np.sign(td_update.delta * flat(td_update.traces) + flat(td_update.entropy_bonus))
    np.testing.assert_allclose(change, 0.1 * uphill, rtol=1e-9)


def test_clip_bounds_the_norm_of_all_groups_together(params):
    """As Adam's first moment shows, (1 − b₁) times the clipped direction."""
    optimizer = Adam(clip=0.5, b1=0.9)
    _, state = optimizer.update(next(td_updates(params)), optimizer.init(params), params)
    moment = next(part.mu for part in state if isinstance(part, optax.ScaleByAdamState))
    assert np.linalg.norm(flat(moment)) == pytest.approx(0.5 * 0.1)


def test_multiples_scale_their_own_group(params):
    plain, scaled = (
        after_steps(optimizer, params, 1)
        for optimizer in (Adam(0.1), Adam(0.1, actor_multiple=2.0, recurrent_multiple=0.5))
    )
    for name, multiple in [("actor", 2.0), ("critic", 1.0), ("cell", 0.5)]:
        initial, by_one, by_many = (
            flat(getattr(tree, name)) for tree in (parameters(params), plain, scaled)
        )
        np.testing.assert_allclose(by_many - initial, multiple * (by_one - initial), rtol=1e-9)


def test_per_group_gives_each_group_its_own(params):
    optimizer = PerGroup(optax.sgd(0.1), optax.sgd(0.2, momentum=0.9), optax.set_to_zero())
    velocity, expected = 0.0, jax.tree.map(np.asarray, parameters(params))
    actor, critic = flat(expected.actor), flat(expected.critic)
    for td_update in td_updates(params):
        d = td_update.delta
        up = jax.tree.map(lambda e, b, d=d: d * e + b, td_update.traces, td_update.entropy_bonus)
        velocity = 0.9 * velocity + flat(up.critic)
        actor, critic = actor + 0.1 * flat(up.actor), critic + 0.2 * velocity
    got = after_steps(optimizer, params)
    np.testing.assert_allclose(flat(got.actor), actor, rtol=1e-12)
    np.testing.assert_allclose(flat(got.critic), critic, rtol=1e-12)
    np.testing.assert_array_equal(flat(got.cell), flat(expected.cell))


def test_zeros_like_has_zeros_for_trainable_parameters_alone(params):
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(zeros_like(params)))
    assert flat(zeros_like(params)).size == 2 * 4 + 1 * 4 + 3 * 6 + 3
