"""The actions of current episodes, from which they are replayed when a run is resumed."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Shaped

LONGEST = 100_000
"""A longer episode is not recorded: memory and checkpoints stay small, and resuming quick."""

FORGOTTEN = -1
"""The length of an episode that cannot be replayed."""


class ActionRecord:
    """The actions of every seed's current episode, unless they are `FORGOTTEN`.

    Those are episodes of more than `LONGEST` steps, and all of an environment that is not
    `replayable`.
    """

    def __init__(self, seeds: int, action: Any, replayable: bool):
        self._empty = 0 if replayable else FORGOTTEN
        self._actions = np.zeros((seeds, 64, *action.shape[1:]), action.dtype)
        self.lengths: Int[np.ndarray, " seeds"] = np.full(seeds, self._empty, np.int32)

    def append(self, actions: Shaped[np.ndarray, "seeds ..."]) -> None:
        """Add one step of every seed."""
        known = np.flatnonzero(self.lengths >= 0)
        if not len(known):
            return
        if self.lengths.max() == self._actions.shape[1]:
            self._actions = np.concatenate([self._actions, np.zeros_like(self._actions)], axis=1)
        self._actions[known, self.lengths[known]] = actions[known]
        self.lengths[known] += 1
        self.lengths[self.lengths > LONGEST] = FORGOTTEN

    def restart(self, mask: Bool[np.ndarray, " seeds"]) -> None:
        """Begin the next episode where `mask` is true."""
        self.lengths[mask] = self._empty

    def saved(self) -> tuple[Shaped[np.ndarray, "seeds length ..."], Int[np.ndarray, " seeds"]]:
        """The actions, those of shorter episodes padded, and the lengths."""
        return self._actions[:, : max(0, self.lengths.max())].copy(), self.lengths.copy()

    def load(
        self,
        actions: Shaped[np.ndarray, "seeds length ..."],
        lengths: Int[np.ndarray, " seeds"],
    ) -> None:
        """Take over what another record has saved."""
        self._actions, self.lengths = np.concatenate([actions, self._actions], 1), lengths.copy()
