"""Every named agent lives in every kind of world that it fits, through the whole of `train`."""

import json
import os
import subprocess
import sys

import pytest

from rtrrl.agents.registry import PRESETS, preset
from rtrrl.environments import make
from rtrrl.errors import UnknownNameError

KINDS = {
    "discrete": "CartPole-pos",
    "choices": "MinesweeperEasy",
    "continuous": "Pendulum",
    "host": "gymnasium/CartPole-v1-pos",
}
REFUSED = {("model-based", "choices"), ("model-based", "continuous")}

PROGRAM = """
import dataclasses, json, sys
import numpy as np
import rtrrl
from rtrrl.errors import RtrrlError
from rtrrl.agents.registry import PRESETS, preset

def small(name, task):
    "Four units; PPO learns from three rollouts."
    agent = preset(name, task)
    changes = {"rollout": 64, "sequence": 16} if hasattr(agent, "rollout") else {}
    if hasattr(agent, "cell"):
        changes["cell"] = dataclasses.replace(agent.cell, hidden=4)
    return dataclasses.replace(agent, **changes)

def outcome(name, task):
    try:
        agent = small(name, task)
    except RtrrlError as error:
        return f"refused: {error}"
    run = rtrrl.train(agent, steps=200, seeds=1, evaluations=1, episodes=1, workers=1)
    assert run.steps == 200 and np.isfinite(run.best).all()
    assert not hasattr(run.states, "rollouts") or int(run.states.rollouts[0]) == 3
    return "trained"

print(json.dumps({name: outcome(name, sys.argv[1]) for name in PRESETS}))
"""


@pytest.mark.parametrize("kind", KINDS)
def test_every_preset_trains_and_is_evaluated(kind):
    """In a program of its own, which compiles quickly what runs for a moment."""
    flags = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=1"
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM, KINDS[kind]],
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"XLA_FLAGS": flags},
    )
    assert said.returncode == 0, said.stderr
    outcomes = json.loads(said.stdout)
    assert list(outcomes) == list(PRESETS)
    for name, outcome in outcomes.items():
        if (name, kind) in REFUSED:
            assert "expected a Discrete action space" in outcome
        else:
            assert outcome == "trained", name


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_of_its_kind_and_says_what_it_is(name):
    each = PRESETS[name]
    assert type(preset(name, make("TMaze-3"))) is each.kind
    assert 10 < len(each.description) < 80
    assert each.description[0].islower() or each.description.startswith(("RTRRL", "TD"))


def test_no_two_presets_are_the_same():
    agents = [preset(name, "TMaze-3") for name in PRESETS]
    assert all(a != b for i, a in enumerate(agents) for b in agents[:i])


def test_an_unknown_preset_is_named_with_its_neighbours():
    with pytest.raises(UnknownNameError, match="did you mean ppo"):
        preset("pppo", "TMaze-3")
