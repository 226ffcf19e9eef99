"""Processes that were forked."""

import subprocess
import sys

import pytest

CHILD = """
import concurrent.futures, multiprocessing, sys
import jax, rtrrl

def use(name):
    arguments = {
        "train": ("TMaze-3",),
        "make_agent": ("default", "TMaze-3"),
        "make": ("TMaze-3",),
        "certify": ("gru", "rtrl"),
        "load": ("runs/none",),
        "resume": ("runs/none",),
    }
    try:
        getattr(rtrrl, name)(*arguments[name])
    except rtrrl.errors.RtrrlError as error:
        return str(error)
    return "worked"

if __name__ == "__main__":
    import rtrrl.errors
    if sys.argv[2] == "used":
        jax.numpy.zeros(3)
    context = multiprocessing.get_context(sys.argv[1])
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        print(*pool.map(use, sys.argv[3:]), sep="\\n")
"""

ALL = ("train", "make_agent", "make", "certify", "load", "resume")


def run_child(folder, *arguments):
    """What the functions of rtrrl say in a process that a script has started."""
    (folder / "script.py").write_text(CHILD)
    command = [sys.executable, "script.py", *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout.splitlines()


@pytest.mark.skipif(sys.platform == "win32", reason="no forks")
def test_a_process_forked_from_one_that_used_jax_is_told_to_spawn(tmp_path):
    for said in run_child(tmp_path, "fork", "used", *ALL):
        assert said.startswith("this process was forked from one that had used JAX")
        assert 'multiprocessing.get_context("spawn")' in said


@pytest.mark.skipif(sys.platform == "win32", reason="no forks")
@pytest.mark.parametrize(("context", "before"), [("fork", "unused"), ("spawn", "used")])
def test_other_processes_work(tmp_path, context, before):
    assert run_child(tmp_path, context, before, "make", "make_agent") == ["worked", "worked"]
