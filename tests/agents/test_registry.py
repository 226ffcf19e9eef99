"""The named agents, and the registration of whatever is chosen by name."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rtrrl
from rtrrl import RTRRL
from rtrrl.agents import PPO
from rtrrl.agents.parts import PARTS, set_path, with_parts
from rtrrl.agents.registry import AGENTS, PRESETS, describe_agent, make_agent, register
from rtrrl.cells import GRUConfig, RTUConfig, UniformRing
from rtrrl.environments import Environment, make
from rtrrl.errors import RtrrlError, UnknownNameError, UnsupportedSpaceError
from rtrrl.gradients import DiagonalRTRL, SnAp1
from rtrrl.learning.exploration_bonus import NoBonus
from rtrrl.learning.normalizers import RawObservations, RawRewards
from rtrrl.learning.optimizers import Adam
from rtrrl.learning.policies import Categorical
from rtrrl.learning.readouts import Symmetric
from rtrrl.learning.traces import Dutch
from rtrrl.training.compiled_evaluation import begin_episode, step_episode
from rtrrl.training.loop import init_runner_state, train_steps
from tests.counting import CountingAgent, PaidAction
from tests.probes import TruncatedValue

KINDS = {"discrete": "CartPole-pos", "choices": "MinesweeperEasy", "continuous": "Pendulum"}
REFUSED = {("model-based", "choices"), ("model-based", "continuous")}
TASK = "TMaze-3"


# --- the named agents ---------------------------------------------------------------------------


def small(name: str, environment):
    """Four units, and short rollouts for PPO."""
    agent = make_agent(name, environment)
    changes = {"rollout": 64, "sequence": 16} if isinstance(agent, PPO) else {}
    if hasattr(agent, "cell"):
        changes["cell"] = dataclasses.replace(agent.cell, hidden_size=4)
    return dataclasses.replace(agent, **changes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PRESETS)
def test_every_named_agent_fits_every_kind_of_action(name, kind):
    """Training and evaluation are traced; that the numbers are right is up to tests/contracts."""
    environment = make(KINDS[kind])
    if (name, kind) in REFUSED:
        with pytest.raises(UnsupportedSpaceError, match="expected a Discrete action space"):
            make_agent(name, environment)
        return
    agent = small(name, environment)

    def run(key):
        states = jax.vmap(functools.partial(init_runner_state, agent, environment))(key[None])
        state = train_steps(agent, environment, states, jnp.array(1))
        agent_state = jax.tree.map(lambda leaf: leaf[0], state.agent_state)
        frozen = agent.frozen(agent_state)
        episode = begin_episode(frozen, environment, key)
        return state, step_episode(frozen, environment, key, episode)

    state, episode = eqx.filter_eval_shape(run, jax.random.key(0))
    assert episode.episode_return.shape == ()
    assert state.steps.shape == (1,)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "discrete") for name in ("default", "ppo", "model-based", "random")),
        *((name, kind) for name in ("default", "ppo") for kind in ("choices", "continuous")),
    ],
)
def test_every_kind_of_agent_is_trained_and_evaluated(name, kind):
    environment = make(KINDS[kind])
    run = rtrrl.train(
        environment, small(name, environment), steps=200, seeds=1, evaluations=1, episodes=1
    )
    assert run.steps == 200
    assert np.isfinite(run.best).all()
    if name == "ppo":
        assert run.agents().states.rollouts.tolist() == [3]


@pytest.mark.parametrize("name", PRESETS)
def test_a_named_agent_has_its_class_and_a_description(name):
    each = PRESETS[name]
    assert type(make_agent(name, TASK)) is each.kind
    assert describe_agent(name) == each.description
    assert 10 < len(each.description) < 80
    assert each.description[0].islower() or each.description.startswith(("RTRRL", "TD"))


def test_no_two_named_agents_are_the_same():
    agents = [make_agent(name, TASK) for name in PRESETS]
    assert all(a != b for i, a in enumerate(agents) for b in agents[:i])


def test_an_unknown_agent_is_refused_with_similar_ones():
    with pytest.raises(UnknownNameError, match="did you mean ppo"):
        make_agent("pppo", TASK)


# --- settings and parts -------------------------------------------------------------------------


def test_settings_and_parts_of_a_named_agent():
    agent = make_agent("paper", TASK, rule="snap1", cell="gru", gamma=0.9, bonus=None)
    assert agent == RTRRL.paper(TASK, rule=SnAp1(), cell=GRUConfig(), gamma=0.9)


def test_a_part_of_the_named_type_keeps_its_settings():
    agent = RTRRL.default(TASK, optimizer=Adam(learning_rate=0.25))
    assert with_parts(agent, {"optimizer": "adam", "rule": None}) is agent
    other = with_parts(agent, {"optimizer": Adam(learning_rate=0.5)})
    assert other.optimizer.learning_rate == 0.5


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"rule": "snap2"}, "unknown rule 'snap2': did you mean snap1"),
        ({"wiring": "ncp"}, "^wiring='ncp' does not apply: RTU has no wiring"),
        ({"spread": "global"}, "^spread='global' does not apply: Categorical has no spread"),
    ],
)
def test_a_part_that_does_not_apply_is_refused(parts, message):
    with pytest.raises(RtrrlError, match=message) as caught:
        with_parts(RTRRL.default(TASK), parts)
    assert "\n" not in str(caught.value)


def test_a_setting_is_set_by_its_path():
    cell = set_path(RTUConfig(eigenvalues=UniformRing()), "eigenvalues.r_max", 0.9)
    assert cell == RTUConfig(eigenvalues=UniformRing(r_max=0.9))
    with pytest.raises(RtrrlError, match="UniformRing has no r_mux"):
        set_path(cell, "eigenvalues.r_mux", 0.9)


# --- what users register ------------------------------------------------------------------------


class UsersCell(RTUConfig):
    pass


class UsersRule(DiagonalRTRL):
    pass


class UsersEigenvalues(UniformRing):
    pass


class UsersFeedback(Symmetric):
    pass


class UsersTrace(Dutch):
    pass


class UsersOptimizer(Adam):
    pass


class UsersPolicy(Categorical):
    pass


class UsersObservations(RawObservations):
    pass


class UsersRewards(RawRewards):
    pass


class UsersBonus(NoBonus):
    pass


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize(
    ("kind", "factory"),
    [
        ("cell", UsersCell),
        ("rule", UsersRule),
        ("eigenvalues", UsersEigenvalues),
        ("feedback", UsersFeedback),
        ("trace", UsersTrace),
        ("optimizer", UsersOptimizer),
        ("policy", lambda space: UsersPolicy(space.n)),
        ("observations", UsersObservations),
        ("rewards", UsersRewards),
        ("bonus", UsersBonus),
    ],
)
def test_a_registered_part_is_chosen_by_its_name(kind, factory):
    register(kind, "users", factory)
    (path,) = [part.path for part in PARTS if part.flag == kind]
    agent = RTRRL.default(TASK, **{kind: "users"})
    part = functools.reduce(getattr, path.split("."), agent)
    assert type(part).__name__.startswith("Users")
    assert agent != RTRRL.default(TASK)
    with pytest.raises(RtrrlError, match=r"'users' exists already: choose another name"):
        register(kind, "users", factory)


@pytest.mark.usefixtures("registries")
def test_a_registered_environment_and_agent():
    def counting(environment, **settings):
        """Counts.

        More about it.
        """
        assert isinstance(environment, Environment)
        return CountingAgent(**settings)

    register("environment", "paid-N", lambda n: TruncatedValue(steps=n))
    register("environment", "paid", PaidAction)
    register("agent", "counting", counting)
    assert make("paid-7").env == TruncatedValue(steps=7)
    assert make("paid").name == "paid"
    assert make_agent("counting", make("paid"), cap=3.0) == CountingAgent(cap=3.0)
    assert describe_agent("counting") == "Counts."
    assert list(AGENTS)[-1] == "counting"
    for kind, name in (("environment", "paid"), ("agent", "counting"), ("agent", "default")):
        with pytest.raises(RtrrlError, match=f"the {kind} '{name}' exists already"):
            register(kind, name, PaidAction)
    with pytest.raises(RtrrlError, match=f"the environment '{TASK}' exists already"):
        register("environment", TASK, PaidAction)


def test_an_unknown_kind_is_refused_with_similar_ones():
    with pytest.raises(UnknownNameError, match="unknown kind 'cells': did you mean cell"):
        register("cells", "users", UsersCell)
