"""One trained run that several files compare with."""

import pytest

from rtrrl.runs.run import Run
from tests.helpers import quick_compilation
from tests.training.runs import train_small


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory) -> Run:
    """A run of two seeds that was never interrupted, in its folder."""
    with quick_compilation():
        return train_small(out=tmp_path_factory.mktemp("uninterrupted") / "run")
