"""A checkpoint: one file that gives a tree of arrays back bit for bit, or refuses.

The first line is a JSON header: format, version of rtrrl, digest, the caller's `meta`, and path,
dtype and shape of every leaf. The rest is the leaves' raw bytes, one after the other. No pickle is
involved, so reading a stranger's file runs no code. The digest covers header and payload.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rtrrl.errors import RunFolderError
from rtrrl.types import PyTree
from rtrrl.utils.files import write_atomic
from rtrrl.utils.prng import key_implementation

_FORMAT = 1
_MAGIC = b'{"rtrrl-checkpoint": '
_PYTHON_SCALARS = {bool: np.bool_, int: np.int64, float: np.float64, complex: np.complex128}


def save(path: str | Path, tree: PyTree, meta: dict) -> None:
    """Write `tree` and `meta` (whatever JSON can hold) to `path`, atomically.

    Saved are arrays of JAX and NumPy, typed PRNG keys, and Python's numbers; any other leaf (a
    function, a string) belongs to the code and comes from `like` in `load`.

    **Raises** `RunFolderError` where the file cannot be written, and `TypeError` at a leaf that has
    no plain bytes (an array of objects).

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/checkpoint.rtrrl"
    >>> save(path, {"weight": np.arange(3.0), "step": 7}, {"note": "hello"})
    >>> load(path, like={"weight": np.zeros(3), "step": 0})
    ({'step': 7, 'weight': array([0., 1., 2.])}, {'note': 'hello'})
    """
    codecs = _codecs(tree)
    payload = b"".join(codec.encode(codec.leaf) for codec in codecs)
    header = {
        "rtrrl-checkpoint": _FORMAT,
        "rtrrl": importlib.metadata.version("rtrrl"),
        "sha256": "",
        "bytes": len(payload),
        "meta": meta,
        "leaves": _fingerprint(codecs),
    }
    header["sha256"] = _digest(header, payload)
    write_atomic(path, _line(header) + payload)


def load(path: str | Path, like: PyTree) -> tuple[PyTree, dict]:
    """Read the tree saved at `path` into the structure of `like`, and the `meta` beside it.

    `like` gives structure, shapes and dtypes; its values are not read, so the outcome of
    `equinox.filter_eval_shape` does as well. JAX arrays arrive on the default device.

    **Raises** `RunFolderError` where the file is missing, foreign, truncated, altered, of another
    format or another version of rtrrl, or does not fit `like`.
    """
    header, payload = _read(Path(path))
    codecs = _codecs(like)
    _check_fit(Path(path), header["leaves"], _fingerprint(codecs))
    leaves, offset = [], 0
    for codec in codecs:
        leaves.append(codec.decode(payload[offset : offset + codec.size]))
        offset += codec.size
    return jax.tree.unflatten(jax.tree.structure(like), leaves), header["meta"]


def read_meta(path: str | Path) -> dict:
    """The `meta` saved at `path`, after every check of `load` that needs no `like`."""
    return _read(Path(path))[0]["meta"]


class _Codec(NamedTuple):
    """How one leaf becomes bytes and comes back."""

    path: str
    leaf: Any
    kind: str
    size: int
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


def _codecs(tree: PyTree) -> list[_Codec]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [_codec(jax.tree_util.keystr(path) or "(root)", leaf) for path, leaf in leaves]


def _codec(path: str, leaf: Any) -> _Codec:
    scalar = _PYTHON_SCALARS.get(type(leaf))
    if scalar is not None:
        dtype = np.dtype(scalar)
        return _Codec(
            path,
            leaf,
            f"Python {type(leaf).__name__}",
            dtype.itemsize,
            lambda value: np.asarray(value, dtype).tobytes(),
            lambda data: np.frombuffer(data, dtype)[0].item(),
        )
    if not isinstance(leaf, jax.Array | jax.ShapeDtypeStruct | np.ndarray | np.generic):
        return _Codec(path, leaf, type(leaf).__qualname__, 0, lambda _: b"", lambda _: leaf)
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return _key_codec(path, leaf)
    return _array_codec(path, leaf)


def _array_codec(path: str, leaf: Any) -> _Codec:
    dtype, shape = _plain_dtype(path, leaf), leaf.shape

    def decode(data: bytes) -> Any:
        array = np.frombuffer(data, dtype).reshape(shape)
        if isinstance(leaf, np.ndarray):
            return array.copy()  # a buffer of bytes is read-only
        if isinstance(leaf, np.generic):
            return array[()]
        with jax.enable_x64(True):  # or 64-bit leaves would be rounded where x64 is off
            return jnp.array(array)

    return _Codec(
        path,
        leaf,
        f"{dtype.name}[{','.join(map(str, shape))}]",
        dtype.itemsize * int(np.prod(shape)),
        lambda value: np.asarray(value).tobytes(),
        decode,
    )


def _key_codec(path: str, leaf: Any) -> _Codec:
    data = _array_codec(path, jax.eval_shape(jax.random.key_data, leaf))
    implementation = key_implementation(leaf)
    return _Codec(
        path,
        leaf,
        f"key<{implementation}>[{','.join(map(str, leaf.shape))}]",
        data.size,
        lambda key: data.encode(jax.random.key_data(key)),
        lambda raw: jax.random.wrap_key_data(data.decode(raw), impl=implementation),
    )


def _plain_dtype(path: str, leaf: Any) -> np.dtype:
    """The dtype, if its name says all about it: no objects, records or foreign byte order."""
    try:
        plain = not leaf.dtype.hasobject and jnp.dtype(leaf.dtype.name) == leaf.dtype
    except TypeError:
        plain = False
    if not plain:
        raise TypeError(
            f"leaf {path} has dtype {leaf.dtype!r}, which a checkpoint cannot hold: use booleans "
            "or numbers in native byte order"
        )
    return np.dtype(leaf.dtype)


def _fingerprint(codecs: list[_Codec]) -> list[list[str]]:
    return [[codec.path, codec.kind] for codec in codecs]


def _check_fit(path: Path, saved: list[list[str]], wanted: list[list[str]]) -> None:
    for theirs, ours in zip_longest(saved, wanted):
        if theirs == ours:
            continue
        if theirs is None:
            difference = f"it lacks leaf {ours[0]}, expected as {ours[1]}"
        elif ours is None:
            difference = f"it has leaf {theirs[0]} ({theirs[1]}), which was not expected"
        elif theirs[0] == ours[0]:
            difference = f"leaf {ours[0]} is {theirs[1]} in the file, expected {ours[1]}"
        else:
            difference = f"it has leaf {theirs[0]} where leaf {ours[0]} was expected"
        raise RunFolderError(
            f"{path} does not fit: {difference}; load it with the settings, and the version of "
            f"rtrrl, that it was written with"
        )


def _line(header: dict) -> bytes:
    return json.dumps(header).encode() + b"\n"


def _digest(header: dict, payload: bytes) -> str:
    digest = hashlib.sha256(_line(header | {"sha256": ""}))
    digest.update(payload)
    return digest.hexdigest()


def _read(path: Path) -> tuple[dict, bytes]:
    """Header and payload, checked in the order in which the checks begin to make sense."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise RunFolderError(
            f"cannot read checkpoint {path}: {error.strerror}; check the path"
        ) from error
    if not raw.startswith(_MAGIC[: len(raw)]):
        raise RunFolderError(
            f"{path} is no checkpoint of rtrrl: its first bytes are foreign; give the file that "
            "`rtrrl train` wrote"
        )
    line, newline, payload = raw.partition(b"\n")
    if not newline:
        raise _damaged(path, f"it ends after {len(raw)} bytes, inside the header")
    try:
        header = json.loads(line)
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
