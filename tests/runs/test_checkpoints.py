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


class Agent(eqx.Module):
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


def agent(scale=1.0) -> Agent:
    return Agent(
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
    """Change the header and sign it anew, as another program or version would have."""
    line, _, payload = path.read_bytes().partition(b"\n")
    header = json.loads(line) | changes
    header["sha256"] = checkpoints._digest(header, payload)
    path.write_bytes(checkpoints._line(header) + payload)


class TestBits:
    @pytest.mark.parametrize("by_shape_alone", [False, True])
    def test_every_kind_of_leaf_returns_as_it_was(self, path, by_shape_alone):
        tree, meta = agent(), {"step": 3, "note": "ä\n", "nested": {"values": [0.1, None]}}
        checkpoints.save(path, tree, meta)
        like = eqx.filter_eval_shape(agent) if by_shape_alone else agent(scale=0.0)
        like = eqx.tree_at(lambda a: (a.steps, a.rate, a.table), like, (0, 0.0, np.zeros(2)))
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
        checkpoints.save(path, agent(), {})
        loaded, _ = checkpoints.load(path, agent())
        assert str(jax.random.key_impl(loaded.keys)) == "rbg"
        np.testing.assert_array_equal(
            jax.random.normal(loaded.keys[1], (4,)), jax.random.normal(agent().keys[1], (4,))
        )

    @pytest.mark.parametrize("on", [jnp.asarray, np.asarray])
    def test_nan_payloads_and_negative_zero(self, path, on):
        patterns = np.array([0x7FC00123, 0x7F800001, 0xFFC00000, 0x80000000, 1], np.uint32)
        checkpoints.save(path, on(patterns.view(np.float32)), {})
        loaded, _ = checkpoints.load(path, on(np.zeros(5, np.float32)))
        np.testing.assert_array_equal(np.asarray(loaded).view(np.uint32), patterns)

    def test_64_bits_survive_where_jax_runs_in_32(self, path):
        with jax.enable_x64(True):
            tree = {"float": jnp.array(1 / 3), "int": jnp.array(2**53 + 1)}
        checkpoints.save(path, tree, {})
        loaded, _ = checkpoints.load(path, tree)
        assert loaded["float"].dtype == np.float64
        assert float(loaded["float"]) == 1 / 3
        assert int(loaded["int"]) == 2**53 + 1

    def test_a_numpy_array_can_be_written_to(self, path):
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
    def test_what_is_no_plain_number_is_not_saved(self, path, leaf):
        with pytest.raises(TypeError, match=r"leaf \['odd'\] has dtype"):
            checkpoints.save(path, {"odd": leaf}, {})
        assert not path.exists()


class TestDamage:
    # The last two keep JSON's meaning: a tab for a space, and \u00E4 for \u00e4.
    @pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF, ord(" ") ^ ord("\t"), ord("e") ^ ord("E")])
    def test_no_byte_can_change_unseen(self, path, flip):
        checkpoints.save(path, {"a": jnp.arange(3.0), "b": 5}, {"step": 10, "note": "ä"})
        content = path.read_bytes()
        for position in range(len(content)):
            altered = bytearray(content)
            altered[position] ^= flip
            path.write_bytes(altered)
            with pytest.raises(RunFolderError, match=r"checkpoint\.rtrrl (is|has|was)"):
                checkpoints.load(path, LIKE)

    def test_no_length_but_the_whole_is_accepted(self, path, saved):
        for length in range(len(saved)):
            path.write_bytes(saved[:length])
            with pytest.raises(RunFolderError, match=r"is damaged: .*(truncated|ends after)"):
                checkpoints.read_meta(path)
        path.write_bytes(saved + b"\0")
        with pytest.raises(RunFolderError, match="SHA-256"):
            checkpoints.load(path, LIKE)

    def test_a_payload_byte_is_named_as_such(self, path, saved):
        path.write_bytes(saved[:-1] + bytes([saved[-1] ^ 0xFF]))
        with pytest.raises(RunFolderError, match="does not match its SHA-256 digest; restore"):
            checkpoints.load(path, LIKE)

    def test_meta_is_guarded_too(self, path, saved):
        path.write_bytes(saved.replace(b'"step": 10', b'"step": 11'))
        with pytest.raises(RunFolderError, match="is damaged"):
            checkpoints.read_meta(path)

    @pytest.mark.parametrize("content", [b"PK\x03\x04 a zip", b"{}\n", b"\n"])
    def test_foreign(self, path, content):
        path.write_bytes(content)
        with pytest.raises(RunFolderError, match="is no checkpoint of rtrrl"):
            checkpoints.load(path, LIKE)

    def test_missing(self, path):
        with pytest.raises(RunFolderError, match=r"cannot read checkpoint .*No such file"):
            checkpoints.load(path, LIKE)


class TestVersions:
    def test_another_format(self, path, saved):
        rewrite(path, **{"rtrrl-checkpoint": 2, "rtrrl": "9.9"})
        with pytest.raises(RunFolderError, match=r"format 2, expected format 1: .*\(9\.9\)"):
            checkpoints.load(path, LIKE)

    def test_another_version_of_rtrrl(self, path, saved):
        rewrite(path, rtrrl="0.0.1")
        with pytest.raises(RunFolderError, match=r"was written by rtrrl 0\.0\.1, this is "):
            checkpoints.read_meta(path)

    def test_rewriting_alone_is_no_reason(self, path, saved):
        rewrite(path)
        assert path.read_bytes() == saved
        assert checkpoints.read_meta(path) == {"step": 10}


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ({"a": np.zeros(4, np.float32), "b": 0}, r"\['a'\] is float32\[3\] .* float32\[4\]"),
        ({"a": np.zeros(3), "b": 0}, r"\['a'\] is float32\[3\] in the file, expected float64\[3\]"),
        ({"a": np.zeros(3, np.float32), "b": 0.0}, r"\['b'\] is Python int .* Python float"),
        (
            {"a": np.zeros(3, np.float32)},
            r"has leaf \['b'\] \(Python int\), which was not expected",
        ),
        (LIKE | {"c": 1.0}, r"lacks leaf \['c'\], expected as Python float"),
        ({"a": np.zeros(3, np.float32), "z": 0}, r"has leaf \['b'\] where leaf \['z'\] was"),
        ({"a": jax.random.key(0), "b": 0}, r"\['a'\] is float32\[3\] .* key<threefry2x32>\[\]"),
    ],
)
def test_another_shape_is_refused_at_its_first_leaf(path, saved, like, message):
    with pytest.raises(RunFolderError, match=f"does not fit: .*{message}"):
        checkpoints.load(path, like)


def test_keys_of_another_generator_are_refused(path):
    checkpoints.save(path, jax.random.key(0, impl="rbg"), {})
    with pytest.raises(RunFolderError, match=r"\(root\) is key<rbg>\[\] .* key<unsafe_rbg>\[\]"):
        checkpoints.load(path, jax.random.key(0, impl="unsafe_rbg"))


class TestAtomicity:
    @pytest.mark.parametrize("step", ["fsync", "replace"])
    def test_a_failed_write_leaves_the_old_file_alone(self, path, saved, step, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, step, full)
        with pytest.raises(RunFolderError, match=r"cannot write .*No space left on device; free"):
            checkpoints.save(path, {"a": jnp.zeros(3), "b": 6}, {"step": 20})
        assert path.read_bytes() == saved
        assert os.listdir(path.parent) == [path.name]

    def test_an_interrupt_leaves_the_old_file_alone(self, path, saved, monkeypatch):
        def interrupt(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            checkpoints.save(path, LIKE, {})
        assert path.read_bytes() == saved
        assert os.listdir(path.parent) == [path.name]

    def test_the_new_bytes_are_on_disk_before_they_get_the_name(self, path, saved, monkeypatch):
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

    def test_missing_folder(self, tmp_path):
        with pytest.raises(RunFolderError, match=r"cannot write .*No such file"):
            write_atomic(tmp_path / "missing" / "file", b"")

    def test_others_may_read_what_the_umask_lets_them(self, path):
        old = os.umask(0o022)
        try:
            write_atomic(path, b"")
        finally:
            os.umask(old)
        assert path.stat().st_mode & 0o777 == 0o644
