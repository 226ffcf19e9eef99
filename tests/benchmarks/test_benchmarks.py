"""The benchmarks run, their floors do the work they claim to do, and their verdicts are right."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dense
import equinox as eqx
import floor
import gpu
import hlo
import jax
import jax.numpy as jnp
import kernels
import memory
import numpy as np
import pytest
import report
import scaling
import targets
import timing
import workloads
from output import table
from rich.console import Console

from rtrrl.agents import RTRRL
from rtrrl.cells import CTRNNConfig
from rtrrl.learning.optimizers import Adam
from tests.helpers import QUICK_FLAGS

FOLDER = Path(floor.__file__).parent
DOCS = FOLDER.parent / "docs"
STEPS = 200


@pytest.fixture(scope="module", params=[("CartPole-pos", 32), ("MemoryChain-16", 128)], ids=str)
def trained(request):
    """An agent, its state before and after some steps, and the recording with its actions."""
    task, hidden_size = request.param
    agent = RTRRL.paper(
        task,
        cell=CTRNNConfig(hidden_size=hidden_size),
        # all settings differ, so that mixing them up would show
        lambda_actor=0.9,
        lambda_critic=0.8,
        lambda_recurrent=0.7,
        actor_coefficient=0.6,
        entropy_coefficient=0.1,
        optimizer=Adam(actor_multiple=0.5, recurrent_multiple=2.0, clip=0.3),
    )
    recording = floor.Recording.random(agent, STEPS)
    recording.discounts[::7] = 0
    first = jnp.linspace(0.1, -0.2, agent.observation_size)
    before, _ = agent.begin(agent.init(jax.random.key(0)), first)

    def step(state, timestep):
        action = state.last.action
        state, _, info = agent.step(state, *timestep)
        return state, (action, info.td_error)

    timesteps = (recording.observations, recording.rewards, recording.discounts)
    after, (actions, td_errors) = eqx.filter_jit(jax.lax.scan)(step, before, timesteps)
    recording = recording._replace(actions=np.asarray(actions, np.int32))
    return agent, before, after, recording, jnp.sum(td_errors**2)


@pytest.mark.skipif(floor.compiler() is None, reason="no C compiler")
def test_the_c_loop_computes_the_agents_numbers(trained):
    agent, before, after, recording, squares = trained
    loop = floor.CLoop(agent, before)
    start, goal = loop.pack(before), loop.pack(after)
    s = loop.learn(start.copy(), STEPS, recording)
    for name in ("theta", "influence", "h", "y", "value"):
        np.testing.assert_allclose(s[name], goal[name], rtol=1e-4, atol=1e-4, err_msg=name)
    np.testing.assert_allclose(s["squared_td_error"].item(), squares, rtol=1e-4)
    assert np.abs(goal["theta"] - start["theta"]).max() > 0.01  # it did learn


# compiled without optimizations: faster, and their times do not matter here
ENVIRONMENT = os.environ | {"XLA_FLAGS": QUICK_FLAGS}
QUICK = ("step", "targets", "scaling", "gpu", "kernels")
RUN_ALL = """
import contextlib, importlib, sys

folder, into, *names = sys.argv[1:]
sys.path.insert(0, folder)
for name in names:
    sys.argv = [name, "--quick", "--json", f"{into}/new/{name}.json"]
    with open(f"{into}/{name}.txt", "w") as printed, contextlib.redirect_stdout(printed):
        importlib.import_module(name).main()
"""


def run(*command):
    """Runs Python with arguments."""
    command = [sys.executable, *map(str, command)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """The folder of what the scripts print and write; one process compiles programs once."""
    into = tmp_path_factory.mktemp("benchmarks")
    run("-c", RUN_ALL, FOLDER, into, *QUICK)
    return into


def quick(name, outputs):
    """What a quick run of a script printed and wrote."""
    written = json.loads((outputs / f"new/{name}.json").read_text())
    return (outputs / f"{name}.txt").read_text(), written


def test_step_prints_and_writes_its_rows(outputs):
    printed, written = quick("step", outputs)
    names = {row["row"] for row in written["rows"]}
    assert names >= {"step, paper", "step, default", "train, default, CartPole-pos"}
    assert ("C loop" in names) == (floor.compiler() is not None)
    assert all(row["us_per_agent_step"] > 0 for row in written["rows"])
    assert all(name in printed for name in names)


def test_targets_prints_and_writes_its_rows(outputs):
    printed, written = quick("targets", outputs)
    rows = {row["row"]: row for row in written["rows"]}
    assert {"RTU + diagonal RTRL, n = 32", "dense RTRL, n = 8", "memory per agent of 16"} <= {*rows}
    assert ("CT-RNN + RFLO, n = 32" in rows) == (floor.compiler() is not None)
    for row in rows.values():
        assert row["value"] > 0
        assert row["floor"] > 0
        assert f"{row['ratio']:.2f} ×" in printed
        assert row["target"] in printed


def test_scaling_measures_what_is_missing(outputs, tmp_path):
    printed, written = quick("scaling", outputs)
    points = scaling.points(quick=True)
    assert len(written["points"]) == len(points) == len(printed.splitlines())
    assert all(point["us"] > 0 and point["bytes"] > 0 for point in written["points"])
    assert scaling.kept(outputs / "new/scaling.json") == written["points"]
    written["about"]["jax"] = "another"
    path = tmp_path / "scaling.json"
    path.write_text(json.dumps(written))
    assert scaling.kept(path) == []


def test_gpu_runs_on_any_device(outputs):
    printed, written = quick("gpu", outputs)
    assert written["about"]["device"] in printed
    assert [row["study"] for row in written["rows"]] == [*gpu.STUDIES]
    assert all(row["us"] > 0 for row in written["rows"])


@pytest.mark.skipif(floor.compiler() is None, reason="no C compiler")
def test_kernels_counts_the_bytes_of_the_agents_arrays(outputs):
    _, written = quick("kernels", outputs)
    (case,) = written["cases"]
    weights = 4 * 32 * (2 + 2 + 1 + 32 + 1)
    assert kernels.weight_bytes(workloads.paper(kernels.TASK, 32)) == weights
    assert case["floor_bytes"] == 13 * weights < case["bytes"]
    assert case["unclipped"]["bytes"] < case["bytes"]  # no pass that sums the squares
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
        hlo.Kernel("fused", "fusion", 128 + 128),  # the 32 bytes of %y are too few
        hlo.Kernel("copy.1", "copy", 128 + 128),  # of the first branch
        hlo.Kernel("written", "fusion", 3 * 128),  # of %log only the rows that are put there
    ]
    assert hlo.kernels(PROGRAM, least=1)[0].bytes == 128 + 32 + 128


def test_a_size_that_does_not_fit_is_reported_in_one_line():
    def too_large():
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory\nand much more")

    found = gpu.attempt(too_large, "large 8,192")
    assert found == {"error": "large 8,192 is left out: RESOURCE_EXHAUSTED: Out of memory"}


def test_the_committed_page_is_the_one_that_the_report_writes():
    numbers = report.read(DOCS / "performance")
    assert report.page(*numbers) == (DOCS / "performance.md").read_text()


def test_the_report_writes_page_and_figures(tmp_path):
    folder = tmp_path / "performance"
    folder.mkdir()
    for path in (DOCS / "performance").glob("*.json"):
        (folder / path.name).write_text(path.read_text())
    failure = {"study": "large", "size": 8192, "error": "large 8,192 is left out: too large"}
    gpu_numbers = {"about": timing.about(), "rows": [failure]}
    (folder / "gpu.json").write_text(json.dumps(gpu_numbers))
    run(FOLDER / "report.py", "--docs", tmp_path)
    page = (tmp_path / "performance.md").read_text()
    assert failure["error"] in page
    drawn = sorted((tmp_path / "figures").iterdir())
    assert len(drawn) == 3
    assert all(path.name in page and path.stat().st_size < 200_000 for path in drawn)


def test_fits_recover_the_exponent_of_the_upper_half():
    sizes = [8, 16, 32, 64, 128, 256]
    values = [1, 1, 1, *(1e-3 * n**2.5 for n in sizes[3:])]
    assert scaling.exponent(sizes, values) == pytest.approx(2.5)


def test_a_bound_is_an_upper_or_a_lower_limit():
    most, least = targets.Bound(1.3), targets.Bound(1.8, at_least=True)
    assert [most.met(ratio) for ratio in (1.0, 1.3, 1.31)] == [True, True, False]
    assert [least.met(ratio) for ratio in (1.0, 1.8, 1.9)] == [False, True, True]
    assert (str(most), str(least)) == ("≤ 1.3 ×", "≥ 1.8 ×")


def test_a_row_passes_only_if_it_passes_in_every_environment():
    target = targets.Target("it", targets.Bound(1.3), lambda task, effort: None)
    found = {
        task: targets.Measured(ratio, 1.0, ratio, "C loop") for task, ratio in (("a", 1), ("b", 2))
    }
    records = [targets.record(target, *each) for each in found.items()]
    assert [record["passed"] for record in records] == [True, False]
    console = Console(record=True, width=100)
    console.print(table("", [""] * 5, targets.lines(records)))
    assert "1.00 × / 2.00 ×   miss" in console.export_text()


def test_ratios_are_taken_within_a_repeat():
    floor_row, row = (timing.Row(name, None, lambda carry, steps: carry) for name in "ab")
    floor_row.microseconds, row.microseconds = [1.0, 10.0, 3.0], [2.0, 20.0, 9.0]
    assert timing.ratio(row, floor_row) == 2.0


def test_rows_are_timed_in_turn_and_keep_their_carry():
    order = []
    rows = [
        timing.Row(name, 0, lambda at, steps, name=name: order.append(name) or at + steps)
        for name in "ab"
    ]
    timing.interleave(rows, timing.Effort(2, 0.0))
    assert order[-4:] == ["a", "b", "a", "b"]
    assert [row.carry for row in rows] == [4, 4]
    assert all(len(row.microseconds) == 2 for row in rows)


def test_the_dense_floor_multiplies_an_influence_of_the_agents_size():
    agent = workloads.paper("CartPole-pos", 8, targets.RTRL())
    influence = workloads.initial_state(agent).influence
    columns = sum(leaf.size for leaf in jax.tree.leaves(influence)) // 8
    assert dense.shape(agent) == (8, columns)
    rows = [make(8, columns) for make in (dense.numpy_row, dense.xla_row)]
    after, _ = rows[0].run(rows[0].carry, 3)
    np.testing.assert_allclose(after, rows[1].run(rows[1].carry, 3), rtol=1e-4, atol=1e-5)


def test_the_least_memory_is_five_arrays_of_the_agents_state():
    agent = workloads.paper("CartPole-pos", 8)
    state = workloads.initial_state(agent)
    parts = (state.traces, state.influence)
    traces, influence = (sum(leaf.nbytes for leaf in jax.tree.leaves(part)) for part in parts)
    assert memory.least(agent) == 4 * traces + influence


def test_without_a_c_compiler_its_rows_are_left_out(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert not any("CT-RNN +" in target.what for target in targets.targets(quick=False))
    assert not any(point.series == "C loop" for point in scaling.points(quick=False))
