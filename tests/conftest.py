"""What every test relies on: types are checked, there are two CPU devices, float64 is a fixture.

The processes of one run share JAX's compilation cache. Its folder is deleted afterwards: on a CPU
it holds machine code, which another machine must not load.
"""

import os
import tempfile
from collections.abc import Iterator

# In the environment, not in `jax.config`, so that subprocesses compute the same bits.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")
os.environ.setdefault("MPLBACKEND", "agg")
if "PYTEST_XDIST_WORKER" not in os.environ:  # workers inherit the folder
    _programs = tempfile.TemporaryDirectory(prefix="rtrrl-tests-")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _programs.name)
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import beartype.typing  # noqa: F401 - named in the hook below
import jax
import jaxtyping
import pytest
from jaxtyping import install_import_hook

# All calls of rtrrl are checked, those in doctests too; before anything imports it. The hook
# decorates methods one by one, where beartype does not know `Self`: that is not checked. A float
# setting may be an array with one entry per seed.
install_import_hook(
    "rtrrl",
    "beartype.beartype(conf=beartype.BeartypeConf(hint_overrides=beartype.FrozenDict("
    "{beartype.typing.Self: beartype.typing.Any,"
    " float: beartype.typing.Union[float, __import__('jax').Array]})))",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--quick` runs each test with its first parameters alone."""
    parser.addoption("--quick", action="store_true", help="each test with its first parameters")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect all but the first parameters of a test, if asked."""
    if config.getoption("--quick"):
        first = {item.nodeid.partition("[")[0]: item for item in reversed(items)}
        rest = [item for item in items if first[item.nodeid.partition("[")[0]] is not item]
        config.hook.pytest_deselected(items=rest)
        items[:] = [item for item in items if item not in set(rest)]


@pytest.fixture(scope="module", autouse=True)
def quick_compiler(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compile a module's programs quickly, unless it is marked with `fully_optimized`."""
    from tests.helpers import quick_compilation  # imports rtrrl: only after the hook

    if request.node.get_closest_marker("fully_optimized"):
        jax.clear_caches()  # of the quickly compiled programs of other modules
        yield
    else:
        with quick_compilation():
            yield


@pytest.fixture
def x64() -> Iterator[None]:
    """Run the test in float64."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the check of types, as in the program of a user."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test registers is forgotten after it."""
    from rtrrl.agents.parts import PARTS
    from rtrrl.agents.registry import AGENTS
    from rtrrl.environments import ENVIRONMENTS

    for registry in (AGENTS, ENVIRONMENTS, *(part.members for part in PARTS)):
        monkeypatch.setattr(registry, "_factories", dict(registry._factories))
