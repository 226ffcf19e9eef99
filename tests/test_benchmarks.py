"""The benchmark runs, and its floor does the work it claims to do."""

import json
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from benchmarks import floor, lean
from rtrrl.agents import RTRRL
from rtrrl.updates import Adam

STEPS = 200
FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def lived():
    """An agent, its state before and after some steps, and the tape with the actions it took."""
    agent = RTRRL.paper(
        "CartPole-pos",
        # all settings differ, so that none can stand in for another
        trace_decay_actor=0.9,
        trace_decay_critic=0.8,
        trace_decay_recurrent=0.7,
        actor_influence=0.6,
        entropy_rate=0.1,
        optimizer=Adam(actor_multiple=0.5, recurrent_multiple=2.0, clip=0.3),
    )
    tape = floor.Tape.random(STEPS, agent.observations, agent.policy.outputs)
    tape.discounts[::7] = 0
    before, _ = agent.begin(agent.init(jax.random.key(0)), jnp.array([0.1, -0.2]))

    def turn(state, answer):
        action = state.now.action
        state, _, info = agent.step(state, *answer)
        return state, (action, info.td_error)

    answers = (tape.observations, tape.rewards, tape.discounts)
    after, (actions, td_errors) = eqx.filter_jit(jax.lax.scan)(turn, before, answers)
    tape = tape._replace(actions=np.asarray(actions, np.int32))
    return agent, before, after, tape, jnp.sum(td_errors**2)


@pytest.mark.skipif(floor.compiler() is None, reason="no C compiler")
def test_the_c_loop_learns_what_the_agent_learns(lived):
    agent, before, after, tape, squares = lived
    loop = floor.Floor(agent, before)
    start, goal = loop.pack(before), loop.pack(after)
    s = loop.learn(start.copy(), STEPS, tape)
    for name in ("theta", "influence", "h", "y", "value"):
        np.testing.assert_allclose(s[name], goal[name], rtol=1e-4, atol=1e-4, err_msg=name)
    np.testing.assert_allclose(s["squared_td_error"].item(), squares, rtol=1e-4)
    assert np.abs(goal["theta"] - start["theta"]).max() > 0.01  # it did learn


def test_the_lean_scan_learns_what_the_agent_learns(lived):
    agent, before, after, tape, squares = lived
    s, feedback = lean.learner(before)
    s, sum_of_squares, _ = jax.jit(lambda s: lean.replay(agent, feedback, s, STEPS, tape))(s)
    goal, _ = lean.learner(after)
    for index in (0, 1, 2, 9, 10, 11):  # parameters, influence, h, y, v
        np.testing.assert_allclose(s[index], goal[index], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(sum_of_squares, squares, rtol=1e-4)


def test_step_prints_and_writes_its_rows(tmp_path):
    path = tmp_path / "step.json"
    command = [sys.executable, str(FOLDER / "step.py"), "--quick", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(path.read_text())["rows"]
    names = {row["row"] for row in rows}
    assert names >= {"lean scan", "step, paper", "step, default", "live, paper", "live, default"}
    assert ("C loop" in names) == (floor.compiler() is not None)
    assert all(row["us_per_agent_step"] > 0 for row in rows)
    assert all(name in done.stdout for name in names)


def test_without_a_c_compiler_one_line_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.syspath_prepend(FOLDER)
    import step

    console = Console(record=True, width=100)
    assert step.floor_rows(console) == []
    assert "no C compiler" in console.export_text()
