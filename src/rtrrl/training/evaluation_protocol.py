"""What evaluations have in common, wherever the environment is stepped."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from rtrrl.utils import slicing

POLL_SECONDS = slicing.SECONDS
"""About how long an evaluation runs between two calls of a `Poll`."""


class Progress(NamedTuple):
    """How far an evaluation has come, over all agents."""

    done: int
    """The episodes that have ended."""
    episodes: int
    """How many there are to be."""


Poll = Callable[[Progress], None]
"""Called about twice a second during an evaluation; it may raise to end it."""


class Returns(NamedTuple):
    """The outcome of an evaluation."""

    returns: Float[np.ndarray, "agents episodes"]
    cut: Bool[np.ndarray, "agents episodes"]
    """Which episodes had not ended when they reached the limit of steps."""

    def cut_message(self, name: str, max_episode_steps: int) -> str:
        """What to tell the user of the episodes that were cut."""
        return (
            f"{self.cut.sum():,} of {self.cut.size:,} evaluation episodes of {name} had not ended "
            f"after {max_episode_steps:,} steps, and their returns up to there count: set "
            "max_episode_steps to the length of the longest episodes"
        )
