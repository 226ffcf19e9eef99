"""Contracts of readouts and policies."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.environments import Box, Discrete, MultiDiscrete, Product
from rtrrl.errors import UnsupportedSpaceError
from rtrrl.learning.policies import (
    Categorical,
    Factored,
    Gaussian,
    GlobalSpread,
    Joint,
    VarianceScaledScore,
    policy_for,
)
from rtrrl.learning.readouts import RandomFeedback, Symmetric, WithConstants
from rtrrl.types import parameters
from tests.members import quick_jit

FEEDBACKS = [Symmetric(), RandomFeedback(), RandomFeedback(scale=3.0)]
POLICIES = {
    "categorical": Categorical(3),
    "factored": Factored((3, 2)),
    "categorical with exploration": Categorical(3, 0.2),
    "factored with exploration": Factored((3, 2), 0.2),
    "gaussian": Gaussian((-2.0, 0.0), (4.0, 1.0)),
    "global": Gaussian((-2.0, 0.0), (4.0, 1.0), GlobalSpread()),
    "unbounded": Gaussian((-np.inf,), (np.inf,)),
    "gain": Gaussian((-2.0, -np.inf), (4.0, np.inf), gain=0.3),
    "one-sided": Gaussian((10.0, -np.inf), (np.inf, 3.0)),
    "joint": Joint(Factored((3, 2)), Gaussian((-2.0, 10.0), (4.0, np.inf))),
    "joint with exploration": Joint(
        Factored((3, 2), 0.2), Gaussian((-2.0,), (4.0,), GlobalSpread(), narrowest=0.2, gain=0.3)
    ),
}
DRAWS = 4000

each_feedback = pytest.mark.parametrize("feedback", FEEDBACKS, ids=lambda f: type(f).__name__)
each_policy = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
EXACT = {name: policy for name, policy in POLICIES.items() if "exploration" not in name}
"""Those whose score is the derivative of log π."""
each_exact_policy = pytest.mark.parametrize("policy", EXACT.values(), ids=EXACT)


def outputs(policy):
    return jnp.linspace(-0.6, 0.4, policy.output_size)


def draws(policy, y):
    keys = jax.random.split(jax.random.key(0), DRAWS)
    return over_draws(policy.sample, (0, None))(keys, y)


def over_draws(function, in_axes=(None, 0)):
    return quick_jit(jax.vmap(function, in_axes=in_axes))


@each_feedback
def test_readout(feedback):
    readout = feedback.readout(4, 2, 0.5, jax.random.key(0))
    features, y_bar = jnp.arange(4.0), jnp.array([1.0, -2.0])
    assert readout.weight.shape == (2, 5)
    assert not readout.weight[:, -1].any(), "the initial bias is zero"
    biased = eqx.tree_at(lambda r: r.weight, readout, readout.weight.at[:, -1].set(7.0))
    np.testing.assert_allclose(biased(features), readout.weight[:, :-1] @ features + 7, rtol=1e-6)
    assert readout.pullback(y_bar).shape == (4,)
    gradient = readout.gradient(features, y_bar)
    assert jax.tree.structure(gradient) == jax.tree.structure(parameters(readout))
    batch = jax.jit(jax.vmap(readout))(jnp.stack([features, -features]))
    np.testing.assert_allclose(batch[0], readout(features), rtol=1e-6)
    assert not np.allclose(feedback.readout(4, 2, 0.5, jax.random.key(1)).weight, readout.weight)


@each_feedback
def test_initial_weights_have_the_given_scale(feedback):
    readout = feedback.readout(100, 50, 0.5, jax.random.key(0))
    assert readout.weight[:, :-1].std() == pytest.approx(0.5 / 10, rel=0.05)
    if isinstance(feedback, RandomFeedback):
        assert readout.feedback.value.std() == pytest.approx(feedback.scale / 10, rel=0.05)


@each_policy
def test_actions_have_one_type(policy):
    y = outputs(policy)
    sampled = policy.sample(jax.random.key(0), y)
    for action in (policy.mode(y), policy.no_action, policy.admissible(sampled)):
        assert (action.shape, action.dtype) == (sampled.shape, sampled.dtype)
    assert policy.encode(sampled).shape == (policy.action_size,)
    for scalar in (policy.log_probability(y, sampled), policy.entropy(y)):
        assert (scalar.shape, scalar.dtype) == ((), y.dtype)


@each_exact_policy
def test_score_is_the_derivative_of_the_log_probability(policy, x64):
    y = outputs(policy)
    action = policy.sample(jax.random.key(3), y)
    near = y + 1e-6 * jnp.concatenate([jnp.eye(policy.output_size), -jnp.eye(policy.output_size)])
    above, below = np.split(over_draws(policy.log_probability, (0, None))(near, action), 2)
    score = quick_jit(policy.score)(y, action)
    np.testing.assert_allclose(score, (above - below) / 2e-6, rtol=1e-5, atol=1e-8)


@each_policy
def test_score_is_zero_on_average_and_not_identically(policy):
    """E[∇ log π] = 0. A gradient through the sample would make the mean's score exactly 0."""
    y = outputs(policy)
    scores = np.asarray(over_draws(policy.score)(y, draws(policy, y)))
    standard = scores.std(axis=0) / DRAWS**0.5
    assert (standard > 1e-3).all()
    assert (np.abs(scores.mean(axis=0)) < 4 * standard).all()


@each_exact_policy
def test_a_sample_carries_no_gradient(policy):
    """∇_y log π(sample(y) | y), through the sample too, is the score of the sample held fixed."""
    y, key = outputs(policy), jax.random.key(3)
    own = lambda y: policy.log_probability(y, policy.sample(key, y))  # noqa: E731
    through = quick_jit(jax.grad(own))(y)
    score = quick_jit(policy.score)(y, policy.sample(key, y))
    np.testing.assert_allclose(through, score, rtol=1e-5)
    assert (jnp.abs(through) > 1e-4).all()


@each_policy
def test_entropy_is_the_mean_of_minus_log_probability(policy):
    y = outputs(policy)
    surprise = -over_draws(policy.log_probability)(y, draws(policy, y))
    standard = surprise.std() / DRAWS**0.5
    assert abs(surprise.mean() - policy.entropy(y)) < 4 * standard
    direction = policy.entropy_gradient(y)
    ascended = policy.entropy(y + 1e-2 * direction)
    assert ascended > policy.entropy(y)


@each_policy
def test_mode_is_most_probable(policy):
    y = outputs(policy)
    at = over_draws(policy.log_probability)(y, draws(policy, y))
    assert (at <= policy.log_probability(y, policy.mode(y)) + 1e-6).all()


def test_categorical_by_hand():
    policy, y = Categorical(2), jnp.log(jnp.array([0.75, 0.25]))
    assert float(policy.log_probability(y, jnp.array(1))) == pytest.approx(np.log(0.25))
    entropy = -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
    assert float(policy.entropy(y)) == pytest.approx(entropy)
    np.testing.assert_allclose(policy.score(y, jnp.array(0)), [0.25, -0.25], rtol=1e-6)
    np.testing.assert_array_equal(policy.encode(jnp.array(1)), [0, 1])
    assert (draws(policy, y) == 0).mean() == pytest.approx(0.75, abs=0.03)


def test_random_actions_by_hand():
    """ε = 0.2 of two actions: 0.8 · [0.75, 0.25] + 0.1."""
    policy = Categorical(2, 0.2)
    y, pi = jnp.log(jnp.array([0.75, 0.25])), np.array([0.7, 0.3])
    np.testing.assert_allclose(jnp.exp(policy.log_probabilities(y)), pi, rtol=1e-6)
    assert (draws(policy, y) == 0).mean() == pytest.approx(0.7, abs=0.03)
    np.testing.assert_allclose(policy.score(y, jnp.array(0)), [0.3, -0.3], rtol=1e-6)
    assert float(policy.entropy(y)) == pytest.approx(-(pi @ np.log(pi)), rel=1e-6)


@pytest.mark.parametrize("name", [name for name in POLICIES if "exploration" in name])
def test_entropy_gradient_of_a_mixture_is_the_derivative(name, x64):
    policy = POLICIES[name]
    y = outputs(policy)
    np.testing.assert_allclose(policy.entropy_gradient(y), jax.grad(policy.entropy)(y), rtol=1e-9)


def test_with_exploration_an_improbable_action_is_tried_and_has_a_score():
    y, other = jnp.array([60.0, 0.0]), jnp.array(1)
    plain, exploring = Categorical(2), Categorical(2).with_exploration()
    assert not (draws(plain, y) == 1).any()
    assert float(jnp.exp(exploring.log_probability(y, other))) > 1e-4
    assert float(exploring.score(y, other)[1]) > 0.99
    derivative = jax.grad(exploring.log_probability)(y, other)
    assert float(jnp.abs(derivative).max()) < 1e-6, "the exact derivative vanishes"


@pytest.mark.parametrize("kind", [lambda e: Categorical(2, e), lambda e: Factored((2, 3), e)])
def test_exploration_must_be_below_one(kind):
    with pytest.raises(ValueError, match=r"exploration is 1\.0.*\[0, 1\)"):
        kind(1.0)


def test_bounded_gaussian_by_hand():
    """Space [−2, 4]: centre 1, half width 3."""
    policy = Gaussian((-2.0,), (4.0,))
    level = (np.log(0.2) + 5) / 6  # log σ = −5 + 6 sigmoid(s + log 5)
    y = jnp.array([np.arctanh(0.5), np.log(level / (1 - level)) - np.log(5)])
    assert float(policy.mode(y)[0]) == pytest.approx(2.5)
    sampled = draws(policy, y)
    assert sampled.mean() == pytest.approx(2.5, abs=0.04)
    assert sampled.std() == pytest.approx(0.6, rel=0.05)
    entropy = 0.5 * np.log(2 * np.pi * np.e * 0.6**2)
    assert float(policy.entropy(y)) == pytest.approx(entropy, rel=1e-6)
    for action, admitted, encoded in [(-9.0, -2.0, -1.0), (1.0, 1.0, 0.0), (9.0, 4.0, 1.0)]:
        action = jnp.array([action])
        assert float(policy.admissible(action)[0]) == admitted
        assert float(policy.encode(action)[0]) == encoded
    np.testing.assert_array_equal(policy.no_action, [1.0])


def test_unbounded_gaussian_is_in_natural_units():
    policy = Gaussian((-np.inf,), (np.inf,))
    assert float(policy.mode(jnp.array([5.0, 0.0]))[0]) == 5.0
    np.testing.assert_array_equal(policy.admissible(jnp.array([1e6])), [1e6])


@pytest.mark.parametrize(("low", "high", "inwards"), [(10.0, np.inf, 1), (-np.inf, -10.0, -1)])
def test_one_bound_is_one_unit_from_the_centre(low, high, inwards):
    """Away from the bound the mean moves in natural units; towards it, it never arrives."""
    policy = Gaussian((low,), (high,))
    mean = lambda m: inwards * float(policy.mode(jnp.array([inwards * m, 0.0]))[0])  # noqa: E731
    bound = mean(0.0) - 1
    assert bound == 10
    assert mean(50.0) - bound == pytest.approx(51)
    assert mean(-3.0) - bound == pytest.approx(np.exp(-3), rel=1e-3)
    inside = inwards * np.asarray(draws(policy, jnp.zeros(2))) > bound
    assert inside.mean() == pytest.approx(0.84, abs=0.03)
    np.testing.assert_array_equal(policy.admissible(jnp.array([-inwards * 1e6])), [inwards * bound])
    np.testing.assert_array_equal(policy.no_action, [inwards * (bound + 1)])


def test_a_dimension_without_width_is_constant():
    """The other dimension is as if it were alone."""
    both, alone = Gaussian((3.0, -1.0), (3.0, 1.0)), Gaussian((-1.0,), (1.0,))
    y, y_alone = jnp.array([9.0, 0.3, -9.0, 0.2]), jnp.array([0.3, 0.2])
    action = both.sample(jax.random.key(0), y)
    assert both.admissible(action)[0] == 3
    assert both.encode(action)[0] == 0
    for function in ("log_probability", "score"):
        got, expected = (
            getattr(both, function)(y, action),
            getattr(alone, function)(y_alone, action[1:]),
        )
        np.testing.assert_allclose(got[1::2] if got.ndim else got, expected, rtol=1e-6)
    assert both.entropy(y) == alone.entropy(y_alone)
    np.testing.assert_array_equal(both.score(y, action)[::2], 0)
    np.testing.assert_array_equal(both.entropy_gradient(y)[::2], 0)
    assert np.isfinite(both.noise(y, action)).all()
    assert float(Gaussian((3.0,), (3.0,)).entropy(jnp.zeros(2))) == 0


@pytest.mark.parametrize("bound", [1e20, float(np.finfo(np.float32).max), 1.7e308])
def test_absurd_bounds_are_as_none(bound):
    absurd, unbounded = Gaussian((-bound,), (bound,)), Gaussian((-np.inf,), (np.inf,))
    y, action = jnp.array([0.7, 0.1]), jnp.array([1.3])
    for function in ("log_probability", "score", "noise"):
        given = getattr(absurd, function)(y, action), getattr(unbounded, function)(y, action)
        np.testing.assert_array_equal(*given)
    np.testing.assert_array_equal(absurd.admissible(jnp.array([1e6])), [1e6])


@pytest.mark.parametrize(("half", "s"), [(5e-13, -3.0), (5e-11, -3.0), (5e9, 3.0)])
def test_the_score_does_not_depend_on_the_unit_of_the_action(half, s):
    policy, unit = Gaussian((-half,), (half,)), Gaussian((-1.0,), (1.0,))
    y, action, noise = jnp.array([0.3, s]), jnp.array([0.7]), jnp.array([0.5])
    for function in ("score", "log_probability"):
        given = getattr(policy, function)(y, half * action)
        if function == "log_probability":
            given += np.log(half)
        np.testing.assert_allclose(given, getattr(unit, function)(y, action), rtol=1e-4)
    np.testing.assert_allclose(policy.noise(y, half * action), unit.noise(y, action), rtol=1e-4)
    drawn = policy.sample_after(jax.random.key(0), y, noise) / half
    np.testing.assert_allclose(drawn, unit.sample_after(jax.random.key(0), y, noise), rtol=1e-4)


def test_bounds_with_nothing_between_them_have_no_policy():
    with pytest.raises(UnsupportedSpaceError, match="entry 1 of a Box ranges from 2"):
        Gaussian((0.0, 2.0), (1.0, 1.0))


def test_a_joint_policy_is_the_product_of_its_parts():
    policy = POLICIES["joint"].with_exploration()
    choices, numbers = policy.choices, policy.numbers
    assert (choices, numbers) == (
        POLICIES["joint"].choices.with_exploration(),
        POLICIES["joint"].numbers.with_exploration(),
    )
    assert policy.num_constants == numbers.num_constants == 2
    y = outputs(policy)
    action, noise = policy.sample(jax.random.key(0), y), jnp.array([0.5, -0.5])
    (y_c, y_n), (c, x) = np.split(y, [5]), (action[:2].astype(int), action[2:])
    both = choices.log_probability(y_c, c) + numbers.log_probability(y_n, x)
    assert policy.log_probability(y, action) == pytest.approx(both)
    expected = [*choices.score(y_c, c), *numbers.score_after(y_n, x, noise)]
    np.testing.assert_allclose(policy.score_after(y, action, noise), expected, rtol=1e-6)
    np.testing.assert_array_equal(policy.noise(y, action), numbers.noise(y_n, x))
    np.testing.assert_array_equal(policy.encode(action), [*choices.encode(c), *numbers.encode(x)])
    after = policy.sample_after(jax.random.key(0), y, noise)
    np.testing.assert_array_equal(after[:2], action[:2])
    assert (after[2:] != action[2:]).all(), "given the noise, another distribution"


def test_factored_choices_are_independent():
    policy = Factored((2, 3))
    y = jnp.log(jnp.array([0.75, 0.25, 0.2, 0.3, 0.5]))
    both = policy.log_probability(y, jnp.array([1, 2]))
    assert float(both) == pytest.approx(np.log(0.25 * 0.5), rel=1e-6)
    np.testing.assert_array_equal(policy.encode(jnp.array([1, 2])), [0, 1, 0, 0, 1])
    sampled = np.asarray(draws(policy, y))
    assert (sampled == [0, 2]).all(axis=1).mean() == pytest.approx(0.375, abs=0.03)


def test_the_variance_scaled_score_does_not_grow_as_sigma_falls():
    """(σ/half)² ∇ log π: as σ → 0 the mean's part stays (a − μ)/half · tanh', without 1/σ²."""
    plain = Gaussian((-2.0, 0.0), (4.0, 1.0))
    scaled = dataclasses.replace(plain, score_estimator=VarianceScaledScore())
    y, action = jnp.array([0.3, -0.2, -1.5, 0.4]), jnp.array([1.0, 0.7])
    factor = np.tile(np.asarray(plain.relative_deviation(y)) ** 2, 2)
    np.testing.assert_allclose(scaled.score(y, action), factor * plain.score(y, action), rtol=1e-5)
    assert (factor[0] < 0.1 < factor[1]).all()


@each_feedback
def test_constants_depend_on_no_feature(feedback):
    inner = feedback.readout(4, 2, 1.0, jax.random.key(0))
    readout = WithConstants(inner, jnp.array([7.0]))
    features, y_bar = jnp.arange(4.0), jnp.array([1.0, -2.0, 0.5])
    np.testing.assert_array_equal(readout(features), [*inner(features), 7.0])
    np.testing.assert_array_equal(readout.pullback(y_bar), inner.pullback(y_bar[:2]))
    gradient = readout.gradient(features, y_bar)
    assert jax.tree.structure(gradient) == jax.tree.structure(parameters(readout))
    np.testing.assert_array_equal(gradient.constant, [0.5])


def test_sigma_has_bounds():
    policy = Gaussian((-1.0,), (1.0,))
    entropy = lambda s: float(policy.entropy(jnp.array([0.0, s])))  # noqa: E731
    standard = 0.5 * np.log(2 * np.pi * np.e)
    assert entropy(-100.0) == pytest.approx(standard - 5)
    assert entropy(0.0) == pytest.approx(standard)
    assert entropy(100.0) == pytest.approx(standard + 1)


def test_a_gaussian_has_gradients_beyond_its_bounds():
    """Where a clipped one would have none."""
    policy = Gaussian((-1.0,), (1.0,))
    for y in (jnp.array([2.5, 3.0]), jnp.array([-2.5, -3.0])):
        assert (jnp.abs(policy.score(y, jnp.array([0.3]))) > 1e-3).all()
        assert jnp.abs(policy.entropy_gradient(y)[1]) > 1e-3


def test_policy_for_a_space():
    assert policy_for(Discrete(3)) == Categorical(3)
    assert policy_for(MultiDiscrete((3, 2))) == Factored((3, 2))
    assert policy_for(Box.of(-1, 1, (2,))) == Gaussian((-1.0, -1.0), (1.0, 1.0))
    product = Product(MultiDiscrete((3, 2)), Box.of(-1, np.inf, (1,)))
    joint = policy_for(product)
    assert joint == Joint(Factored((3, 2)), Gaussian((-1.0,), (np.inf,)))
    assert joint.action_space == product


@pytest.mark.parametrize(
    "space",
    [
        Box.of(0, 1, (2, 2)),
        Product(MultiDiscrete((2,)), Box.of(0, 1, (2, 2))),
        "a dictionary",
    ],
)
def test_an_unsupported_space_is_named(space):
    with pytest.raises(
        UnsupportedSpaceError, match="expected Discrete, MultiDiscrete, a flat Box"
    ) as refusal:
        policy_for(space)
    assert str(space) in str(refusal.value)
