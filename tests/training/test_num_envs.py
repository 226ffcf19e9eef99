"""Several environments that share one set of parameters: the mean of their own updates."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rtrrl
from rtrrl import RTRRL
from rtrrl.agents import Random
from rtrrl.errors import RtrrlError
from rtrrl.learning.optimizers import OptaxOptimizer
from rtrrl.training.loop import first_agent_state, init_seed, train_steps
from rtrrl.types import parameters
from tests.helpers import assert_same_bits, element
from tests.members import quick_jit
from tests.probes import TruncatedValue
from tests.training.runs import TASK, small_agent

NUM_ENVS = 3


class Ascent(OptaxOptimizer):
    """θ += 0.1 · direction, so that changes are added and averaged as directions are."""

    def transformation(self):
        return optax.scale(-0.1)


AGENT = small_agent(optimizer=Ascent())


def init(agent):
    """The state of one seed in several environments."""
    init = quick_jit(lambda key: init_seed(agent, rtrrl.make(TASK), key, NUM_ENVS))
    return init(jax.random.key(0))


def step(agent, states, num_envs):
    """One step of seeds along a leading axis."""
    train = lambda states: train_steps(agent, rtrrl.make(TASK), states, jnp.array(1), num_envs)  # noqa: E731
    return quick_jit(train)(states)


def as_seeds(agent, state):
    """The state of each environment as that of a seed with a single environment."""
    own = eqx.tree_at(
        lambda state: agent.shared_state(state.agent_state),
        jax.tree.map(lambda _: True, state),
        replace_fn=lambda part: jax.tree.map(lambda _: False, part),
        is_leaf=lambda node: node is None,
    )
    return jax.tree.map(lambda leaf, own: leaf if own else jnp.stack([leaf] * NUM_ENVS), state, own)


def change(before, after):
    """Of the trainable parameters."""
    both = (parameters(state.agent_state.params) for state in (after, before))
    return jax.tree.map(jnp.subtract, *both)


def test_one_step_is_the_mean_of_the_steps_in_each_environment(x64):
    sharing = AGENT.share_over_envs()
    state = init(sharing)
    together = jax.tree.map(lambda leaf: leaf[None], state)
    got = element(change(together, step(sharing, together, NUM_ENVS)), 0)
    alone = as_seeds(sharing, state)
    changes = change(alone, step(AGENT, alone, 1))
    for a, each in zip(jax.tree.leaves(got), jax.tree.leaves(changes), strict=True):
        mean = each.mean(axis=0)
        assert jnp.linalg.norm(a - mean) <= 1e-12 + 1e-10 * jnp.linalg.norm(mean)
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(got)) > 0
    first, second, _ = changes.critic.weight
    assert (first != second).any(), "the environments must differ"


def test_environments_share_parameters_and_optimizer_and_nothing_else():
    agent = AGENT.share_over_envs()
    state = init(agent)
    size = 2 * 4 + 1
    assert state.agent_state.params.critic.weight.shape == (1, size)
    assert state.agent_state.last.h.shape == (NUM_ENVS, 2, 4)
    assert state.agent_state.traces.critic.weight.shape == (NUM_ENVS, 1, size)
    keys = np.asarray(jax.random.key_data(state.key))
    assert len({tuple(key) for key in keys.tolist()}) == NUM_ENVS
    first = first_agent_state(agent, state, NUM_ENVS)
    assert first.last.h.shape == (2, 4)
    assert_same_bits(first.params, state.agent_state.params)


def test_a_run_in_several_environments_counts_all_episodes_and_is_read_back(tmp_path):
    environment = TruncatedValue(steps=5)
    agent = RTRRL.default(environment, cell=AGENT.cell)
    run = rtrrl.train(
        environment,
        agent,
        steps=100,
        seeds=2,
        evaluations=2,
        episodes=1,
        workers=1,
        num_envs=4,
        out=tmp_path / "run",
    )
    assert [row["episodes"] for row in run.metrics] == [4 * 50 / 5] * 4
    assert run.best.tolist() == [5, 5]
    agents = rtrrl.load(tmp_path / "run", environment=environment)
    assert agents.config.num_envs == 4
    assert_same_bits(agents.states, run.agents().states)
    # what was learned in several environments can continue in one
    agent, state = agents.one(0)
    _, _, info = quick_jit(agent.step)(state, jnp.ones(1), jnp.zeros(()), jnp.ones(()))
    assert jnp.isfinite(info.value)


def test_an_agent_that_cannot_share_is_refused():
    with pytest.raises(RtrrlError, match="Random learns from one environment at a time"):
        rtrrl.train(TASK, Random.uniform(TASK), steps=10, num_envs=2)
