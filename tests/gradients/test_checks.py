"""Cells of a user's own: what they say of themselves is checked when an agent is constructed."""

import re
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from rtrrl import PPO, RTRRL
from rtrrl.agents.registry import PRESETS, make_agent
from rtrrl.cells import Cell, CellConfig, GRUConfig, LeakyCell, RTUConfig
from rtrrl.cells.base import lecun_normal
from rtrrl.errors import RtrrlError, UnsupportedCellError
from rtrrl.gradients import RTRL, SnAp1

pytestmark = pytest.mark.usefixtures("unchecked")
TASK = "TMaze-3"


class Mine(LeakyCell):
    """h' = r h + W x with a readout of its own; subclasses change one thing."""

    weight: jax.Array
    lateral: jax.Array
    r: jax.Array
    gain: jax.Array
    input_size: int = eqx.field(static=True)
    hidden_size: int = eqx.field(static=True)

    feedforward = ("gain",)

    def __init__(self, input_size, hidden_size, *, key):
        self.input_size, self.hidden_size = input_size, hidden_size
        self.weight = lecun_normal(key, (input_size, hidden_size), input_size)
        self.lateral = lecun_normal(key, (hidden_size, hidden_size), hidden_size)
        self.r, self.gain = jnp.full(hidden_size, 0.5), jnp.ones(hidden_size)

    @property
    def diagonal(self):
        return True

    def unit(self, own, h, x):
        return self.r * own + (self.weight @ x)[None]

    def features(self, h, x=None):
        return (self.gain * h).ravel()


def config(**members):
    """The settings of a cell in which something is changed."""
    cell = type("Changed", (members.pop("base", Mine),), members | {"__module__": "mine"})
    return type("ChangedConfig", (CellConfig,), {"cell": cell, "__module__": "mine"})()


def read_others(self, own, h, x):
    return self.r * own + jnp.tanh(self.lateral @ h[0] + self.weight @ x)[None]


NOT_DIAGONAL = {"diagonal": property(lambda self: False)}

REFUSED = {
    "not diagonal": (
        {"unit": read_others},
        "Changed.diagonal is True, but its units read each other: return False",
    ),
    "not leaky": (
        {"unit": lambda self, own, h, x: jnp.tanh(self.r * own + (self.weight @ x)[None])},
        "Changed is a LeakyCell, but its leak depends on h or x: derive it from Cell",
    ),
    "not feedforward": (
        {"feedforward": ("gain", "r")},
        "Changed.feedforward lists 'r', but its unit depends on it: take it out",
    ),
    "features of the unit's parameters": (
        {"feedforward": ()},
        "the features of Changed depend on parameters that its unit has: add those to feedforward",
    ),
    "another micro-step": (
        {"micro_step": lambda self, h, x: 0.5 * h},
        "Changed has a micro_step or __call__ that differs from its unit",
    ),
    "another call": (
        {"__call__": lambda self, h, x: 0.5 * h},
        "Changed has a micro_step or __call__ that differs from its unit",
    ),
    "a field that is not there": (
        {"feedforward": ("gian",)},
        "Changed.feedforward lists 'gian', which Changed does not have",
    ),
    "features of another shape": (
        {"features": lambda self, h, x=None: h},
        "the feature vector of Changed is float32[1,6]: expected an array of shape (6,)",
    ),
    "a next state of another shape": (
        {"unit": lambda self, own, h, x: jnp.concatenate([own, own])},
        "the next state of Changed is float32[2,6]: expected an array of shape (1, 6)",
    ),
    "an error": (
        {"unit": lambda self, own, h, x: self.weihgt @ x},
        "the cell of ChangedConfig fails: AttributeError: 'Changed' object has no attribute "
        "'weihgt' (test_checks.py, line ",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_cell_that_is_not_what_it_says_is_refused_at_construction(case):
    members, message = REFUSED[case]
    with pytest.raises(RtrrlError, match=re.escape(message)) as refusal:
        RTRRL.paper(TASK, cell=config(**members))
    assert "\n" not in str(refusal.value)


def test_an_agent_that_backpropagates_needs_no_more_than_the_shapes_of_its_cell():
    assert PPO.default(TASK, cell=config(unit=read_others, feedforward=())).task == TASK
    with pytest.raises(RtrrlError, match="the feature vector of Changed is"):
        PPO.default(TASK, cell=config(features=lambda self, h, x=None: h))


def test_units_are_the_last_axis_of_every_array():
    def transposed(self, input_size, hidden_size, *, key):
        Mine.__init__(self, input_size, hidden_size, key=key)
        self.weight = self.weight.T

    with pytest.raises(RtrrlError, match=r"Changed.weight has the shape \(6, 8\): the last axis"):
        RTRRL.paper(TASK, cell=config(__init__=transposed))


def test_a_config_must_make_a_cell():
    kind = type("Empty", (CellConfig,), {"cell": lambda size, key, hidden_size: 3})
    with pytest.raises(RtrrlError, match="Empty makes 3: expected a Cell"):
        RTRRL.paper(TASK, cell=kind())


ACCEPTED = {
    "as it is": {},
    "not diagonal, and says so": {"unit": read_others, **NOT_DIAGONAL},
    "diagonal by its numbers alone": {
        "unit": lambda self, own, h, x: self.r * own + ((0 * self.lateral) @ h[0])[None]
    },
    "leaky by its numbers alone": {
        "unit": lambda self, own, h, x: self.r * own * (1 + 0 * own) + (self.weight @ x)[None]
    },
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_cell_that_is_what_it_says_is_accepted(case):
    assert RTRRL.paper(TASK, cell=config(**ACCEPTED[case])).task == TASK


def test_a_cell_without_leak_is_accepted_under_a_rule_that_needs_none():
    kind = config(
        base=Cell,
        **{name: value for name, value in vars(Mine).items() if not name.startswith("__dataclass")},
    )
    RTRRL.paper(TASK, cell=kind, rule=SnAp1())
    with pytest.raises(UnsupportedCellError, match="RFLO carries the constant leak"):
        RTRRL.paper(TASK, cell=kind)


def test_a_rule_that_does_not_fit_is_refused_at_construction():
    message = r"^diagonal RTRL is exact only .* those of GRU do: use SnAp1 .* or RTRL \(exact\)"
    builds = (
        lambda: RTRRL.default(TASK, cell=GRUConfig()),
        lambda: RTRRL.default(TASK, cell="gru"),
        lambda: make_agent("model-based", TASK, cell="gru"),
    )
    for build in builds:
        with pytest.raises(UnsupportedCellError, match=message):
            build()
    assert make_agent("default", TASK, cell="gru", rule="rtrl").rule == RTRL()
    make_agent("default", TASK, cell="ctrnn", wiring="diagonal")


def test_settings_that_are_arrays_over_seeds_are_accepted():
    cell = RTUConfig(max_phase=jnp.array([1.0, 2.0]))
    assert RTRRL.default(TASK, cell=cell, gamma=jnp.array([0.9, 0.99])).cell is cell


def test_cells_of_rtrrl_are_not_measured(monkeypatch):
    module = sys.modules["rtrrl.gradients.checks"]
    monkeypatch.setattr(module, "_check_claims", None)
    module._check.cache_clear()
    for name in PRESETS:
        make_agent(name, TASK)
