"""One update for several streams."""

import jax

from rtrrl.types import PyTree
from rtrrl.updates.base import Credit, Groups, Update
from rtrrl.updates.transformations import OptaxUpdate

STREAMS = "streams"
"""The name of the axis along which the streams of one agent lie, where it has several."""


class MeanOverStreams(Update):
    """Another update, of the mean direction over all streams that share the parameters.

    Its state is the other's own, so that an agent of several streams can go on with one.
    """

    update: OptaxUpdate

    def init(self, groups: Groups) -> PyTree:
        """The other's."""
        return self.update.init(groups)

    def __call__(self, state: PyTree, groups: Groups, credit: Credit) -> tuple[Groups, PyTree]:
        """One step of the other, along the mean of δ e + bonus."""
        return self.update.ascend(state, groups, jax.lax.pmean(credit.ascent(), STREAMS))
