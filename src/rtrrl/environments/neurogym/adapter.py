"""The tasks of NeuroGym, one trial an episode, through the Gymnasium adapter.

neurogym is imported only when an environment is made.
"""

import importlib.util
from typing import Any

from rtrrl.environments.arguments import split_arguments, with_arguments
from rtrrl.environments.gymnasium.adapter import Gymnasium
from rtrrl.errors import RtrrlError

INSTALL = "pip install 'rtrrl[neuro]' && pip install --no-deps neurogym==2.2.0"


def make_neurogym(name: str) -> Gymnasium:
    """The task `neurogym/ID`; an episode is a trial, so that its return is the reward of the trial.

    NeuroGym goes from trial to trial without an end. Here the last step of a trial terminates, and
    the next trial starts from the initial hidden state; parameters and traces are kept.

    **Raises** `RtrrlError` where neurogym is not installed, `UnknownNameError` where it has no such
    task.

    Source: Molano-Mazón et al., "NeuroGym: An open resource for developing and sharing neuroscience
    tasks", 2022.
    """
    if importlib.util.find_spec("neurogym") is None:
        raise RtrrlError(f"neurogym is not installed: {INSTALL}")
    id, arguments = split_arguments(name.removeprefix("neurogym/"))
    once = arguments.pop("seed_once", None)
    source = with_arguments(f"neurogym:{id}", arguments)
    return Gymnasium(source, None, name, one_trial_per_episode, seed_once=once)


def one_trial_per_episode(environment: Any) -> Any:
    """Terminates where the next trial would begin."""
    import gymnasium

    class Trials(gymnasium.Wrapper):
        def step(self, action):  # names in annotations are not sent to a process
            observation, reward, terminated, truncated, info = self.env.step(action)
            return observation, reward, terminated or bool(info["new_trial"]), truncated, info

    return Trials(environment)
