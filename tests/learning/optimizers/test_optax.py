"""Updates that optax transforms."""

import jax
import numpy as np
import optax
import pytest

from rtrrl.learning.optimizers import Adam, PerGroup, zeros_like
from rtrrl.types import parameters
from tests.learning.optimizers.lives import credits, flat, live, newborn

pytestmark = pytest.mark.usefixtures("x64")


@pytest.fixture
def groups():
    return newborn()


def moved(update, groups, count=5):
    return live(update, groups, list(credits(groups, count)))


@pytest.mark.parametrize("clip", [1.0, 1e9], ids=["clipped", "free"])
def test_adam_is_optax_adam_on_the_descent_direction(groups, clip):
    """Clipped over all groups together, then Adam of step size 0.1."""
    expected = parameters(groups)
    rule = optax.chain(optax.clip_by_global_norm(clip), optax.adam(0.1, 0.8, 0.95, 1e-6))
    state = rule.init(expected)
    for credit in credits(groups):
        d = credit.delta
        descent = jax.tree.map(lambda e, b, d=d: -d * e - b, credit.traces, credit.bonus)
        change, state = rule.update(descent, state)
        expected = optax.apply_updates(expected, change)
    got = moved(Adam(0.1, clip=clip, b1=0.8, b2=0.95, epsilon=1e-6), groups)
    np.testing.assert_allclose(flat(got), flat(expected), rtol=1e-12)


def test_adam_by_hand(groups):
    """The first step of Adam is its step size times the sign, uphill."""
    credit = next(credits(groups))
    new = moved(Adam(0.1, epsilon=1e-30), groups, 1)
    change = flat(new) - flat(parameters(groups))
    uphill = np.sign(credit.delta * flat(credit.traces) + flat(credit.bonus))
    np.testing.assert_allclose(change, 0.1 * uphill, rtol=1e-9)


def test_clip_bounds_the_norm_of_all_groups_together(groups):
    """Seen through Adam's first moment, (1 − b₁) times the clipped direction."""
    update = Adam(clip=0.5, b1=0.9)
    _, state = update(update.init(groups), groups, next(credits(groups)))
    moment = next(part.mu for part in state if isinstance(part, optax.ScaleByAdamState))
    assert np.linalg.norm(flat(moment)) == pytest.approx(0.5 * 0.1)


def test_multiples_scale_their_own_group(groups):
    plain, scaled = (
        moved(update, groups, 1)
        for update in (Adam(0.1), Adam(0.1, actor_multiple=2.0, recurrent_multiple=0.5))
    )
    for name, multiple in [("actor", 2.0), ("critic", 1.0), ("cell", 0.5)]:
        born, by_one, by_many = (
            flat(getattr(tree, name)) for tree in (parameters(groups), plain, scaled)
        )
        np.testing.assert_allclose(by_many - born, multiple * (by_one - born), rtol=1e-9)


def test_per_group_gives_each_group_its_own(groups):
    update = PerGroup(optax.sgd(0.1), optax.sgd(0.2, momentum=0.9), optax.set_to_zero())
    velocity, expected = 0.0, jax.tree.map(np.asarray, parameters(groups))
    actor, critic = flat(expected.actor), flat(expected.critic)
    for credit in credits(groups):
        d = credit.delta
        up = jax.tree.map(lambda e, b, d=d: d * e + b, credit.traces, credit.bonus)
        velocity = 0.9 * velocity + flat(up.critic)
        actor, critic = actor + 0.1 * flat(up.actor), critic + 0.2 * velocity
    got = moved(update, groups)
    np.testing.assert_allclose(flat(got.actor), actor, rtol=1e-12)
    np.testing.assert_allclose(flat(got.critic), critic, rtol=1e-12)
    np.testing.assert_array_equal(flat(got.cell), flat(expected.cell))


def test_traces_begin_with_zeros_for_parameters_alone(groups):
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(zeros_like(groups)))
    assert flat(zeros_like(groups)).size == 2 * 4 + 1 * 4 + 3 * 6 + 3
