import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rtrrl.cells import CTRNN
from rtrrl.readouts import RandomFeedback
from rtrrl.types import parameters
from rtrrl.updates import Adam, Groups, PerGroup, zeros_like
from tests.members import quick_jit

pytestmark = pytest.mark.usefixtures("x64")


@pytest.fixture
def groups():
    readout = lambda outputs, seed: RandomFeedback().readout(3, outputs, 1.0, jax.random.key(seed))  # noqa: E731
    cell = CTRNN(2, 3, key=jax.random.key(0))
    return Groups(readout(2, 1), readout(1, 2), cell)


def ascents(groups, count=5):
    """δ, traces and bonus, several times."""
    rng = np.random.default_rng(0)
    random = lambda leaf: jnp.asarray(rng.normal(size=leaf.shape))  # noqa: E731
    for _ in range(count):
        traces, bonus = (jax.tree.map(random, parameters(groups)) for _ in range(2))
        yield jnp.asarray(rng.normal()), traces, bonus


def live(update, groups, count=5):
    state = update.init(groups)
    step = quick_jit(update.__call__)
    for given in ascents(groups, count):
        groups, state = step(state, groups, *given)
    return parameters(groups)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


@pytest.mark.parametrize("clip", [1.0, 1e9], ids=["clipped", "free"])
def test_adam_is_optax_adam_on_the_descent_direction(groups, clip):
    """Clipped over all groups together, then Adam of step size 0.1."""
    expected = parameters(groups)
    rule = optax.chain(optax.clip_by_global_norm(clip), optax.adam(0.1, 0.8, 0.95, 1e-6))
    state = rule.init(expected)
    for delta, traces, bonus in ascents(groups):
        descent = jax.tree.map(lambda e, b, d=delta: -d * e - b, traces, bonus)
        change, state = rule.update(descent, state)
        expected = optax.apply_updates(expected, change)
    got = live(Adam(0.1, clip=clip, b1=0.8, b2=0.95, epsilon=1e-6), groups)
    np.testing.assert_allclose(flat(got), flat(expected), rtol=1e-12)


def test_adam_by_hand(groups):
    """The first step of Adam is its step size times the sign, uphill."""
    delta, traces, bonus = next(ascents(groups))
    new = live(Adam(0.1, epsilon=0.0), groups, 1)
    moved = flat(new) - flat(parameters(groups))
    uphill = np.sign(delta * flat(traces) + flat(bonus))
    np.testing.assert_allclose(moved, 0.1 * uphill, rtol=1e-9)


def test_clip_bounds_the_norm_of_all_groups_together(groups):
    """Seen through Adam's first moment, (1 − b₁) times the clipped direction."""
    update = Adam(clip=0.5, b1=0.9)
    _, state = update(update.init(groups), groups, *next(ascents(groups)))
    moment = next(part.mu for part in state if isinstance(part, optax.ScaleByAdamState))
    assert np.linalg.norm(flat(moment)) == pytest.approx(0.5 * 0.1)


def test_multiples_scale_their_own_group(groups):
    plain, scaled = (
        live(update, groups, 1)
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
    for delta, traces, bonus in ascents(groups):
        up = jax.tree.map(lambda e, b, d=delta: d * e + b, traces, bonus)
        velocity = 0.9 * velocity + flat(up.critic)
        actor, critic = actor + 0.1 * flat(up.actor), critic + 0.2 * velocity
    got = live(update, groups)
    np.testing.assert_allclose(flat(got.actor), actor, rtol=1e-12)
    np.testing.assert_allclose(flat(got.critic), critic, rtol=1e-12)
    np.testing.assert_array_equal(flat(got.cell), flat(expected.cell))


def test_fixed_arrays_are_no_parameters(groups):
    update = Adam(1.0)
    new, _ = update(update.init(groups), groups, *next(ascents(groups)))
    np.testing.assert_array_equal(new.actor.feedback.value, groups.actor.feedback.value)
    np.testing.assert_array_equal(new.cell.mask, groups.cell.mask)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(zeros_like(groups)))
    assert flat(zeros_like(groups)).size == 2 * 4 + 1 * 4 + 3 * 6 + 3
