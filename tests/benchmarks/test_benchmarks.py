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
import hlo
import kernels
import memory
import scaling
import step
import subjects
import targets
import timing

from rtrrl.agents import RTRRL
from rtrrl.cells import CTRNNConfig
from rtrrl.learning.optimizers import Adam

FOLDER = Path(floor.__file__).parent
STEPS = 200


@pytest.fixture(scope="module", params=[("CartPole-pos", 32), ("MemoryChain-16", 128)], ids=str)
def lived(request):
    """An agent, its state before and after some steps, and the tape with the actions it took."""
    task, hidden_size = request.param
    agent = RTRRL.paper(
        task,
        cell=CTRNNConfig(hidden_size=hidden),
        # all settings differ, so that none can stand in for another
        lambda_actor=0.9,
        lambda_critic=0.8,
        lambda_recurrent=0.7,
        actor_coefficient=0.6,
        entropy_coefficient=0.1,
        optimizer=Adam(actor_multiple=0.5, recurrent_multiple=2.0, clip=0.3),
    )
    tape = floor.Tape.random(STEPS, agent.observations, agent.policy.output_size)
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


# compiled without much ado, which their times may show
ENVIRONMENT = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
QUICK = ("step", "targets", "scaling", "gpu", "kernels")
RUN_ALL = """
import contextlib, importlib, sys
from pathlib import Path

folder, into, *names = sys.argv[1:]
sys.path.insert(0, folder)
for name in names:
    sys.argv = [name, "--quick", "--json", f"{into}/new/{name}.json"]
    with open(f"{into}/{name}.txt", "w") as printed, contextlib.redirect_stdout(printed):
        importlib.import_module(name).main()
"""


def run(*command):
    """Python, with arguments."""
    command = [sys.executable, *map(str, command)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder of what the scripts print and write: one process, which compiles things once."""
    into = tmp_path_factory.mktemp("benchmarks")
    run("-c", RUN_ALL, FOLDER, into, *QUICK)
    return into


def quick(name, ran):
    """What a script printed and wrote when it was quick."""
    return (ran / f"{name}.txt").read_text(), json.loads((ran / f"new/{name}.json").read_text())


def test_step_prints_and_writes_its_rows(ran):
    printed, written = quick("step", ran)
    names = {row["row"] for row in written["rows"]}
    assert names >= {"step, paper", "step, default", "live, paper", "live, default"}
    assert ("C loop" in names) == (floor.compiler() is not None)
    assert all(row["us_per_agent_step"] > 0 for row in written["rows"])
    assert all(name in printed for name in names)


def test_targets_prints_and_writes_its_rows(ran):
    printed, written = quick("targets", ran)
    rows = {row["row"]: row for row in written["rows"]}
    assert {"RTU + diagonal RTRL, n = 32", "dense RTRL, n = 8", "memory per agent of 16"} <= {*rows}
    assert ("CT-RNN + RFLO, n = 32" in rows) == (floor.compiler() is not None)
    for row in rows.values():
        assert row["value"] > 0
        assert row["floor"] > 0
        assert f"{row['ratio']:.2f} ×" in printed
        assert row["target"] in printed


def test_scaling_measures_what_is_missing(ran, tmp_path):
    printed, written = quick("scaling", ran)
    points = scaling.points(quick=True)
    assert len(written["points"]) == len(points) == len(printed.splitlines())
    assert all(point["us"] > 0 and point["bytes"] > 0 for point in written["points"])
    assert scaling.kept(ran / "new/scaling.json") == written["points"]
    written["about"]["jax"] = "another"
    path = tmp_path / "scaling.json"
    path.write_text(json.dumps(written))
    assert scaling.kept(path) == []


def test_gpu_runs_on_whatever_there_is(ran):
    printed, written = quick("gpu", ran)
    assert written["about"]["device"] in printed
    sizes = {(row["study"], row["size"]) for row in written["rows"]}
    assert sizes == {(study, size) for study, found in gpu.QUICK_SIZES.items() for size in found}
    assert all(row["us"] > 0 for row in written["rows"])


@pytest.mark.skipif(floor.compiler() is None, reason="no C compiler")
def test_kernels_finds_the_arrays_of_the_agent(ran):
    _, written = quick("kernels", ran)
    (case,) = written["cases"]
    block = kernels.recurrent(subjects.paper(kernels.TASK, 32))
    assert block == 4 * 32 * (2 + 2 + 1 + 32 + 1)
    assert case["floor_bytes"] == 13 * block
    for array in ("weights", "traces", "influence", "first moment", "second moment"):
        for way in ("reads", "writes"):
            held = [kernel[way].get(array, 0) for kernel in case["listed"]]
            assert max(held) == block, (array, way)
    assert case["bytes"] == sum(kernel["bytes"] for kernel in case["listed"])
    assert case["unclipped"][0]["bytes"] < case["bytes"]  # no pass that sums the squares
    assert case["copies"] < case["kernels"]
    assert {"in turn", "side by side"} <= {*written["seeds"]}


PROGRAM = """HloModule tiny

%add_one (p0: f32[4,8], p1: f32[8]) -> f32[4,8] {
  %p0 = f32[4,8]{1,0} parameter(0), metadata={op_name="f(x)"}
  %p1 = f32[8]{0} parameter(1)
  %wide = f32[4,8]{1,0} broadcast(%p1), dimensions={1}
  ROOT %sum = f32[4,8]{1,0} add(%p0, %wide)
}

%put (p0.1: f32[16,8], p1.1: f32[4,8], p2: s32[]) -> f32[16,8] {
  %p0.1 = f32[16,8]{1,0} parameter(0)
  %p1.1 = f32[4,8]{1,0} parameter(1)
  %p2 = s32[] parameter(2)
  ROOT %put.1 = f32[16,8]{1,0} dynamic-update-slice(%p0.1, %p1.1, %p2, %p2)
}

%same (a: (f32[4,8])) -> (f32[4,8]) {
  %a = (f32[4,8]{1,0}) parameter(0)
  %e = f32[4,8]{1,0} get-tuple-element(%a), index=0
  %copy.1 = f32[4,8]{1,0} copy(%e)
  ROOT %t = (f32[4,8]{1,0}) tuple(%copy.1)
}

%rare (a.1: (f32[4,8])) -> (f32[4,8]) {
  %a.1 = (f32[4,8]{1,0}) parameter(0)
  %e.1 = f32[4,8]{1,0} get-tuple-element(%a.1), index=0
  %negated = f32[4,8]{1,0} negate(%e.1)
  ROOT %t.1 = (f32[4,8]{1,0}) tuple(%negated)
}

%body (c: (s32[], f32[4,8], f32[8], f32[16,8])) -> (s32[], f32[4,8], f32[8], f32[16,8]) {
  %c = (s32[], f32[4,8]{1,0}, f32[8]{0}, /*index=3*/f32[16,8]{1,0}) parameter(0)
  %n = s32[] get-tuple-element(%c), index=0
  %x = f32[4,8]{1,0} get-tuple-element(%c), index=1
  %y = f32[8]{0} get-tuple-element(%c), index=2
  %log = f32[16,8]{1,0} get-tuple-element(%c), index=3
  %fused = f32[4,8]{1,0} fusion(%x, %y), kind=kLoop, calls=%add_one
  %in = (f32[4,8]{1,0}) tuple(%fused)
  %if = (f32[4,8]{1,0}) conditional(%n, %in, %in), branch_computations={%same, %rare}
  %out = f32[4,8]{1,0} get-tuple-element(%if), index=0
  %written = f32[16,8]{1,0} fusion(%log, %out, %n), kind=kLoop, calls=%put
  ROOT %next = (s32[], f32[4,8]{1,0}, f32[8]{0}, f32[16,8]{1,0}) tuple(%n, %out, %y, %written)
}

%on (c.1: (s32[], f32[4,8], f32[8], f32[16,8])) -> pred[] {
  %c.1 = (s32[], f32[4,8]{1,0}, f32[8]{0}, f32[16,8]{1,0}) parameter(0)
  ROOT %yes = pred[] constant(true)
}

ENTRY %main (n: s32[], x: f32[4,8], y: f32[8], z: f32[16,8]) -> f32[4,8] {
  %steps = s32[] parameter(0)
  %state.1 = f32[4,8]{1,0} parameter(1)
  %shift.1 = f32[8]{0} parameter(2)
  %log.1 = f32[16,8]{1,0} parameter(3)
  %own = f32[4,8]{1,0} copy(%state.1)
  %first = (s32[], f32[4,8]{1,0}, f32[8]{0}, f32[16,8]{1,0}) tuple(%steps, %own, %shift.1, %log.1)
  %loop = (s32[], f32[4,8]{1,0}, f32[8]{0}, f32[16,8]{1,0}) while(%first), condition=%on, body=%body
  ROOT %last = f32[4,8]{1,0} get-tuple-element(%loop), index=1
}
"""


def test_kernels_of_a_tiny_program():
    assert hlo.kernels(PROGRAM, least=100) == [
        hlo.Kernel("fused", "fusion", {"state.1": 128}, {"state.1": 128}),  # the shift is too small
        hlo.Kernel("copy.1", "copy", {"state.1": 128}, {"state.1": 128}),  # of the usual branch
        # of the log only the rows that are put there
        hlo.Kernel("written", "fusion", {"log.1": 128, "state.1": 128}, {"log.1": 128}),
    ]
    assert hlo.kernels(PROGRAM, least=1)[0].reads == {"state.1": 128, "shift.1": 32}
    assert [kernel.bytes for kernel in hlo.kernels(PROGRAM, least=100)] == [256, 256, 384]


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
        {"row": "64 seeds, per agent", "world": "TMaze-3", "value": 2.0, "floor": 1.0, "ratio": 2.0}
        | {"against": "C loop", "unit": "µs", "target": "≤ 1.0 ×", "passed": False},
        {"row": "help", "value": 0.25, "floor": None, "unit": "s", "target": "≤ 0.4 s"}
        | {"passed": True},
    ]
    points = [
        {"study": study, "series": series, "x": x, "us": 3.0 * x**time, "bytes": 5 * x**held}
        for (study, series), (time, held) in scaling.EXPONENTS.items()
        for x in (8, 16, 32, 64)
    ]
    kernel = {"name": "dot.1", "kind": "dot", "reads": {"weights": 6000}, "writes": {}}
    case = {"row": "fast", "against": "C loop", "us": 2.0, "floor_us": 1.0, "ratio": 2.02}
    case |= {"bytes": 8000, "floor_bytes": 4000, "kernels": 9, "copies": 3, "whole": True}
    case |= {"unclipped": [{"bytes": 7000, "ratio": 0.75}], "listed": [kernel | {"bytes": 6000}]}
    cost = {"us": 3.0, "ratio": 1.4}
    seeds = {"count": 8, "bytes": 9000, "alone": 2.0, "in turn": cost, "side by side": cost}
    failure = {"study": "large", "size": 8192, "error": "large 8,192 is left out: too large"}
    for name, found in {
        "targets": {"rows": rows},
        "scaling": {"points": points},
        "kernels": {"cases": [case, case | {"row": "quick"}], "seeds": seeds},
        "gpu": {"rows": [failure]},
    }.items():
        (numbers / f"{name}.json").write_text(json.dumps({"about": timing.about()} | found))
    run(FOLDER / "report.py", "--docs", tmp_path)
    page = (tmp_path / "performance.md").read_text()
    assert "| fast | TMaze-3 | 2.00 µs | 1.00 µs | C loop | 2.01 × | ≤ 1.8 × | **miss** |" in page
    assert "| help |  | 0.25 s |  |  | 0.25 s | ≤ 0.4 s | pass |" in page
    assert "| CT-RNN + dense RTRL | 32 … 64 | 4.00 | 4 | 3.00 | 3 |" in page
    line = "| fast | 9 | 3 | yes | 8.0 kB | 4.0 kB | 2.00 × | 2.02 × | 7.0 kB | 0.75 × |"
    assert line in page
    assert line.replace("fast", "quick") not in page  # not missed
    assert "| dot.1 | dot | weights |  | 75% |" in page
    assert "Another 8 go through none" in page
    assert "| side by side | 3.00 µs | 1.40 × |" in page
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
