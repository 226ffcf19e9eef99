"""What a world model is taught, and what a policy is taught by imagining in one."""

import dataclasses
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rtrrl.agents import ModelBased
from rtrrl.agents.imagination import imagine, improvement
from rtrrl.agents.world_model import LatentState, PredictionHeads, Predictions, WorldModel
from rtrrl.cells import LRUConfig, Memoryless, RTUConfig
from rtrrl.gradients.certificates import RUN_ONCE
from rtrrl.learning.normalizers import RawObservations, RawRewards
from rtrrl.learning.optimizers import OptaxOptimizer
from rtrrl.learning.policies import Categorical
from rtrrl.learning.readouts import Symmetric
from rtrrl.types import parameters
from tests.members import assert_same, quick_jit

pytestmark = pytest.mark.usefixtures("x64")
ACTIONS, OBSERVATIONS, GAMMA = 2, 2, 0.9
POLICY = Categorical(ACTIONS)


class Told(Categorical):
    """Does what the key says."""

    def sample(self, key, y):
        return jax.random.key_data(key)[1].astype(jnp.int32)


def telling(plan):
    return jax.random.wrap_key_data(jnp.array([[0, action] for action in plan], jnp.uint32))


def heads(features: int) -> PredictionHeads:
    shape = (ACTIONS, OBSERVATIONS + 2, features + 1)
    return PredictionHeads(jax.random.normal(jax.random.key(1), shape) / features**0.5)


class Descent(OptaxOptimizer):
    """θ − rate · ∇; a rate that is an array needs no second compilation."""

    rate: jax.Array

    def transformation(self):
        return optax.sgd(self.rate)


born = eqx.filter_jit(lambda agent, key: agent.init(key), compiler_options=RUN_ONCE)
begin = eqx.filter_jit(lambda agent, *given: agent.begin(*given), compiler_options=RUN_ONCE)
step = eqx.filter_jit(lambda agent, *given: agent.step(*given), compiler_options=RUN_ONCE)


def random_model():
    """A model, an actor, and where to begin."""
    inputs = OBSERVATIONS + ACTIONS + 1
    cell = RTUConfig(hidden_size=3)(inputs, jax.random.key(0))
    critic, actor = (Symmetric().readout(6, n, 1.0, jax.random.key(n)) for n in (1, ACTIONS))
    rng = np.random.default_rng(0)
    start = LatentState(jnp.asarray(rng.normal(size=(2, 3))), jnp.asarray(rng.normal(size=inputs)))
    return WorldModel(cell, Predictions(critic, heads(6))), actor, start


@pytest.mark.parametrize(
    ("recipe", "terminated"),
    [(RTUConfig(hidden_size=3), True), (LRUConfig(hidden_size=3), False)],
    ids=["rtu-terminated", "lru"],
)
def test_the_model_learns_by_the_gradient_of_its_prediction_through_time(recipe, terminated):
    """Where the critic says nothing, a step of SGD is −∇ of the last step's loss, by BPTT."""
    still = ModelBased(
        task="none",
        observations=OBSERVATIONS,
        policy=POLICY,
        cell=recipe,
        optimizer=Descent(jnp.zeros(())),
        observation_normalizer=RawObservations(),
        reward_normalizer=RawRewards(),
        horizon=1,
        rollouts=1,
    )
    learning = dataclasses.replace(still, optimizer=Descent(jnp.ones(())))
    rng = np.random.default_rng(0)
    observed, rewards = jnp.asarray(rng.normal(size=(5, 2))), jnp.asarray(rng.normal(size=5))

    state = born(still, jax.random.key(0))
    width = state.parameters.critic.heads.weight.shape[-1] - 1
    state = eqx.tree_at(
        lambda state: (state.parameters.critic.heads, state.parameters.critic.value.weight),
        state,
        (heads(width), jnp.zeros((1, width + 1))),
    )
    state, _ = begin(still, state, observed[0])
    xs = [state.now.x]
    for o, r in zip(observed[1:-1], rewards[1:-1], strict=True):
        state, _, _ = step(still, state, o, r, jnp.ones(()))
        xs.append(state.now.x)
    assert len({int(x[OBSERVATIONS]) for x in xs[1:]}) == 2, "both actions were taken"
    end = jnp.asarray(0.0 if terminated else 1.0)
    after, _, _ = step(learning, state, observed[-1], rewards[-1], end)

    before, action = state.parameters, state.now.action
    learnt = lambda theta: parameters((theta.critic.heads, theta.cell))  # noqa: E731

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

    expected = gradient(learnt(before))
    assert all(jnp.abs(leaf).max() > 1e-6 for leaf in jax.tree.leaves(expected))
    taught = jax.tree.map(jnp.subtract, learnt(before), learnt(after.parameters))
    assert_same(taught, expected, 1e-9)


def test_imagination_teaches_the_gradient_of_the_return_in_the_model():
    """Over all plans, weighted by their probability: ∇ of the mean return, where λ is 1."""
    model, actor, start = random_model()
    plans = jnp.array(list(itertools.product(range(ACTIONS), repeat=3)))

    def probability_and_return(actor, plan):
        now, log_probability, total, weight = start, 0.0, 0.0, 1.0
        for action in plan:
            y = actor(model.features(now))
            log_probability += jax.nn.log_softmax(y)[action]
            now, outcome = model.step(now, action)
            total += weight * outcome.reward
            weight *= GAMMA * outcome.discount
        return jnp.exp(log_probability), total + weight * model.value(now)

    @quick_jit
    def both(actor):
        expected_return = lambda actor: sum(  # noqa: E731
            jnp.prod(jnp.array(probability_and_return(actor, plan))) for plan in plans
        )

        def taught(plan):
            keys = telling(plan)
            dream = imagine(model, actor, Told(ACTIONS), start, keys, GAMMA, 1.0)
            probability, _ = probability_and_return(actor, plan)
            return probability * improvement(dream, actor, 0.0).weight

        return sum(taught(plan) for plan in plans), jax.grad(expected_return)(actor).weight

    found, expected = both(actor)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert np.abs(expected).max() > 1e-2


def test_a_terminated_future_earns_nothing():
    """Where the second action is sure to end the episode, what it earns is the last thing."""
    model, actor, start = random_model()
    ending = eqx.tree_at(
        lambda model: model.expected.heads.weight,
        model,
        replace_fn=lambda W: W.at[:, -1].set(0.0).at[0, -1, -1].set(1e3).at[1, -1, -1].set(-1e3),
    )
    keys = telling([0, 1, 0, 0])
    dream = quick_jit(lambda model: imagine(model, actor, Told(2), start, keys, GAMMA, 0.8))(ending)
    first, _ = ending.step(start, jnp.array(0))
    _, outcome = ending.step(first, jnp.array(1))
    np.testing.assert_allclose(dream.weight, [1.0, GAMMA, 0.0, 0.0])
    np.testing.assert_allclose(dream.advantage[1], outcome.reward - ending.value(first))


def number_world() -> tuple[WorldModel, LatentState]:
    """One number o is seen. Action 0 earns 0.1; action 1 earns o, and adds 1 to it.

    The cell shows its input [o, a, r] as it is, so that linear heads are this very world.
    """
    size = 1 + ACTIONS + 1
    cell = Memoryless(size, size, key=jax.random.key(0))
    cell = eqx.tree_at(lambda cell: cell.weight, cell, jnp.eye(size + 1, size))
    weight = jnp.zeros((ACTIONS, 3, size + 1)).at[:, 2, -1].set(1e3)
    weight = weight.at[0, 1, -1].set(0.1).at[1, 0, -1].set(1.0).at[1, 1, 0].set(1.0)
    critic = Symmetric().readout(size, 1, 0.0, jax.random.key(0))
    start = LatentState(jnp.zeros((1, size)), jnp.zeros(size))
    return WorldModel(cell, Predictions(critic, PredictionHeads(weight))), start


@pytest.mark.parametrize(("horizon", "best"), [(1, 0), (3, 1)], ids=["shortsighted", "foresighted"])
def test_imagining_in_a_known_world_finds_the_best_action(horizon, best):
    """Three steps of action 1 earn 0 + 1 + 2; a single one earns less than action 0 does."""
    model, start = number_world()

    def turn(i, actor):
        keys = jax.random.split(jax.random.fold_in(jax.random.key(0), i), (8, horizon))
        dream = jax.vmap(lambda keys: imagine(model, actor, POLICY, start, keys, 1.0, 1.0))(keys)
        up = jax.vmap(lambda dream: improvement(dream, actor, 0.0))(dream)
        return jax.tree.map(lambda w, g: w + 0.3 * g.mean(axis=0), actor, up)

    actor = Symmetric().readout(4, ACTIONS, 0.0, jax.random.key(0))
    taught = quick_jit(lambda actor: jax.lax.fori_loop(0, 300, turn, actor))(actor)
    assert jax.nn.softmax(taught(model.features(start)))[best] > 0.9
