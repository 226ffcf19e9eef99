"""A checkpoint: a tree of arrays in one file, restored bit for bit or refused.

The first line is a JSON header: format, version of rtrrl, digest, the caller's `meta`, and path,
dtype and shape of every leaf. The rest is what `equinox.tree_serialise_leaves` writes: each leaf
as NumPy's .npy. No pickle is involved, so that reading a file executes nothing.
The digest covers header and payload.
"""

import hashlib
import importlib.metadata
import io
import json
from itertools import zip_longest
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rtrrl.errors import RunFolderError
from rtrrl.types import PyTree
from rtrrl.utils.files import write_atomic
from rtrrl.utils.prng import is_key, key_implementation, with_key_type, without_key_type

_FORMAT = 2
_MAGIC = b'{"rtrrl-checkpoint": '


def save(path: str | Path, tree: PyTree, meta: dict) -> None:
    """Write `tree` and `meta` (whatever JSON can hold) to `path`, atomically.

    Arrays of JAX and NumPy, typed PRNG keys and Python's numbers are saved; any other leaf (a
    function, a string) belongs to the code and comes from `like` in `load`.

    **Raises** `RunFolderError` where the file cannot be written, and `TypeError` at a leaf that is
    not plain numbers (an array of objects).

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/checkpoint.rtrrl"
    >>> save(path, {"weight": np.arange(3.0), "step": 7}, {"note": "hello"})
    >>> load(path, like={"weight": np.zeros(3), "step": 0})
    ({'step': 7, 'weight': array([0., 1., 2.])}, {'note': 'hello'})
    """
    leaves, buffer = _leaves(tree), io.BytesIO()
    with jax.enable_x64(True):  # or 64-bit leaves would be rounded where x64 is off
        eqx.tree_serialise_leaves(buffer, jax.tree.map(without_key_type, tree))
    payload = buffer.getvalue()
    header = {
        "rtrrl-checkpoint": _FORMAT,
        "rtrrl": importlib.metadata.version("rtrrl"),
        "sha256": "",
        "bytes": len(payload),
        "meta": meta,
        "leaves": leaves,
    }
    header["sha256"] = _digest(header, payload)
    write_atomic(path, _line(header) + payload)


def load(path: str | Path, like: PyTree) -> tuple[PyTree, dict]:
    """Read the tree saved at `path` into the structure of `like`, and the `meta` beside it.

    `like` gives structure, shapes and dtypes; its values are not read, so the outcome of
    `equinox.filter_eval_shape` does as well. JAX arrays arrive on the default device.

    **Raises** `RunFolderError` where the file is missing, not a checkpoint, truncated, altered, of
    another format or another version of rtrrl, or does not fit `like`.
    """
    header, payload = _read(Path(path))
    if mismatch := _difference(header["leaves"], _leaves(like)):
        raise RunFolderError(
            f"{path} does not fit: {mismatch}; load it with the settings, and the version of "
            f"rtrrl, that it was written with"
        )
    with jax.enable_x64(True):
        like_numbers = jax.tree.map(without_key_type, like)
        tree = eqx.tree_deserialise_leaves(io.BytesIO(payload), like_numbers)
    return jax.tree.map(with_key_type, tree, like), header["meta"]


def read_meta(path: str | Path) -> dict:
    """The `meta` saved at `path`, after every check of `load` that needs no `like`."""
    return _read(Path(path))[0]["meta"]


def _leaves(tree: PyTree) -> list[list[str]]:
    """Path and kind of every leaf."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = [(jax.tree_util.keystr(path) or "(root)", leaf) for path, leaf in leaves]
    return [[path, _kind(path, leaf)] for path, leaf in named]


def _kind(path: str, leaf: Any) -> str:
    """Dtype and shape of an array, else the type.

    **Raises** `TypeError` where the dtype's name does not say all: objects, records or foreign byte
    order.
    """
    if isinstance(leaf, bool | int | float | complex) and not isinstance(leaf, np.generic):
        return f"Python {type(leaf).__name__}"
    if not isinstance(leaf, jax.Array | jax.ShapeDtypeStruct | np.ndarray | np.generic):
        return type(leaf).__qualname__
    shape = ",".join(map(str, leaf.shape))
    if is_key(leaf):
        return f"key<{key_implementation(leaf)}>[{shape}]"
    try:
        plain = not leaf.dtype.hasobject and jnp.dtype(leaf.dtype.name) == leaf.dtype
    except TypeError:
        plain = False
    if not plain:
        raise TypeError(
            f"leaf {path} has dtype {leaf.dtype!r}, which a checkpoint cannot hold: use booleans "
            "or numbers in native byte order"
        )
    return f"{leaf.dtype.name}[{shape}]"


def difference(tree: PyTree, like: PyTree) -> str:
    """The first difference of a tree from the structure, shapes and dtypes of `like`, or ""."""
    return _difference(_leaves(tree), _leaves(like))


def _difference(saved: list[list[str]], wanted: list[list[str]]) -> str:
    for found, expected in zip_longest(saved, wanted):
        if found == expected:
            continue
        if found is None:
            return f"it lacks leaf {expected[0]}, expected as {expected[1]}"
        if expected is None:
            return f"it has leaf {found[0]} ({found[1]}), which was not expected"
        if found[0] == expected[0]:
            return f"leaf {expected[0]} is {found[1]}, expected {expected[1]}"
        return f"it has leaf {found[0]} where leaf {expected[0]} was expected"
    return ""


def _line(header: dict) -> bytes:
    return json.dumps(header, allow_nan=False).encode() + b"\n"


def _digest(header: dict, payload: bytes) -> str:
    digest = hashlib.sha256(_line(header | {"sha256": ""}))
    digest.update(payload)
    return digest.hexdigest()


def _read(path: Path) -> tuple[dict, bytes]:
    """Header and payload, after all checks that need no `like`."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise RunFolderError(
            f"cannot read checkpoint {path}: {error.strerror}; check the path"
        ) from error
    if not raw.startswith(_MAGIC[: len(raw)]):
        raise RunFolderError(
            f"{path} is not a checkpoint of rtrrl: give the file that `rtrrl train` wrote"
        )
    line, newline, payload = raw.partition(b"\n")
    if not newline:
        raise _damaged(path, f"it ends after {len(raw)} bytes, inside the header")
    try:
        header = json.loads(line, parse_constant=str)  # NaN is not JSON: it does not come back
    except ValueError as error:
        raise _damaged(path, "its header cannot be parsed") from error
    if header["rtrrl-checkpoint"] != _FORMAT:
        raise RunFolderError(
            f"{path} has format {header['rtrrl-checkpoint']!r}, expected format {_FORMAT}: use the "
            f"version of rtrrl that wrote it ({header.get('rtrrl', 'unknown')})"
        )
    _check_intact(path, line + newline, header, payload)
    here = importlib.metadata.version("rtrrl")
    if header["rtrrl"] != here:
        raise RunFolderError(
            f"{path} was written by rtrrl {header['rtrrl']}, this is {here}: a resumed run would "
            f"not be the same; install rtrrl {header['rtrrl']}, or train anew"
        )
    return header, payload


def _check_intact(path: Path, line: bytes, header: dict, payload: bytes) -> None:
    # Writing the parsed header again must give the same bytes: the digest is over what was parsed.
    if _line(header) != line:
        raise _damaged(path, "its header was altered")
    expected = header.get("bytes")
    if isinstance(expected, int) and len(payload) < expected:
        raise _damaged(path, f"it is truncated to {len(payload)} of {expected} bytes of payload")
    if header.get("sha256") != _digest(header, payload):
        raise _damaged(path, "its content does not match its SHA-256 digest")


def _damaged(path: Path, what: str) -> RunFolderError:
    return RunFolderError(
        f"{path} is damaged: {what}; restore it from a copy, or train anew in another folder"
    )
