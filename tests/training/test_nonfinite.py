"""NaN and infinity from an environment end a run with one line; the last checkpoint stays.

Which step is reported, for rewards, observations and resets, is tested in test_loop.py.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

import rtrrl
from rtrrl.errors import NonFiniteError
from rtrrl.runs.run import StopReason
from rtrrl.training import trainer
from rtrrl.types import TimeStep
from tests.counting import PaidAction
from tests.training.runs import train_counting


class NonFinite(PaidAction):
    """Gives `value` as reward or observation at the `at`-th step of an episode; 0 is the reset."""

    value: Array
    at: Array
    in_reward: Array

    def reset(self, key):
        return jnp.zeros((), jnp.int32), jnp.where(self.at == 0, self.value, jnp.ones(1))

    def step(self, key, state, action):
        now = state + 1 == self.at
        observation = jnp.where(now & ~self.in_reward, self.value, jnp.ones(1))
        reward = jnp.where(now & self.in_reward, self.value, 1.0)
        return state + 1, TimeStep(observation, reward, jnp.ones(()), (state + 1) % 50 == 0)


@pytest.mark.parametrize(
    ("value", "at", "in_reward", "evaluations", "message", "checkpoint"),
    [
        (np.inf, 37, True, 1, "gave NaN or infinity .*step 37 of seed 8", 0),
        (np.nan, 37, True, 5, "while seed 8 was evaluated at step 20", 0),
        (-np.inf, 37, False, 5, "gave NaN or infinity .*step 37 of seed 8", 20),
        (np.nan, 0, False, 1, "gave NaN or infinity .*step 0 of seed 8", 0),
    ],
    ids=["reward", "reward in evaluation", "observation", "reset"],
)
def test_step_and_seed_are_named_and_the_last_checkpoint_stays(
    value, at, in_reward, evaluations, message, checkpoint, tmp_path, monkeypatch
):
    monkeypatch.setattr(trainer, "SLICE_SECONDS", 1e-9)
    environment, folder = NonFinite(*map(jnp.array, (value, at, in_reward))), tmp_path / "run"
    with pytest.raises(NonFiniteError, match=f"NonFinite.*{message}") as caught:
        train_counting(env=environment, seeds=[8], steps=100, evaluations=evaluations, out=folder)
    assert "\n" not in str(caught.value)
    run = rtrrl.load_run(folder)
    assert run.stopped_by is StopReason.ERROR
    assert [row["step"] for row in run.metrics] == [20] * bool(checkpoint)
    saved = rtrrl.load(folder, environment=environment)
    assert (saved.step, saved.states.count) == (checkpoint, checkpoint)
