"""Traced programs kept on disk beside the compiled ones (docs/decisions/0011).

Tracing the training loop takes longer than loading its compiled program. What is traced is kept as
StableHLO by `jax.export`, under the digest of everything it depends on: the source of rtrrl, the
versions of the packages it calls, JAX's settings, shapes, and every constant of the program. A
program with other constants, such as an environment defined in another package, is not kept.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array

from rtrrl.types import PyTree
from rtrrl.utils.files import write_atomic
from rtrrl.utils.prng import with_key_type, without_key_type

MAX_FILES = 500
"""More programs than this are not kept: the oldest are deleted."""

_PACKAGES = ("jax", "jaxlib", "equinox", "optax", "numpy", "gymnax", "brax", "mujoco", "mujoco-mjx")
_SETTINGS = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_numpy_dtype_promotion",
    "jax_threefry_partitionable",
)
_folder: Path | None = None


def keep_in(folder: Path) -> None:
    """Keep traced programs in `folder`, which only the user may write to: they are executed."""
    global _folder
    _folder = folder


class TracedProgram:
    """`jit(function)`, whose trace is kept on disk where `keep_in` has been called.

    The arrays of the first argument are kept, those of the others are donated if `donate`.
    `like(*arguments)` returns any pytree of the structure of the result; only its structure counts.
    """

    def __init__(self, function: Callable, like: Callable[..., PyTree], *, donate: bool = False):
        self._function, self._like, self._donate = function, like, donate
        self._jitted = eqx.filter_jit(function, donate="all-except-first" if donate else "none")
        self._loaded: dict[str, Callable[[list[Array], list[Array]], list[Array]]] = {}
        self._lock = threading.Lock()

    def __call__(self, first: Any, *rest: Any) -> Any:
        if _folder is None:
            return self._jitted(first, *rest)
        arrays, static = eqx.partition((first, rest), eqx.is_array)
        constants = _describe(static)
        if constants is None:
            return self._jitted(first, *rest)
        kept, donated = ([*map(without_key_type, jax.tree.leaves(part))] for part in arrays)
        shapes = [(leaf.dtype.name, leaf.shape) for leaf in (*kept, *donated)]
        name = f"{self._function.__module__}.{self._function.__qualname__}"
        digest = hashlib.sha256(f"{_context()} {name} {shapes} {constants}".encode()).hexdigest()
        with self._lock:
            if digest not in self._loaded:
                self._loaded[digest] = self._load(_folder / digest, arrays, static, kept, donated)
        like, rest_of_like = eqx.partition(self._like(first, *rest), _is_array_like)
        leaves, structure = jax.tree.flatten(like)
        results = self._loaded[digest](kept, donated)
        typed = [with_key_type(*pair) for pair in zip(results, leaves, strict=True)]
        return eqx.combine(jax.tree.unflatten(structure, typed), rest_of_like)

    def _load(
        self, path: Path, arrays: PyTree, static: PyTree, kept: list, donated: list
    ) -> Callable[[list[Array], list[Array]], list[Array]]:
        donate: Any = {"donate_argnums": 1} if self._donate else {}
        try:
            exported = jax.export.deserialize(bytearray(path.read_bytes()))
        except Exception:  # not there, or not readable
            leaves, structure = jax.tree.flatten(arrays)

            def flat(kept: list[Array], donated: list[Array]) -> list[Array]:
                typed = map(with_key_type, [*kept, *donated], leaves)
                first, rest = eqx.combine(jax.tree.unflatten(structure, typed), static)
                result = eqx.filter(self._function(first, *rest), eqx.is_array)
                return [without_key_type(leaf) for leaf in jax.tree.leaves(result)]

            exported = jax.export.export(jax.jit(flat, **donate))(kept, donated)
            _write(path, bytes(exported.serialize()))
        return jax.jit(exported.call, **donate)


def _write(path: Path, data: bytes) -> None:
    """Best effort: the trace saves time and is never needed."""
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        oldest_first = sorted(path.parent.iterdir(), key=lambda file: file.stat().st_mtime)
        for file in oldest_first[: -MAX_FILES + 1]:
            file.unlink(missing_ok=True)
        write_atomic(path, data)
    except Exception:
        return


def _describe(tree: Any) -> str | None:
    """A tree of constants as text; None where it holds anything but plain data."""
    if tree is None or isinstance(tree, bool | int | float | str):
        return repr(tree)
    if isinstance(tree, tuple | list):
        fields: Any = dict(enumerate(tree))
    elif isinstance(tree, dict):
        fields = tree
    elif dataclasses.is_dataclass(tree):
        fields = {field.name: getattr(tree, field.name) for field in dataclasses.fields(tree)}
    else:
        return None
    kind = type(tree)
    if kind.__module__.partition(".")[0] not in ("builtins", "rtrrl", *_PACKAGES):
        return None
    parts = [(name, _describe(value)) for name, value in fields.items()]
    if any(part is None for _, part in parts):
        return None
    inside = ", ".join(f"{name}={part}" for name, part in parts)
    return f"{kind.__module__}.{kind.__qualname__}({inside})"


@functools.cache
def _context() -> str:
    """What every program depends on."""
    source = hashlib.sha256()
    for file in sorted(Path(__file__).parent.parent.rglob("*.py")):
        source.update(file.read_bytes())
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    settings = {name: getattr(jax.config, name, None) for name in _SETTINGS}
    return f"{source.hexdigest()} {versions} {settings} {jax.default_backend()}"


def _is_array_like(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | jax.ShapeDtypeStruct | np.ndarray)
