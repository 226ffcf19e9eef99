"""The gradients of a world model, and of a policy on imagined trajectories."""

import dataclasses
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rtrrl.agents import ModelBased
from rtrrl.agents.imagination import imagine, policy_gradient
from rtrrl.agents.world_model import LatentState, PredictionHeads, Predictions, WorldModel
from rtrrl.cells import LRUConfig, Memoryless, RTUConfig
from rtrrl.learning.input_pipeline import InputPipeline
from rtrrl.learning.optimizers import OptaxOptimizer
from rtrrl.learning.policies import Categorical
from rtrrl.learning.readouts import Symmetric
from rtrrl.types import parameters
from tests.helpers import init, run_steps, step, with_array_settings
from tests.members import assert_same, quick_jit

pytestmark = pytest.mark.usefixtures("x64")
ACTIONS, OBSERVATIONS, GAMMA = 2, 2, 0.9
POLICY = Categorical(ACTIONS)


class KeyPolicy(Categorical):
    """Takes the action that is encoded in the key."""

    def sample(self, key, y):
        return jax.random.key_data(key)[1].astype(jnp.int32)


def keys_of(plan):
    return jax.random.wrap_key_data(jnp.array([[0, action] for action in plan], jnp.uint32))


def heads(features: int) -> PredictionHeads:
    shape = (ACTIONS, OBSERVATIONS + 2, features + 1)
    return PredictionHeads(jax.random.normal(jax.random.key(1), shape) / features**0.5)


class Descent(OptaxOptimizer):
    """θ − rate · ∇; a rate that is an array needs no second compilation."""

    rate: jax.Array

    def transformation(self):
        return optax.sgd(self.rate)


def random_model():
    """A model, an actor, and a latent state."""
    inputs = OBSERVATIONS + ACTIONS + 1
    cell = RTUConfig(hidden_size=3)(inputs, jax.random.key(0))
    critic, actor = (Symmetric().readout(6, n, 1.0, jax.random.key(n)) for n in (1, ACTIONS))
    rng = np.random.default_rng(0)
    start = LatentState(jnp.asarray(rng.normal(size=(2, 3))), jnp.asarray(rng.normal(size=inputs)))
    return WorldModel(cell, Predictions(critic, heads(6))), actor, start


@pytest.mark.parametrize(
    ("config", "terminated"),
    [(RTUConfig(hidden_size=3), True), (LRUConfig(hidden_size=3), False)],
    ids=["rtu-terminated", "lru"],
)
def test_the_model_learns_by_the_gradient_of_its_prediction_through_time(config, terminated):
    """Where the critic is zero, a step of SGD is −∇ of the last step's loss, by BPTT."""
    still = ModelBased(
        task="none",
        observation_size=OBSERVATIONS,
        policy=POLICY,
        cell=config,
        optimizer=Descent(jnp.zeros(())),
        inputs=InputPipeline(),
        horizon=1,
        rollouts=1,
    )
    learning = dataclasses.replace(still, optimizer=Descent(jnp.ones(())))
    rng = np.random.default_rng(0)
    observed, rewards = jnp.asarray(rng.normal(size=(5, 2))), jnp.asarray(rng.normal(size=5))

    state = init(still, jax.random.key(0))
    width = state.params.critic.heads.weight.shape[-1] - 1
    state = eqx.tree_at(
        lambda state: (state.params.critic.heads, state.params.critic.value.weight),
        state,
        (heads(width), jnp.zeros((1, width + 1))),
    )
    states, _ = run_steps(still, state, observed[:-1], rewards[1:-1])
    xs, state = [each.last.x for each in states], states[-1]
    assert len({int(x[OBSERVATIONS]) for x in xs[1:]}) == 2, "both actions were taken"
    end = jnp.asarray(0.0 if terminated else 1.0)
    after, _, _ = step(with_array_settings(learning), state, observed[-1], rewards[-1], end)

    before, action = state.params, state.last.action
    learned = lambda params: parameters((params.critic.heads, params.cell))  # noqa: E731

    @quick_jit
    @jax.grad
    def gradient(given):
        model, cell = eqx.combine(given, (before.critic.heads, before.cell))
        h = cell.initial_state()
        for x in xs:
            h = cell(h, x)
        W = model.weight[action]
        y = W[:, :-1] @ cell.features(h, xs[-1]) + W[:, -1]
        target = jnp.concatenate([observed[-1] - observed[-2], rewards[-1:]])
        on = jax.nn.sigmoid(y[-1])
        return 0.5 * jnp.sum((target - y[:-1]) ** 2) - jnp.log(1 - on if terminated else on)

    expected = gradient(learned(before))
    assert all(jnp.abs(leaf).max() > 1e-6 for leaf in jax.tree.leaves(expected))
    descent = jax.tree.map(jnp.subtract, learned(before), learned(after.params))
    assert_same(descent, expected, 1e-9)


def test_the_imagined_policy_gradient_is_that_of_the_return_in_the_model():
    """Summed over all plans, weighted by their probability, for λ = 1."""
    model, actor, start = random_model()
    plans = jnp.array(list(itertools.product(range(ACTIONS), repeat=3)))

    def probability_and_return(actor, plan):
        state, log_probability, total, weight = start, 0.0, 0.0, 1.0
        for action in plan:
            y = actor(model.features(state))
            log_probability += jax.nn.log_softmax(y)[action]
            state, prediction = model.step(state, action)
            total += weight * prediction.reward
            weight *= GAMMA * prediction.discount
        return jnp.exp(log_probability), total + weight * model.value(state)

    @quick_jit
    def both(actor):
        expected_return = lambda actor: sum(  # noqa: E731
            jnp.prod(jnp.array(probability_and_return(actor, plan))) for plan in plans
        )

        def weighted_gradient(plan):
            trajectory = imagine(model, actor, KeyPolicy(ACTIONS), start, keys_of(plan), GAMMA, 1.0)
            probability, _ = probability_and_return(actor, plan)
            return probability * policy_gradient(trajectory, actor, 0.0).weight

        total = sum(weighted_gradient(plan) for plan in plans)
        return total, jax.grad(expected_return)(actor).weight

    found, expected = both(actor)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert np.abs(expected).max() > 1e-2


def test_nothing_counts_after_a_predicted_end():
    """Where the second action ends the episode for sure, its reward is the last."""
    model, actor, start = random_model()
    ending = eqx.tree_at(
        lambda model: model.predictions.heads.weight,
        model,
        replace_fn=lambda W: W.at[:, -1].set(0.0).at[0, -1, -1].set(1e3).at[1, -1, -1].set(-1e3),
    )
    keys = keys_of([0, 1, 0, 0])
    run = lambda model: imagine(model, actor, KeyPolicy(2), start, keys, GAMMA, 0.8)  # noqa: E731
    trajectory = quick_jit(run)(ending)
    first, _ = ending.step(start, jnp.array(0))
    _, prediction = ending.step(first, jnp.array(1))
    np.testing.assert_allclose(trajectory.weight, [1.0, GAMMA, 0.0, 0.0])
    np.testing.assert_allclose(trajectory.advantage[1], prediction.reward - ending.value(first))


def counting_model() -> tuple[WorldModel, LatentState]:
    """The observation is a number o. Action 0 has reward 0.1, action 1 reward o, and adds 1 to o.

    The cell's features are its input [o, a, r], so that linear heads are an exact model.
    """
    size = 1 + ACTIONS + 1
    cell = Memoryless(size, size, key=jax.random.key(0))
    cell = eqx.tree_at(lambda cell: cell.weight, cell, jnp.eye(size + 1, size))
    weight = jnp.zeros((ACTIONS, 3, size + 1)).at[:, 2, -1].set(1e3)
    weight = weight.at[0, 1, -1].set(0.1).at[1, 0, -1].set(1.0).at[1, 1, 0].set(1.0)
    critic = Symmetric().readout(size, 1, 0.0, jax.random.key(0))
    start = LatentState(jnp.zeros((1, size)), jnp.zeros(size))
    return WorldModel(cell, Predictions(critic, PredictionHeads(weight))), start


@pytest.mark.parametrize(("horizon", "best"), [(1, 0), (3, 1)], ids=["short", "long"])
def test_the_best_action_is_found_in_an_exact_model(horizon, best):
    """Three steps of action 1 have the return 0 + 1 + 2; one step has less than action 0."""
    model, start = counting_model()

    def ascend(i, actor):
        def gradient(keys):
            trajectory = imagine(model, actor, POLICY, start, keys, 1.0, 1.0)
            return policy_gradient(trajectory, actor, 0.0)

        keys = jax.random.split(jax.random.fold_in(jax.random.key(0), i), (8, horizon))
        gradients = jax.vmap(gradient)(keys)
        return jax.tree.map(lambda w, g: w + 0.3 * g.mean(axis=0), actor, gradients)

    actor = Symmetric().readout(4, ACTIONS, 0.0, jax.random.key(0))
    actor = quick_jit(lambda actor: jax.lax.fori_loop(0, 300, ascend, actor))(actor)
    assert jax.nn.softmax(actor(model.features(start)))[best] > 0.9
