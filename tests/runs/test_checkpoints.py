"""Checkpoints: every bit comes back, and every change of the file is noticed."""

import json
import os
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.errors import RunFolderError
from rtrrl.runs import checkpoints
from rtrrl.utils.files import write_atomic


class State(eqx.Module):
    """Every kind of leaf."""

    weight: jax.Array
    flags: jax.Array
    counter: jax.Array
    key: jax.Array
    keys: jax.Array
    half: jax.Array
    empty: jax.Array
    table: np.ndarray
    steps: int
    rate: float
    learning: bool
    phase: complex
    activation: object


def state(scale=1.0) -> State:
    return State(
        weight=scale * jnp.arange(6.0).reshape(2, 3),
        flags=jnp.array([True, False]),
        counter=jnp.array(2**32 - 1, jnp.uint32),
        key=jax.random.key(3),
        keys=jax.random.split(jax.random.key(4, impl="rbg"), 3),
        half=jnp.array([1.5, -2.0], jnp.bfloat16),
        empty=jnp.zeros((0, 4)),
        table=np.array([1.0, 1e-300]),
        steps=2**40,
        rate=0.1,
        learning=True,
        phase=1 - 2j,
        activation=jnp.tanh,
    )


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "checkpoint.rtrrl"


@pytest.fixture
def saved(path) -> bytes:
    checkpoints.save(path, {"a": jnp.arange(3.0), "b": 5}, {"step": 10})
    return path.read_bytes()


LIKE = {"a": np.zeros(3, np.float32), "b": 0}


def bits(leaf) -> bytes:
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf).tobytes()


def rewrite(path: Path, **changes) -> None:
    """Change the header and its digest, as another version would have written them."""
    line, _, payload = path.read_bytes().partition(b"\n")
    header = json.loads(line) | changes
    header["sha256"] = checkpoints._digest(header, payload)
    path.write_bytes(checkpoints._line(header) + payload)


class TestBits:
    @pytest.mark.parametrize("from_shapes", [False, True])
    def test_every_kind_of_leaf_comes_back_the_same(self, path, from_shapes):
        tree, meta = state(), {"step": 3, "note": "ä\n", "nested": {"values": [0.1, None]}}
        checkpoints.save(path, tree, meta)
        like = eqx.filter_eval_shape(state) if from_shapes else state(scale=0.0)
        like = eqx.tree_at(lambda s: (s.steps, s.rate, s.table), like, (0, 0.0, np.zeros(2)))
        loaded, loaded_meta = checkpoints.load(path, like)

        assert loaded_meta == meta
        assert jax.tree.structure(loaded) == jax.tree.structure(tree)
        for old, new in zip(jax.tree.leaves(tree), jax.tree.leaves(loaded), strict=True):
            if callable(old):
                assert new is old
                continue
            assert bits(new) == bits(old)
            assert getattr(new, "dtype", type(new)) == getattr(old, "dtype", type(old))
            assert type(new) is type(old)

    def test_keys_keep_their_generator(self, path):
        checkpoints.save(path, state(), {})
        loaded, _ = checkpoints.load(path, state())
        assert str(jax.random.key_impl(loaded.keys)) == "rbg"
        np.testing.assert_array_equal(
            jax.random.normal(loaded.keys[1], (4,)), jax.random.normal(state().keys[1], (4,))
        )

    @pytest.mark.parametrize("on", [jnp.asarray, np.asarray])
    def test_nan_payloads_and_negative_zero_come_back(self, path, on):
        patterns = np.array([0x7FC00123, 0x7F800001, 0xFFC00000, 0x80000000, 1], np.uint32)
        checkpoints.save(path, on(patterns.view(np.float32)), {})
        loaded, _ = checkpoints.load(path, on(np.zeros(5, np.float32)))
        np.testing.assert_array_equal(np.asarray(loaded).view(np.uint32), patterns)

    def test_64_bits_come_back_where_jax_uses_32(self, path):
        with jax.enable_x64(True):
            tree = {"float": jnp.array(1 / 3), "int": jnp.array(2**53 + 1)}
        checkpoints.save(path, tree, {})
        loaded, _ = checkpoints.load(path, tree)
        assert loaded["float"].dtype == np.float64
        assert float(loaded["float"]) == 1 / 3
        assert int(loaded["int"]) == 2**53 + 1

    def test_a_loaded_numpy_array_is_writable(self, path):
        checkpoints.save(path, np.zeros(2), {})
        loaded, _ = checkpoints.load(path, np.ones(2))
        loaded[0] = 1.0

    def test_the_values_of_like_do_not_matter(self, path):
        checkpoints.save(path, jnp.ones(3), {})
        like = jnp.zeros(3)
        like.delete()
        assert checkpoints.load(path, like)[0].tolist() == [1.0, 1.0, 1.0]

    @pytest.mark.parametrize(
        "leaf",
        [np.array([object()]), np.array(["text"]), np.zeros(2, ">f4"), np.zeros(2, "f4,i4")],
        ids=["object", "text", "byte order", "record"],
    )
    def test_leaves_that_are_no_plain_numbers_are_refused(self, path, leaf):
        with pytest.raises(TypeError, match=r"leaf \['odd'\] has dtype"):
            checkpoints.save(path, {"odd": leaf}, {})
        assert not path.exists()


class TestDamage:
    # The last two keep the meaning in JSON: a tab for a space, and \u00E4 for \u00e4.
    @pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF, ord(" ") ^ ord("\t"), ord("e") ^ ord("E")])
    def test_every_changed_byte_is_noticed(self, path, flip):
        checkpoints.save(path, {"a": jnp.arange(3.0), "b": 5}, {"step": 10, "note": "ä"})
        content = path.read_bytes()
        for position in range(len(content)):
            altered = bytearray(content)
            altered[position] ^= flip
            path.write_bytes(altered)
            with pytest.raises(RunFolderError, match=r"checkpoint\.rtrrl (is|has|was)"):
                checkpoints.load(path, LIKE)

    def test_every_other_length_is_noticed(self, path, saved):
        for length in range(len(saved)):
            path.write_bytes(saved[:length])
            with pytest.raises(RunFolderError, match=r"is damaged: .*(truncated|ends after)"):
                checkpoints.read_meta(path)
        path.write_bytes(saved + b"\0")
        with pytest.raises(RunFolderError, match="SHA-256"):
            checkpoints.load(path, LIKE)

    def test_a_changed_payload_is_named(self, path, saved):
        path.write_bytes(saved[:-1] + bytes([saved[-1] ^ 0xFF]))
        with pytest.raises(RunFolderError, match="does not match its SHA-256 digest; restore"):
            checkpoints.load(path, LIKE)

    def test_changed_meta_is_noticed(self, path, saved):
        path.write_bytes(saved.replace(b'"step": 10', b'"step": 11'))
        with pytest.raises(RunFolderError, match="is damaged"):
            checkpoints.read_meta(path)

    @pytest.mark.parametrize("content", [b"PK\x03\x04 a zip", b"{}\n", b"\n"])
    def test_other_files_are_refused(self, path, content):
        path.write_bytes(content)
        with pytest.raises(RunFolderError, match="is not a checkpoint of rtrrl"):
            checkpoints.load(path, LIKE)

    def test_a_missing_file_is_refused(self, path):
        with pytest.raises(RunFolderError, match=r"cannot read checkpoint .*No such file"):
            checkpoints.load(path, LIKE)


class TestVersions:
    def test_another_format(self, path, saved):
        rewrite(path, **{"rtrrl-checkpoint": 1, "rtrrl": "0.1.3"})
        with pytest.raises(RunFolderError, match=r"format 1, expected format 2: .*\(0\.1\.3\)"):
            checkpoints.load(path, LIKE)

    def test_another_version_of_rtrrl(self, path, saved):
        rewrite(path, rtrrl="0.0.1")
        with pytest.raises(RunFolderError, match=r"was written by rtrrl 0\.0\.1, this is "):
            checkpoints.read_meta(path)

    def test_the_same_header_written_again_is_accepted(self, path, saved):
        rewrite(path)
        assert path.read_bytes() == saved
        assert checkpoints.read_meta(path) == {"step": 10}


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ({"a": np.zeros(4, np.float32), "b": 0}, r"\['a'\] is float32\[3\], expected float32\[4\]"),
        ({"a": np.zeros(3), "b": 0}, r"\['a'\] is float32\[3\], expected float64\[3\]"),
        ({"a": np.zeros(3, np.float32), "b": 0.0}, r"\['b'\] is Python int, expected Python float"),
        (
            {"a": np.zeros(3, np.float32)},
            r"has leaf \['b'\] \(Python int\), which was not expected",
        ),
        (LIKE | {"c": 1.0}, r"lacks leaf \['c'\], expected as Python float"),
        ({"a": np.zeros(3, np.float32), "z": 0}, r"has leaf \['b'\] where leaf \['z'\] was"),
        (
            {"a": jax.random.key(0), "b": 0},
            r"\['a'\] is float32\[3\], expected key<threefry2x32>\[\]",
        ),
    ],
)
def test_another_structure_is_refused_with_the_first_difference(path, saved, like, message):
    with pytest.raises(RunFolderError, match=f"does not fit: .*{message}"):
        checkpoints.load(path, like)


def test_keys_of_another_generator_are_refused(path):
    checkpoints.save(path, jax.random.key(0, impl="rbg"), {})
    with pytest.raises(RunFolderError, match=r"key<rbg>\[\], expected key<unsafe_rbg>\[\]"):
        checkpoints.load(path, jax.random.key(0, impl="unsafe_rbg"))


class TestAtomicity:
    @pytest.mark.parametrize("step", ["fsync", "replace"])
    def test_a_failed_write_leaves_the_old_file(self, path, saved, step, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, step, full)
        with pytest.raises(RunFolderError, match=r"cannot write .*No space left on device; free"):
            checkpoints.save(path, {"a": jnp.zeros(3), "b": 6}, {"step": 20})
        assert path.read_bytes() == saved
        assert os.listdir(path.parent) == [path.name]

    def test_an_interrupt_leaves_the_old_file(self, path, saved, monkeypatch):
        def interrupt(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            checkpoints.save(path, LIKE, {})
        assert path.read_bytes() == saved
        assert os.listdir(path.parent) == [path.name]

    def test_the_new_bytes_are_on_disk_before_the_file_is_renamed(self, path, saved, monkeypatch):
        events, replace, fsync = [], os.replace, os.fsync
        monkeypatch.setattr(os, "fsync", lambda fd: (events.append("fsync"), fsync(fd)))
        monkeypatch.setattr(
            os,
            "replace",
            lambda new, old: (events.append(Path(new).read_bytes()), replace(new, old)),
        )
        write_atomic(path, b"new")
        assert events == ["fsync", b"new", "fsync"]
        assert path.read_bytes() == b"new"

    def test_a_missing_folder_is_refused(self, tmp_path):
        with pytest.raises(RunFolderError, match=r"cannot write .*No such file"):
            write_atomic(tmp_path / "missing" / "file", b"")

    def test_permissions_follow_the_umask(self, path):
        old = os.umask(0o022)
        try:
            write_atomic(path, b"")
        finally:
            os.umask(old)
        assert path.stat().st_mode & 0o777 == 0o644
