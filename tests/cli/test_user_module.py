"""A user's module registers an environment, an agent and parts, which all commands take by name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = '''
import equinox as eqx
import jax
import jax.numpy as jnp
import optax

import rtrrl
from rtrrl.agents import Agent
from rtrrl.agents.base import Info
from rtrrl.cells import Cell, CellConfig
from rtrrl.environments import Box, Discrete, Environment
from rtrrl.gradients import SnAp1
from rtrrl.learning.exploration_bonus import ExplorationBonus
from rtrrl.learning.optimizers import OptaxOptimizer
from rtrrl.learning.policies import Categorical
from rtrrl.types import TimeStep


class Recall(Environment):
    """Recall a bit after some steps."""

    length: int = eqx.field(static=True)

    @property
    def observation_space(self):
        return Box.of(-1, 1, (1,))

    @property
    def action_space(self):
        return Discrete(2)

    def reset(self, key):
        bit = jax.random.bernoulli(key)
        return (jnp.zeros((), jnp.int32), bit), jnp.where(bit, 1.0, -1.0)[None]

    def step(self, key, state, action):
        time, bit = state[0] + 1, state[1]
        last = time == self.length
        reward = jnp.where(last & (action == bit), 1.0, 0.0)
        return (time, bit), TimeStep(jnp.zeros(1), reward, 1.0 - last, last)


class MinGRU(Cell):
    """h' = (1 - z) h + z h~, where z and h~ are functions of x alone (Feng et al. 2024)."""

    gate: jax.Array
    candidate: jax.Array
    input_size: int = eqx.field(static=True)
    hidden_size: int = eqx.field(static=True)

    def __init__(self, input_size, hidden_size, *, key, scale):
        self.input_size, self.hidden_size = input_size, hidden_size
        weights = scale * jax.random.normal(key, (2, input_size, hidden_size))
        self.gate, self.candidate = weights / input_size**0.5

    def unit(self, own, h, x):
        z = jax.nn.sigmoid(self.gate @ x)
        return (1 - z) * own + z * (self.candidate @ x)

    @property
    def diagonal(self):
        return True


class MinGRUConfig(CellConfig):
    """Settings of a minGRU."""

    cell = MinGRU
    scale: float = 1.0
    """The standard deviation of the initial weights."""


class DecayedSnAp1(SnAp1):
    """SnAp-1 with an influence that decays faster."""

    decay: float = 0.9
    """The factor of the influence at every step."""

    def block(self, cell, h, x, unit):
        return self.decay * super().block(cell, h, x, unit)


class Softmax(Categorical):
    """A softmax with a temperature."""

    temperature: float = eqx.field(static=True, default=2.0)
    """The divisor of the outputs."""

    def log_probabilities(self, y):
        return super().log_probabilities(y / self.temperature)

    def sample(self, key, y):
        return jax.random.categorical(key, self.log_probabilities(y))


class SGD(OptaxOptimizer):
    """Stochastic gradient descent."""

    learning_rate: float = 1e-3
    """The step size of all parameters."""

    def transformation(self):
        return optax.sgd(self.learning_rate)


class Distance(ExplorationBonus):
    """The distance from the mean observation."""

    scale: float = 0.1
    """The weight of the distance."""

    def init(self, size):
        return jnp.zeros(size)

    def update(self, statistics, observation):
        return 0.99 * statistics + 0.01 * observation

    def __call__(self, statistics, observation):
        return self.scale * jnp.sum(jnp.abs(observation - statistics))


class Repeat(Agent):
    task: str = eqx.field(static=True)
    num_actions: int = eqx.field(static=True)

    def init(self, key):
        return jax.random.randint(key, (), 0, self.num_actions)

    def begin(self, state, observation):
        return state, state

    def step(self, state, observation, reward, discount):
        zero = jnp.zeros(())
        return state, state, Info(zero, zero, zero)

    def frozen(self, state, greedy=False):
        return self


def repeat(environment, **settings):
    """Repeats one random action."""
    return Repeat(environment.name, environment.action_space.n, **settings)


rtrrl.register("environment", "Recall-N", Recall)
rtrrl.register("cell", "mingru", MinGRUConfig)
rtrrl.register("rule", "decayed-snap1", DecayedSnAp1)
rtrrl.register("policy", "softmax", lambda space: Softmax(space.n))
rtrrl.register("optimizer", "sgd", SGD)
rtrrl.register("bonus", "distance", Distance)
rtrrl.register("agent", "repeat", repeat)
'''

COMMANDS = """
import contextlib, io, json, signal, sys
from rtrrl.cli import main
from rtrrl.runs import storage

append = storage.append_metrics

def append_and_interrupt(folder, rows):
    append(folder, rows)
    signal.raise_signal(signal.SIGINT)

results = []
for command in sys.argv[1:]:
    interrupted = command.startswith("interrupted ")
    storage.append_metrics = append_and_interrupt if interrupted else append
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(command.removeprefix("interrupted ").split())
        except SystemExit as done:
            code = done.code
    results.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(results))
"""
"""Runs each of its arguments as a command in one process, with Ctrl-C after an evaluation."""

TRAIN = (
    "train Recall-3 --import mine.py --cell mingru --rule decayed-snap1 --policy softmax "
    "--optimizer sgd --bonus distance --agent.cell.hidden-size 4 --agent.policy.temperature 3 "
    "--agent.rule.decay 0.5 --agent.optimizer.learning-rate 0.01 "
    "--steps 40 --seeds 2 --evaluations 2 --episodes 2 --workers 1 --out"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    (folder / "mine.py").write_text(MODULE)
    return folder


def run(folder: Path, *commands: str) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of each command, run one after the other in one process."""
    changes = {
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_COMPILATION_CACHE_DIR": str(folder / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=1",
    }
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, *commands],
        cwd=folder,
        env=os.environ | changes,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def outputs(folder: Path, *commands: str) -> list[str]:
    """What the commands print; all succeed."""
    results = run(folder, *commands)
    assert [(code, err) for code, _, err in results] == [(0, "")] * len(commands)
    return [out for _, out, _ in results]


def errors(folder: Path, *commands: str) -> list[str]:
    """The one line on stderr of each command; all fail."""
    results = run(folder, *commands)
    for code, out, err in results:
        assert (code, out) == (2, "")
        assert err.startswith("rtrrl: ")
        assert err.count("\n") == 1
    return [err for *_, err in results]


def metrics(folder: Path) -> list[dict]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row | {"seconds": None} for row in rows]


@pytest.fixture(scope="module")
def trained(folder) -> Path:
    """The folder with an interrupted run, and an uninterrupted one with the same settings."""
    interrupted, finished = run(folder, f"interrupted {TRAIN} interrupted", f"{TRAIN} run")
    assert interrupted[0] == 130, interrupted
    assert (finished[0], finished[2]) == (0, "")
    return folder


def test_the_settings_of_a_run_name_the_users_classes(trained):
    config = json.loads((trained / "run" / "config.json").read_text())
    settings = config["settings"]
    assert config["environment"]["env"] == {"type": "mine.Recall", "length": 3}
    assert settings["cell"] == {"type": "mine.MinGRUConfig", "hidden_size": 4, "scale": 1.0}
    assert settings["rule"] == {"type": "mine.DecayedSnAp1", "decay": 0.5}
    assert settings["optimizer"] == {"type": "mine.SGD", "learning_rate": 0.01}
    assert settings["inputs"]["bonus"] == {"type": "mine.Distance", "scale": 0.1}
    assert settings["policy"]["type"] == "mine.Softmax"
    assert settings["policy"]["temperature"] == 3.0


def test_all_commands_work_with_the_users_names(trained):
    module = "--import mine.py"
    resumed, evaluated, rendered, certified, exact, moved, repeated, tasks, agents, text = outputs(
        trained,
        "train --resume interrupted --import mine --json",
        f"eval run {module} --episodes 3 --json",
        f"render run {module} --steps 6 --json",
        f"certify {module} --cell mingru --rule decayed-snap1 --json",
        f"certify {module} --cell mingru --rule diagonal-rtrl --json",
        f"train Recall-5 --config run {module} --out moved --json",
        f"train Recall-3 {module} --agent repeat --steps 9 --seeds 1 --evaluations 1 --out repeat",
        f"tasks recall-n {module} --json",
        f"agents {module} --json",
        f"train Recall-3 {module} --cell mingru --help",
    )
    assert json.loads(resumed)["stopped_by"] == "budget"
    assert metrics(trained / "interrupted") == metrics(trained / "run")
    assert json.loads(evaluated)["task"] == "Recall-3"
    assert json.loads(rendered)["film"] == "run/episode.gif"
    assert (trained / "run" / "episode.gif").read_bytes().startswith(b"GIF89a")
    for row, kind in (json.loads(certified)[0], "approximate"), (json.loads(exact)[0], "exact"):
        assert {block["kind"] for block in row["blocks"].values()} == {kind}
    assert json.loads(moved)["task"] == "Recall-5"
    policy = json.loads((trained / "moved" / "config.json").read_text())["settings"]["policy"]
    assert (policy["type"], policy["temperature"]) == ("mine.Softmax", 3.0)
    assert repeated.startswith("Recall-3 · Repeat\n")
    [task] = [task for task in json.loads(tasks) if task["name"] == "Recall-N"]
    assert task["description"] == "Recall a bit after some steps."
    assert (task["backend"], task["action"]) == ("registered", "Discrete(2)")
    assert {"name": "repeat", "description": "Repeats one random action."} in json.loads(agents)
    text = " ".join(text.split())
    assert "saturating-rtu, lru, gru, lstm, memoryless, mingru" in text
    assert "--agent.cell.scale FLOAT The standard deviation of the initial weights" in text


BAD_MODULES = {
    "taken": 'import rtrrl\nrtrrl.register("cell", "gru", dict)',
    "kind": 'import rtrrl\nrtrrl.register("cel", "mine", dict)',
    "bug": "import rtrrl\nrtrrl.nothing",
    "syntax": "x = (",
    "sub/random": "",
    "failing": """
import rtrrl

def fail(*arguments):
    raise ValueError("not today")

for kind in ("environment", "cell", "agent"):
    rtrrl.register(kind, "failing", fail)
    rtrrl.register(kind, "seven", lambda *arguments: 7)
""",
}


def test_a_mistake_in_the_users_module_is_one_line(trained):
    (trained / "sub").mkdir()
    for name, text in BAD_MODULES.items():
        (trained / f"{name}.py").write_text(text)
    commands = {
        "train Recall-3": "'Recall-3': did you mean",
        "train TMaze-3 --cell mingru": "(for a name of your own, add --import MODULE)",
        "eval run": "is not imported: import mine first (on the command line, --import mine",
        "train --resume run": "is not imported: import mine first",
        "eval repeat": "mine.Repeat is not imported: import mine first",
        "tasks --import": "expected the name of a module or the path of a .py file",
        "tasks --import missing.py": "no such file",
        "tasks --import missing": "No module named 'missing'",
        "tasks --import taken.py": "the cell 'gru' exists already: choose another name",
        "tasks --import kind.py": "unknown kind 'cel': did you mean cell",
        "tasks --import bug.py": "has no attribute 'nothing'",
        "tasks --import syntax.py": "SyntaxError: '(' was never closed (syntax.py, line 1)",
        "tasks --import sub/random.py": "the module 'random' is",
        "train failing --import failing.py": "cannot be made: ValueError: not today",
        "train TMaze-3 --cell failing --import failing": "cannot be made: ValueError: not today",
        "train TMaze-3 --agent failing --import failing": "cannot be made: ValueError: not today",
        "certify --cell failing --import failing": "cannot be made: ValueError: not today",
        "train seven --import failing": "must return an Environment or a HostEnvironment",
        "train TMaze-3 --cell seven --import failing": "cell is 7: expected CellConfig",
        "train TMaze-3 --agent seven --import failing": "returns 7, not an Agent",
    }
    for error, expected in zip(errors(trained, *commands), commands.values(), strict=True):
        assert expected in error
