"""The C loop of `floor.c`, compiled on demand and called in this process."""

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rtrrl.agents import RTRRL, RTRRLState
from rtrrl.learning.optimizers import Adam
from rtrrl.learning.policies import Categorical

SOURCE = Path(__file__).with_name("floor.c")
FLAGS = ("-O3", "-march=native", "-ffast-math", "-shared", "-fPIC")
MISSING = "no C compiler (cc) on the path"


class Recording(NamedTuple):
    """The recorded result of each step, and the action that was taken."""

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    discounts: np.ndarray

    @classmethod
    def random(cls, agent: RTRRL, steps: int = 1024) -> "Recording":
        """A random stream of the agent's sizes, without episode ends."""
        rng = np.random.default_rng(0)
        return cls(
            rng.normal(size=(steps, agent.observation_size)).astype(np.float32),
            rng.integers(agent.policy.output_size, size=steps, dtype=np.int32),
            rng.normal(size=steps).astype(np.float32),
            np.ones(steps, np.float32),
        )


def compiler() -> str | None:
    """The path of the C compiler, or None."""
    return shutil.which("cc")


class CLoop:
    """A CT-RNN + RFLO agent with discrete actions, in C compiled for its sizes and settings."""

    def __init__(self, agent: RTRRL, state: RTRRLState):
        cc = compiler()
        if cc is None:
            raise FileNotFoundError(MISSING)
        self.sizes = _sizes(agent, state)
        defines = [f"-D{k}={v}" for k, v in (self.sizes | _settings(agent)).items()]
        # the loaded library stays usable after its file is deleted
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "floor.so"
            command = [cc, *FLAGS, *defines, str(SOURCE), "-o", str(library), "-lm"]
            subprocess.run(command, check=True)
            self._learn = ctypes.CDLL(str(library)).learn
        array = np.ctypeslib.ndpointer
        self._learn.argtypes = [
            *(array(self._layout(), flags="C"), ctypes.c_long, ctypes.c_long),
            *(array(np.float32), array(np.int32), array(np.float32), array(np.float32)),
        ]
        self._learn.restype = None

    def learn(self, s: np.ndarray, steps: int, recording: Recording) -> np.ndarray:
        """Take `steps` steps along the recording, repeated as needed; changes `s` in place."""
        self._learn(s, steps, len(recording.rewards), *recording)
        return s

    def pack(self, state: RTRRLState) -> np.ndarray:
        """The agent's state in C's layout, before its first update."""
        theta, s = state.params, np.zeros(1, self._layout())
        s["theta"] = _flat(
            theta.cell.weight.T, theta.cell.tau, theta.actor.weight, theta.critic.weight
        )
        s["influence"] = _flat(state.influence.weight[0].T, state.influence.tau)
        s["feedback_actor"] = _flat(theta.actor.feedback.value)
        s["feedback_critic"] = _flat(theta.critic.feedback.value)
        s["h"] = _flat(state.last.h)
        s["y"] = _flat(theta.actor(theta.cell.features(state.last.h)))
        s["value"] = state.value
        s["b1_power"] = s["b2_power"] = 1
        return s

    def _layout(self) -> np.dtype:
        hidden, observations, actions = self.sizes.values()
        cell = hidden * (observations + actions + hidden + 3)
        parameters = cell + (actions + 1) * (hidden + 1)
        fields = {
            **dict.fromkeys(("theta", "trace", "mu", "nu"), parameters),
            "influence": cell,
            "feedback_actor": actions * hidden,
            "feedback_critic": hidden,
            "h": hidden,
            "y": actions,
            **dict.fromkeys(("value", "b1_power", "b2_power", "squared_td_error", "entropy"), 1),
        }
        return np.dtype([(name, np.float32, size) for name, size in fields.items()])


def _sizes(agent: RTRRL, state: RTRRLState) -> dict[str, int]:
    assert isinstance(agent.policy, Categorical)
    assert agent.meta_input
    return {
        "HIDDEN": state.params.cell.hidden_size,
        "OBSERVATIONS": agent.observation_size,
        "ACTIONS": agent.policy.output_size,
    }


def _settings(agent: RTRRL) -> dict[str, str]:
    update = agent.optimizer
    assert isinstance(update, Adam)
    settings = {
        "GAMMA": agent.gamma,
        "DECAY_ACTOR": agent.gamma * agent.lambda_actor,
        "DECAY_CRITIC": agent.gamma * agent.lambda_critic,
        "DECAY_CELL": agent.gamma * agent.lambda_recurrent,
        "ACTOR_COEFFICIENT": agent.actor_coefficient,
        "ENTROPY_COEFFICIENT": agent.entropy_coefficient,
        "RATE_ACTOR": update.learning_rate * update.actor_multiple,
        "RATE_CRITIC": update.learning_rate,
        "RATE_CELL": update.learning_rate * update.recurrent_multiple,
        "CLIP": update.clip,
        "B1": update.b1,
        "B2": update.b2,
        "EPSILON": update.epsilon,
    }
    return {name: f"{float(value):e}f" for name, value in settings.items()}


def _flat(*arrays) -> np.ndarray:
    return np.concatenate([np.asarray(array, np.float32).ravel() for array in arrays])
