"""The benchmarks run, their floors do the work they claim to do, and their verdicts are right."""

import json
import os
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

# they import each other as scripts do
sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import dense
import figures
import floor
import gpu
import lean
import memory
import scaling
import step
import subjects
import targets
import timing

from rtrrl.agents import RTRRL
from rtrrl.cells import CTRNNRecipe
from rtrrl.updates import Adam

FOLDER = Path(floor.__file__).parent
STEPS = 200


@pytest.fixture(scope="module", params=[("CartPole-pos", 32), ("MemoryChain-16", 128)], ids=str)
def lived(request):
    """An agent, its state before and after some steps, and the tape with the actions it took."""
    task, hidden = request.param
    agent = RTRRL.paper(
        task,
        cell=CTRNNRecipe(hidden=hidden),
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
    first = jnp.linspace(0.1, -0.2, agent.observations)
    before, _ = agent.begin(agent.init(jax.random.key(0)), first)

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


def script(name, *arguments):
    """What a script prints; compiled without much ado, which its times may show."""
    environment = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    command = [sys.executable, str(FOLDER / f"{name}.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def quick(name, path):
    """What a script prints and writes when it is quick."""
    printed = script(name, "--quick", "--json", path)
    return printed, json.loads(path.read_text())


def test_step_prints_and_writes_its_rows(tmp_path):
    printed, written = quick("step", tmp_path / "step.json")
    names = {row["row"] for row in written["rows"]}
    assert names >= {"lean scan", "step, paper", "step, default", "live, paper", "live, default"}
    assert ("C loop" in names) == (floor.compiler() is not None)
    assert all(row["us_per_agent_step"] > 0 for row in written["rows"])
    assert all(name in printed for name in names)


def test_targets_prints_and_writes_its_rows(tmp_path):
    printed, written = quick("targets", tmp_path / "new" / "targets.json")
    rows = {row["row"]: row for row in written["rows"]}
    assert {"RTU + diagonal RTRL, n = 8", "dense RTRL, n = 8", "memory per agent of 16"} <= {*rows}
    assert ("CT-RNN + RFLO, n = 8" in rows) == (floor.compiler() is not None)
    for row in rows.values():
        assert row["value"] > 0
        assert row["floor"] > 0
        assert f"{row['ratio']:.2f} ×" in printed
        assert row["target"] in printed


def test_scaling_measures_what_is_missing(tmp_path):
    path = tmp_path / "scaling.json"
    printed, written = quick("scaling", path)
    points = scaling.points(quick=True)
    assert len(written["points"]) == len(points) == len(printed.splitlines())
    assert all(point["us"] > 0 and point["bytes"] > 0 for point in written["points"])
    assert scaling.kept(path) == written["points"]
    written["about"]["jax"] = "another"
    path.write_text(json.dumps(written))
    assert scaling.kept(path) == []


def test_gpu_runs_on_whatever_there_is(tmp_path):
    printed, written = quick("gpu", tmp_path / "gpu.json")
    assert written["about"]["device"] in printed
    sizes = {(row["study"], row["size"]) for row in written["rows"]}
    assert sizes == {(study, size) for study, found in gpu.QUICK_SIZES.items() for size in found}
    assert all(row["us"] > 0 for row in written["rows"])


def test_a_size_that_does_not_fit_is_one_line():
    def too_large():
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory\nand much more")

    found = gpu.attempt(too_large, "large 8,192")
    assert found == {"error": "large 8,192 is left out: RESOURCE_EXHAUSTED: Out of memory"}


def test_the_report_holds_every_number(tmp_path):
    numbers = tmp_path / "performance"
    numbers.mkdir()
    rows = [
        {"row": "fast", "world": "TMaze-3", "value": 2.0, "floor": 1.0, "ratio": 2.01}
        | {"against": "C loop", "unit": "µs", "target": "≤ 1.8 ×", "passed": False},
        {"row": "help", "value": 0.25, "floor": None, "unit": "s", "target": "≤ 0.4 s"}
        | {"passed": True},
    ]
    points = [
        {"study": study, "series": series, "x": x, "us": 3.0 * x**time, "bytes": 5 * x**held}
        for (study, series), (time, held) in scaling.EXPONENTS.items()
        for x in (8, 16, 32, 64)
    ]
    failure = {"study": "large", "size": 8192, "error": "large 8,192 is left out: too large"}
    for name, found in {
        "targets": {"rows": rows},
        "scaling": {"points": points},
        "gpu": {"rows": [failure]},
    }.items():
        (numbers / f"{name}.json").write_text(json.dumps({"about": timing.about()} | found))
    script("report", "--docs", tmp_path)
    page = (tmp_path / "performance.md").read_text()
    assert "| fast | TMaze-3 | 2.00 µs | 1.00 µs | C loop | 2.01 × | ≤ 1.8 × | **miss** |" in page
    assert "| help |  | 0.25 s |  |  | 0.25 s | ≤ 0.4 s | pass |" in page
    assert "| CT-RNN + dense RTRL | 32 … 64 | 4.00 | 4 | 3.00 | 3 |" in page
    assert failure["error"] in page
    drawn = sorted((tmp_path / "figures").iterdir())
    assert len(drawn) == 3
    assert all(path.stat().st_size < 200_000 for path in drawn)
    assert all(path.name in page for path in drawn)


def test_fits_recover_the_exponent_of_the_upper_half():
    sizes = [8, 16, 32, 64, 128, 256]
    values = [1, 1, 1, *(1e-3 * n**2.5 for n in sizes[3:])]
    assert scaling.exponent(sizes, values) == pytest.approx(2.5)


def test_a_bound_is_met_on_its_own_side():
    most, least = targets.Bound(1.3), targets.Bound(1.8, at_least=True)
    assert [most.met(ratio) for ratio in (1.0, 1.3, 1.31)] == [True, True, False]
    assert [least.met(ratio) for ratio in (1.0, 1.8, 1.9)] == [False, True, True]
    assert (str(most), str(least)) == ("≤ 1.3 ×", "≥ 1.8 ×")


def test_a_row_passes_only_in_every_world():
    target = targets.Target("it", targets.Bound(1.3), lambda task, effort: None)
    found = {
        task: targets.Measured(ratio, 1.0, ratio, "C loop") for task, ratio in (("a", 1), ("b", 2))
    }
    records = [targets.record(target, *each) for each in found.items()]
    assert [record["passed"] for record in records] == [True, False]
    console = Console(record=True, width=100)
    console.print(targets.table(records))
    assert "1.00 × / 2.00 ×   miss" in console.export_text()


def test_ratios_are_of_the_same_repeat():
    floor_row, row = (timing.Row(name, None, lambda carry, steps: carry) for name in "ab")
    floor_row.microseconds, row.microseconds = [1.0, 10.0, 3.0], [2.0, 20.0, 9.0]
    assert timing.ratio(row, floor_row) == 2.0


def test_rows_take_turns_and_go_on_from_where_they_were():
    order = []
    rows = [
        timing.Row(name, 0, lambda at, steps, name=name: order.append(name) or at + steps)
        for name in "ab"
    ]
    timing.interleave(rows, timing.Effort(2, 0.0))
    assert order[-4:] == ["a", "b", "a", "b"]
    assert [row.carry for row in rows] == [4, 4]
    assert all(len(row.microseconds) == 2 for row in rows)


def test_the_dense_floor_multiplies_the_influence_of_the_agent():
    agent = subjects.paper("CartPole-pos", 8, targets.RTRL())
    influence = subjects.newborn(agent).influence
    columns = sum(leaf.size for leaf in jax.tree.leaves(influence)) // 8
    assert dense.shape(agent) == (8, columns)
    rows = [make(8, columns) for make in (dense.numpy_row, dense.xla_row)]
    after, _ = rows[0].run(rows[0].carry, 3)
    np.testing.assert_allclose(after, rows[1].run(rows[1].carry, 3), rtol=1e-4, atol=1e-5)


def test_the_least_memory_is_five_arrays_of_the_agents_state():
    agent = subjects.paper("CartPole-pos", 8)
    state = subjects.newborn(agent)
    parts = (state.traces, state.influence)
    traces, influence = (sum(leaf.nbytes for leaf in jax.tree.leaves(part)) for part in parts)
    assert memory.least(agent) == 4 * traces + influence


def test_labels_keep_apart_and_stay_near():
    assert figures.spread([0.2, 0.2, 0.9], 0.1) == pytest.approx([0.15, 0.25, 0.9])


def test_without_a_c_compiler_one_line_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "")
    console = Console(record=True, width=100)
    assert step.floor_rows(console) == []
    assert "no C compiler" in console.export_text()
    assert not any("CT-RNN" in target.what for target in targets.targets(targets.Sizes()))
