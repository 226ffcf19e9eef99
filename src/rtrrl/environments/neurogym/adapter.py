"""The tasks of NeuroGym, one trial an episode, through the Gymnasium adapter.

neurogym is imported only when a world is built.
"""

import importlib.util
from typing import Any

from rtrrl.environments.gymnasium.adapter import Gymnasium
from rtrrl.errors import RtrrlError

INSTALL = "pip install 'rtrrl[neuro]' && pip install --no-deps neurogym==2.2.0"


def make_trials(id: str, title: str) -> Gymnasium:
    """NeuroGym's task `id`; an episode is a trial, so that its return is what the trial earned.

    NeuroGym goes from trial to trial without an end. Here a trial's last step terminates, and the
    agent begins the next one with no memory of it; its learning goes on, of course.

    **Raises** `RtrrlError` where neurogym is not installed, `UnknownNameError` where it has no such
    task.

    Source: Molano-Mazón et al., "NeuroGym: An open resource for developing and sharing neuroscience
    tasks", 2022.
    """
    if importlib.util.find_spec("neurogym") is None:
        raise RtrrlError(f"neurogym is not installed: {INSTALL}")
    return Gymnasium(f"neurogym:{id}", None, title, one_trial_an_episode)


def one_trial_an_episode(world: Any) -> Any:
    """Terminates where the next trial would begin."""
    import gymnasium

    class Trials(gymnasium.Wrapper):
        def reset(self, *, seed: int | None = None, options: dict | None = None) -> Any:
            if seed is not None:
                trials: Any = self.unwrapped
                trials.seed(seed)  # which neurogym's own reset forgets
            return self.env.reset(seed=seed, options=options)

        def step(self, action: Any) -> Any:
            seen, reward, terminated, truncated, info = self.env.step(action)
            return seen, reward, terminated or bool(info["new_trial"]), truncated, info

    return Trials(world)
