"""Several streams that share one set of parameters: the mean of what each would do alone."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rtrrl
from rtrrl import RTRRL
from rtrrl.cells import RTUConfig
from rtrrl.environments import Environment, make
from rtrrl.errors import RtrrlError
from rtrrl.learning.optimizers import OptaxOptimizer
from rtrrl.training.loop import births, live, representative
from rtrrl.types import parameters
from rtrrl.utils.branching import cond_any
from tests.members import quick_jit

ENVS_AXIS = 3


class Ascent(OptaxOptimizer):
    """θ += 0.1 · direction: the change is the mean of the streams' own changes."""

    def transformation(self):
        return optax.scale(-0.1)


def setting():
    world = make("TMaze-3")
    assert isinstance(world, Environment)
    agent = RTRRL.default(world, cell=RTUConfig(hidden_size=3), optimizer=Ascent())
    return agent, world


def test_one_step_is_the_mean_of_the_steps_that_each_stream_would_take(x64):
    agent, world = setting()
    sharing = agent.share_over_envs()
    together = births(sharing, world, jax.random.key(0), ENVS_AXIS)
    after = _step(sharing, world, together, ENVS_AXIS)

    def alone(index):
        own = _pick(sharing, together, index)
        moved = _step(agent, world, own, 1)
        return jax.tree.map(jnp.subtract, _weights(moved), _weights(own))

    changes = [alone(index) for index in range(ENVS_AXIS)]
    mean = jax.tree.map(lambda *each: sum(each) / ENVS_AXIS, *changes)
    change = jax.tree.map(jnp.subtract, _weights(after), _weights(together))
    for got, expected in zip(jax.tree.leaves(change), jax.tree.leaves(mean), strict=True):
        assert jnp.linalg.norm(got - expected) <= 1e-12 + 1e-10 * jnp.linalg.norm(expected)
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(change)) > 0
    a, b = (jax.tree.leaves(changes[i].critic)[0] for i in (0, 1))
    assert (a != b).any(), "each stream would have learnt something else"


def _weights(life):
    return parameters(life.agent.params)


def _pick(agent, lives, index):
    """One of the streams, as the only one."""
    first = jax.tree.map(lambda leaf: leaf, lives)
    own = eqx.tree_at(
        lambda life: agent.shared_state(life.agent),
        jax.tree.map(lambda _: True, first),
        replace_fn=lambda part: jax.tree.map(lambda _: False, part),
        is_leaf=lambda node: node is None,
    )
    return jax.tree.map(lambda leaf, mine: leaf[index] if mine else leaf, lives, own)


def _step(agent, world, life, num_envs):
    one = jax.tree.map(lambda leaf: leaf[None], life)
    moved = quick_jit(lambda life: live(agent, world, life, jnp.array(1), num_envs))(one)
    return jax.tree.map(lambda leaf: leaf[0], moved)


def test_streams_share_weights_and_optimizer_and_nothing_else():
    agent, world = setting()
    lives = births(agent.share_over_envs(), world, jax.random.key(0), STREAMS)
    assert lives.agent.params.critic.weight.shape == (1, 7)
    assert lives.agent.last.h.shape == (ENVS_AXIS, 2, 3)
    assert lives.agent.traces.critic.weight.shape == (ENVS_AXIS, 1, 7)
    keys = np.asarray(jax.random.key_data(lives.key))
    assert len({tuple(key) for key in keys.tolist()}) == ENVS_AXIS
    one = representative(agent.share_over_envs(), lives, ENVS_AXIS)
    assert one.last.h.shape == (2, 3)
    assert one.params.critic.weight.shape == (1, 7)


def test_a_run_of_many_streams_is_read_back_and_counts_all_episodes(tmp_path):
    asked = {"steps": 400, "seeds": 2, "evaluations": 2, "episodes": 2, "workers": 1}
    agent = dataclasses.replace(setting()[0], optimizer=RTRRL.default("TMaze-3").optimizer)
    run = rtrrl.train(agent, num_envs=4, out=tmp_path / "run", **asked)
    alone = rtrrl.train(agent, **asked)
    counts = [sum(row["episodes"] for row in each.metrics) for each in (run, alone)]
    assert counts[0] > 2.5 * counts[1]
    assert run.states.params.critic.weight.shape == (2, 1, 7)
    plan, states, _ = rtrrl.load_agents(tmp_path / "run")
    assert plan.num_envs == 4
    one = jax.tree.map(lambda leaf: leaf[0], states)
    alone_again = jax.jit(plan.agent.step)(one, jnp.zeros(3), jnp.zeros(()), jnp.ones(()))
    assert jnp.isfinite(alone_again[2].value), "what many streams learnt can go on with one"
    np.testing.assert_array_equal(
        states.params.critic.weight, run.states.params.critic.weight
    )


def test_an_agent_that_cannot_share_says_so():
    with pytest.raises(RtrrlError, match="Random learns from one stream at a time"):
        rtrrl.train(rtrrl.agents.Random.uniform("TMaze-3"), steps=10, num_envs=2)


def test_a_rare_branch_stays_one_under_two_maps():
    """The compiled program has a conditional, and every element gets its own answer."""
    function = jax.vmap(jax.vmap(lambda x: cond_any(x > 1, lambda x: jnp.tanh(x) - x, x)))
    x = jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(function(x), jnp.where(x > 1, jnp.tanh(x) - x, x))
    compiled = jax.jit(function).lower(x).as_text()
    assert "stablehlo.case" in compiled or "stablehlo.if" in compiled


def test_a_rare_branch_takes_what_is_mapped_from_its_state_alone():
    def each(x, bias):
        return cond_any(x > 0, lambda state: (state[0] + state[1], state[1]), (x, bias))[0]

    got = jax.vmap(each, in_axes=(0, None))(jnp.array([-1.0, 2.0]), jnp.array(5.0))
    np.testing.assert_array_equal(got, [-1.0, 7.0])
