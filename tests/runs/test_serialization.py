"""Settings are written as JSON and read back the same; what cannot be is refused."""

import dataclasses
import json
import math
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rtrrl import RTRRL, cells, gradients
from rtrrl.agents.registry import PRESETS, make_agent
from rtrrl.environments import Box, make
from rtrrl.errors import RtrrlError, RunFolderError, UnknownNameError
from rtrrl.learning import normalizers, optimizers, readouts, traces
from rtrrl.learning.policies import policy_for
from rtrrl.runs import serialization, storage
from rtrrl.runs.config import RunConfig
from rtrrl.runs.run import Run
from rtrrl.runs.serialization import from_dict, label, to_dict
from tests.probes import ContinuousBandit, TruncatedValue

TASK = "TMaze-5"


class UsersRule(gradients.DiagonalRTRL):
    """A rule as a user defines it, at the top of a module."""

    rate: float = 0.5

    class Inner(gradients.DiagonalRTRL):
        """A rule inside a class."""


def members(kind: type) -> list[type]:
    """The concrete classes of one family, in rtrrl."""
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
    kinds = {type(part) for family in (gradients.RULES, cells.CELLS) for part in family.values()}
    assert kinds | {optimizers.Adam, traces.Dutch, cells.NCP, readouts.RandomFeedback} <= {*PARTS}


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_every_part_comes_back_the_same(part):
    assert through_json(part()) == part()
    other = altered(part())
    assert through_json(other) == other
    assert (other == part()) == (not dataclasses.fields(part)), "nothing to change?"


@pytest.mark.parametrize("name", PRESETS)
def test_every_named_agent_comes_back_the_same(name):
    agent = make_agent(name, TASK)
    assert through_json(agent) == agent


@pytest.mark.parametrize("name", ["default", "paper"])
def test_an_agent_with_continuous_actions_comes_back_the_same(name):
    cell, rule = cells.CTRNNConfig(wiring=cells.NCP(0.3)), gradients.TBPTT(window=7)
    agent = make_agent(name, ContinuousBandit(), gamma=0.1 + 0.2, cell=cell, rule=rule)
    back = through_json(agent)
    assert back == agent
    assert back.gamma == 0.1 + 0.2


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        (gradients.DiagonalRTRL(), "rtrrl.gradients.DiagonalRTRL"),
        (cells.RTUConfig(), "rtrrl.cells.RTUConfig"),
        (optimizers.Adam(), "rtrrl.learning.optimizers.Adam"),
        (make_agent("default", TASK), "rtrrl.RTRRL"),
        (UsersRule(), f"{__name__}.UsersRule"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_class_is_written_by_the_name_that_it_is_imported_by(setting, name):
    assert to_dict(setting)["type"] == name
    assert type(through_json(setting)) is type(setting)


def test_an_unbounded_action_space_comes_back():
    policy = policy_for(Box.of(-np.inf, np.inf, (2,)))
    assert through_json(policy) == policy


def test_arrays_come_back_to_the_bit():
    agent = make_agent("default", TASK, gamma=jnp.array([0.1, 1 / 3, 0.99]))
    back = through_json(agent)
    assert back.gamma.dtype == agent.gamma.dtype
    np.testing.assert_array_equal(back.gamma, agent.gamma)


# --- classes of users ---------------------------------------------------------------------------


def test_a_class_of_a_user_comes_back_the_same():
    agent = make_agent("default", TASK, rule=UsersRule(rate=0.25))
    assert through_json(agent) == agent
    assert label(agent, make(TASK)) == "default, rule=UsersRule"


def test_a_class_inside_a_function_or_a_class_is_not_written():
    class Local(gradients.DiagonalRTRL):
        pass

    for rule, name in ((Local(), "Local"), (UsersRule.Inner(), "UsersRule.Inner")):
        message = f"{name} is defined inside a function or a class.*top of a module, or .* `out`"
        with pytest.raises(RtrrlError, match=message) as caught:
            to_dict(rule)
        assert "\n" not in str(caught.value)
        assert to_dict(rule, describe=True)["type"].endswith(name)


def test_a_class_that_is_not_imported_is_refused_with_what_to_import():
    message = r"my_rules\.Mine is not imported: import my_rules first \(.*--import my_rules"
    with pytest.raises(RtrrlError, match=message):
        from_dict({"type": "my_rules.Mine"})


def test_the_module_of_an_installed_package_is_imported(tmp_path, monkeypatch):
    (tmp_path / "rtrrl_my_rules.py").write_text(
        "from rtrrl.gradients import DiagonalRTRL\nclass Mine(DiagonalRTRL): pass\n"
    )
    metadata = tmp_path / "rtrrl_my_rules-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: rtrrl_my_rules\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[rtrrl.rule]\nmine = rtrrl_my_rules:Mine\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "rtrrl_my_rules" not in sys.modules
    rule = from_dict({"type": "rtrrl_my_rules.Mine"})
    assert isinstance(rule, gradients.DiagonalRTRL)
    del sys.modules["rtrrl_my_rules"]


# --- the configuration of a run -----------------------------------------------------------------


def config(**changes) -> RunConfig:
    agent = make_agent(
        "paper",
        TASK,
        trace=traces.Dutch(0.25),
        cell=cells.GRUConfig(hidden_size=5),
        rule=gradients.SnAp1(),
    )
    settings = {
        "agent": agent,
        "environment": make(TASK),
        "steps": 1000,
        "seeds": (4, 7),
        "evaluations": 10,
        "episodes": 3,
        "greedy": True,
        "patience": 5,
        "num_envs": 6,
        "workers": 2,
    }
    return RunConfig(**settings | changes)


def test_config_json_alone_gives_the_configuration(tmp_path):
    (tmp_path / "run").mkdir()
    storage.create(tmp_path / "run", config().to_dict())
    assert RunConfig.from_dict(storage.load_run(tmp_path / "run").config) == config()


class ConstantReward(TruncatedValue):
    """An environment with an array as a setting."""

    reward: jax.Array = eqx.field(converter=jnp.asarray, default=0.0)


def test_an_environment_without_a_name_must_be_the_same():
    written = json.loads(json.dumps(config(environment=ConstantReward(reward=0.5)).to_dict()))
    assert RunConfig.from_dict(written, ConstantReward(reward=0.5)) == config(
        environment=ConstantReward(reward=0.5)
    )
    for other in (ConstantReward(reward=0.25), TruncatedValue(), make(TASK)):
        with pytest.raises(RunFolderError, match="the run's environment is ConstantReward"):
            RunConfig.from_dict(written, other)
    nan = json.loads(json.dumps(config(environment=ConstantReward(reward=math.nan)).to_dict()))
    RunConfig.from_dict(nan, ConstantReward(reward=math.nan))


@pytest.mark.parametrize(
    "name", ["settings", "episodes", "greedy", "patience", "num_envs", "workers", "environment"]
)
def test_a_config_that_lacks_an_entry_is_refused(name):
    written = config().to_dict()
    del written[name]
    with pytest.raises(RunFolderError, match=f"lacks '{name}'"):
        RunConfig.from_dict(written)


def test_a_damaged_config_is_refused():
    for changes in ({"steps": "many"}, {"settings": {"type": "rtrrl.cells.RTUConfig"}}):
        with pytest.raises(RunFolderError, match=r"config\.json is damaged"):
            RunConfig.from_dict(config().to_dict() | changes)


def test_unknown_types_and_fields_are_refused_with_similar_ones():
    adam = "rtrrl.learning.optimizers.Adam"
    with pytest.raises(UnknownNameError, match=rf"settings type '.*\.Adan': did you mean {adam}"):
        from_dict({"type": "rtrrl.learning.optimizers.Adan", "learning_rate": 1e-3})
    with pytest.raises(UnknownNameError, match="'learning_rte': did you mean learning_rate"):
        from_dict({"type": adam, "learning_rte": 1e-3})
    with pytest.raises(UnknownNameError, match="settings type 'None'"):
        from_dict({"learning_rate": 1e-3})


@pytest.mark.parametrize("name", ["subprocess.Popen", "builtins.eval", "rtrrl.train", "Adam"])
def test_nothing_but_settings_is_made(name):
    with pytest.raises(UnknownNameError, match=f"unknown settings type '{name}'"):
        from_dict({"type": name, "args": "echo"})


def test_incomplete_settings_are_refused():
    with pytest.raises(RtrrlError, match="settings of RTRRL are incomplete"):
        from_dict({"type": "rtrrl.RTRRL", "task": TASK})


def test_a_function_is_no_setting():
    sgd = optax.sgd(1e-3)
    agent = make_agent("default", TASK, optimizer=optimizers.PerGroup(sgd, sgd, sgd))
    with pytest.raises(RtrrlError, match=r"GradientTransformation.*cannot be written") as caught:
        to_dict(agent)
    assert "without `out`" in str(caught.value)
    assert "optimizer=PerGroup" in label(agent, make(TASK))


def test_a_label_is_the_name_of_an_agent_and_what_differs():
    environment = make(TASK)
    assert label(RTRRL.default(environment), environment) == "default"
    assert label(RTRRL.paper(environment), environment) == "paper"
    agent = RTRRL.default(environment, gamma=jnp.array([0.5, 0.9]), rule=gradients.SnAp1())
    assert label(agent, environment) == "default, rule=SnAp1, gamma=[0.5, 0.9]"


# --- strict JSON --------------------------------------------------------------------------------


def strict_json(text):
    def fail(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=fail)


@pytest.mark.parametrize("clip", [math.inf, jnp.array([math.inf, 0.5])], ids=["float", "array"])
def test_infinite_settings_are_strict_json_and_come_back(clip):
    agent = make_agent("default", TASK, optimizer=optimizers.Adam(clip=clip))
    written = strict_json(json.dumps(config(agent=agent).to_dict()))
    back = RunConfig.from_dict(written).agent.optimizer.clip
    assert type(back) is type(clip) or eqx.is_array(clip)
    np.testing.assert_array_equal(back, clip)
    if eqx.is_array(clip):
        assert written["per_seed"] == {"optimizer.clip": ["inf", 0.5]}
        run = Run(config=written, metrics=[], seeds=[4, 7], steps_per_second=1.0)
        assert run.per_seed == {"optimizer.clip": (math.inf, 0.5)}


def test_infinite_bounds_and_nan_are_strict_json_and_come_back():
    policy = policy_for(Box.of(-np.inf, np.inf, (2,)))
    written = strict_json(json.dumps(to_dict(policy), allow_nan=False))
    assert from_dict(written) == policy
    assert to_dict(math.nan) == "nan"


class Named(gradients.DiagonalRTRL):
    """A rule with a name, which may be that of a number."""

    name: str = "inf"


def test_a_text_that_looks_like_a_number_stays_a_text():
    assert through_json(Named("nan")).name == "nan"


def test_an_environment_with_infinite_settings_is_the_same_again():
    environment = ConstantReward(reward=math.inf)
    written = strict_json(json.dumps(config(environment=environment).to_dict()))
    assert RunConfig.from_dict(written, environment).environment == environment
    as_before = written | {"environment": written["environment"] | {"reward": math.inf}}
    assert RunConfig.from_dict(as_before, environment).environment == environment


def test_a_setting_out_of_range_in_config_json_is_damage():
    written = config().to_dict()
    written["settings"]["gamma"] = 1.5
    with pytest.raises(RunFolderError, match=r"config\.json is damaged: gamma is 1\.5: it must"):
        RunConfig.from_dict(written)
