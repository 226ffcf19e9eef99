"""Programs are traced once on a machine, and again whenever anything they depend on changes."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from rtrrl.gradients import TBPTT
from rtrrl.utils import traced_programs
from rtrrl.utils.traced_programs import TracedProgram

State = dict[str, Any]


class Counter:
    """A program that counts how often it is traced."""

    def __init__(self):
        self.traces = 0
        self.program = TracedProgram(self.step, lambda _, state: state, donate=True)

    def step(self, settings, state):
        self.traces += 1
        scale, _ = settings
        x, key = state["x"], state["key"]
        return {"x": x * scale + jax.random.normal(key), "key": jax.random.split(key)[0]}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(traced_programs, "_folder", tmp_path)
    return tmp_path


def state(size: int = 3) -> State:
    return {"x": jnp.arange(float(size)), "key": jax.random.key(1)}


def run(settings, size: int = 3) -> tuple[State, int]:
    """The result in what stands for a new process, and the number of traces that it took."""
    counter = Counter()
    result = counter.program(settings, state(size))
    return result, counter.traces


def test_a_second_process_does_not_trace_and_gets_the_same_bits(folder):
    scale = jnp.array(2.0)
    (first, traces), (second, again) = run((scale, TBPTT())), run((scale, TBPTT()))
    assert (traces, again) == (1, 0)
    expected = jax.jit(Counter().step)((scale, None), state())
    for each in (first, second):
        assert each["x"].tolist() == expected["x"].tolist()
        assert bool((each["key"] == expected["key"]).all())


def test_arrays_of_the_first_argument_are_no_constants(folder):
    run((jnp.array(2.0), TBPTT()))
    result, traces = run((jnp.array(3.0), TBPTT()))
    assert traces == 0
    assert result["x"].tolist() == Counter().step((3.0, None), state())["x"].tolist()


@pytest.mark.parametrize("change", ["a constant", "a shape", "the source", "a setting"])
def test_a_change_traces_again(folder, monkeypatch, change):
    scale = jnp.array(2.0)
    run((scale, TBPTT()))
    rule, size = TBPTT(), 3
    match change:
        case "a constant":
            rule = TBPTT(window=7)
        case "a shape":
            size = 4
        case "the source":
            monkeypatch.setattr(traced_programs, "_context", lambda: "another")
        case "a setting":
            monkeypatch.setattr(traced_programs, "_context", traced_programs._context.__wrapped__)
            with jax.default_matmul_precision("highest"):
                assert run((scale, rule), size)[1] == 1
            return
    assert run((scale, rule), size)[1] == 1


class Own(eqx.Module):
    """A constant that is defined outside the package: its source is in no digest."""


@pytest.mark.parametrize("constant", [Own(), abs], ids=["module", "function"])
def test_a_program_with_constants_of_a_user_is_not_kept(folder, constant):
    assert run((jnp.array(2.0), constant))[1] == 1
    assert run((jnp.array(2.0), constant))[1] == 1
    assert not list(folder.iterdir())


def test_a_damaged_file_is_replaced(folder):
    run((jnp.array(2.0), TBPTT()))
    (file,) = folder.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert [run((jnp.array(2.0), TBPTT()))[1] for _ in range(2)] == [1, 0]


def test_a_folder_that_cannot_be_written_does_no_harm(folder, monkeypatch):
    monkeypatch.setattr(traced_programs, "_folder", folder / "missing")
    assert run((jnp.array(2.0), TBPTT()))[1] == 1


def test_the_oldest_files_are_deleted(folder, monkeypatch):
    monkeypatch.setattr(traced_programs, "MAX_FILES", 2)
    for window in (1, 2, 3, 4):
        run((jnp.array(2.0), TBPTT(window=window)))
    assert len(list(folder.iterdir())) == 2
    assert run((jnp.array(2.0), TBPTT(window=4)))[1] == 0


def test_nothing_is_kept_unless_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(traced_programs, "_folder", None)
    counter = Counter()
    for _ in range(2):
        counter.program((jnp.array(2.0), TBPTT()), state())
    assert counter.traces == 1
