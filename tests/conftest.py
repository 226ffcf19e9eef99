"""What every test stands on: checked shapes, two CPU devices, and float64 where it is asked for.

JAX's persistent compilation cache stays off: on CPU it stores machine code, which a machine with
another instruction set would load, and a cached program would hide what a change does to compiling.
"""

import os
from collections.abc import Iterator

# In the environment, not in `jax.config`, so that a test's subprocess computes the same bits.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")  # what is spread over devices has two to go to
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("JAX_ENABLE_COMPILATION_CACHE", "false")  # the command turns it on

import beartype.typing  # noqa: F401 - named in the hook below
import jax
import pytest
from jaxtyping import install_import_hook

# Every function of rtrrl is checked, doctests included; before anything imports it. The hook
# decorates methods one by one, where beartype cannot know what `Self` is: it is let through. A
# setting that is a float may be an array with one entry per seed.
install_import_hook(
    "rtrrl",
    "beartype.beartype(conf=beartype.BeartypeConf(hint_overrides=beartype.FrozenDict("
    "{beartype.typing.Self: beartype.typing.Any,"
    " float: beartype.typing.Union[float, __import__('jax').Array]})))",
)


@pytest.fixture(scope="module")
def quick_compiler() -> Iterator[None]:
    """Compile this module's programs quickly: `pytestmark = pytest.mark.usefixtures(...)`."""
    from tests.helpers import quick_compilation  # imports rtrrl: only after the hook

    with quick_compilation():
        yield


@pytest.fixture
def x64() -> Iterator[None]:
    """Run the test in float64: `pytestmark = pytest.mark.usefixtures("x64")`, or an argument."""
    with jax.enable_x64(True):
        yield
