"""Settings go to JSON and come back the same, and what cannot is said."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rtrrl import RTRRL, cells, gradients
from rtrrl.agents.registry import PRESETS, preset
from rtrrl.environments import Box, make
from rtrrl.errors import RtrrlError, RunFolderError, UnknownNameError
from rtrrl.learning import normalizers, optimizers, readouts, traces
from rtrrl.learning.policies import policy_for
from rtrrl.runs import serialization, storage
from rtrrl.runs.config import RunConfig
from rtrrl.runs.serialization import from_dict, label, to_dict
from tests.probes import ContinuousBandit

TASK = "TMaze-5"


def members(kind: type) -> list[type]:
    """The concrete settings of one family."""
    own = [
        member
        for member in serialization._subclasses((kind,))
        if not member.__abstractmethods__ and member.__module__.startswith("rtrrl.")
    ]
    return sorted(own, key=lambda member: member.__name__)


PARTS = [
    member
    for kind in (
        cells.CellConfig,
        cells.Wiring,
        gradients.GradientRule,
        normalizers.ObservationNormalizer,
        normalizers.RewardNormalizer,
        readouts.Feedback,
        traces.Trace,
        optimizers.Optimizer,
    )
    for member in members(kind)
    if member
    not in (
        optimizers.PerGroup,
        optimizers.MeanOverEnvs,
        optimizers.MonitoredOptimizer,
        cells.CellConfig,
    )
]


def altered(part):
    """`part` with every number changed, so that a default cannot stand in for what was lost."""
    changes = {}
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if isinstance(value, bool):
            changes[field.name] = not value
        elif isinstance(value, int):
            changes[field.name] = value + 3
        elif isinstance(value, float) and field.name != "dt":
            changes[field.name] = value / 3 + 0.1
    return dataclasses.replace(part, **changes)


def through_json(setting):
    return from_dict(json.loads(json.dumps(to_dict(setting))))


def test_the_families_are_found():
    names = {part.__name__ for part in PARTS}
    rules = {type(rule).__name__ for rule in gradients.RULES.values()}
    recipes = {type(recipe).__name__ for recipe in cells.CELLS.values()}
    assert rules | recipes | {"Adam", "Dutch", "NCP", "RandomFeedback"} <= names


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_every_part_comes_back_the_same(part):
    assert through_json(part()) == part()
    other = altered(part())
    assert through_json(other) == other
    assert (other == part()) == (not dataclasses.fields(part)), "nothing to change?"


@pytest.mark.parametrize("name", ["default", "paper"])
@pytest.mark.parametrize("task", [TASK, ContinuousBandit()], ids=["discrete", "continuous"])
def test_every_agent_comes_back_the_same(name, task):
    agent = preset(name, task, gamma=0.1 + 0.2, cell=cells.CTRNNConfig(wiring=cells.NCP(0.3)))
    agent = dataclasses.replace(agent, rule=gradients.TBPTT(window=7))
    back = through_json(agent)
    assert back == agent
    assert back.discount == 0.1 + 0.2


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_comes_back_the_same(name):
    agent = preset(name, TASK)
    assert through_json(agent) == agent


def test_an_unbounded_action_space_comes_back():
    policy = policy_for(Box.of(-np.inf, np.inf, (2,)))
    assert through_json(policy) == policy


def test_arrays_come_back_to_the_bit():
    agent = preset("default", TASK, discount=jnp.array([0.1, 1 / 3, 0.99]))
    back = through_json(agent)
    assert back.discount.dtype == agent.gamma.dtype
    np.testing.assert_array_equal(back.discount, agent.gamma)


def a_plan(**changes) -> RunConfig:
    agent = preset("paper", TASK, trace=traces.Dutch(0.25), cell=cells.GRUConfig(hidden_size=5))
    agent = dataclasses.replace(agent, rule=gradients.SnAp1())
    return RunConfig(agent, make(TASK), 1000, (4, 7), 10, 3, True, 5, 6, 2, **changes)


def test_config_json_alone_rebuilds_the_plan(tmp_path):
    plan = a_plan()
    storage.create(tmp_path / "run", plan.config())
    assert RunConfig.of(storage.load_run(tmp_path / "run").config) == plan


@pytest.mark.parametrize(
    "name", ["settings", "episodes", "greedy", "patience", "streams", "workers"]
)
def test_a_config_that_lacks_an_entry_is_refused(name):
    config = a_plan().config()
    del config[name]
    with pytest.raises(RunFolderError, match=f"lacks '{name}'"):
        RunConfig.of(config)


def test_unknown_types_and_fields_are_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="settings type 'Adan': did you mean Adam"):
        from_dict({"type": "Adan", "learning_rate": 1e-3})
    with pytest.raises(UnknownNameError, match="'learning_rte': did you mean learning_rate"):
        from_dict({"type": "Adam", "learning_rte": 1e-3})
    with pytest.raises(UnknownNameError, match="settings type 'None'"):
        from_dict({"learning_rate": 1e-3})
    with pytest.raises(UnknownNameError, match="settings type"):
        from_dict({"type": "Popen", "args": "echo"})
    with pytest.raises(UnknownNameError, match="agent 'papper': did you mean paper"):
        preset("papper", TASK)


def test_incomplete_settings_are_refused():
    with pytest.raises(RtrrlError, match="settings of RTRRL are incomplete"):
        from_dict({"type": "RTRRL", "task": TASK})


def test_a_function_is_no_setting():
    sgd = optax.sgd(1e-3)
    agent = preset("default", TASK, optimizer=optimizers.PerGroup(sgd, sgd, sgd))
    with pytest.raises(RtrrlError, match=r"GradientTransformation.*cannot be written") as caught:
        to_dict(agent)
    assert "without `out`" in str(caught.value)
    assert "optimizer=PerGroup" in label(agent, make(TASK))


def test_a_label_names_the_preset_and_what_differs():
    world = make(TASK)
    assert label(RTRRL.default(world), world) == "default"
    assert label(RTRRL.paper(world), world) == "paper"
    agent = RTRRL.default(world, discount=jnp.array([0.5, 0.9]), rule=gradients.SnAp1())
    assert label(agent, world) == "default, rule=SnAp1, gamma=[…]"
