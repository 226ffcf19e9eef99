"""One writer for each folder of a run."""

import signal
import subprocess
import sys
import threading

import pytest

from rtrrl.errors import RunFolderError
from rtrrl.runs.locking import LOCK, hold, make_folder, numbered_folder

HOLDER = """
import sys, time
from rtrrl.runs.locking import hold
with hold(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_that_another_process_holds_is_refused_until_that_is_killed(tmp_path):
    folder = make_folder(tmp_path / "run")
    child = subprocess.Popen([sys.executable, "-c", HOLDER, folder], stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(RunFolderError, match="is in use: another run"), hold(folder):
            pass
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    assert (folder / LOCK).exists(), "left behind"
    with hold(folder) as held:
        assert held == folder


def test_a_folder_that_this_process_holds_is_refused_in_every_thread(tmp_path):
    refused = []

    def second():
        try:
            with hold(tmp_path):
                pass
        except RunFolderError as error:
            refused.append(error)

    with hold(tmp_path):
        second()
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert len(refused) == 2
    with hold(make_folder(tmp_path)):
        pass


def test_a_folder_that_stays_empty_is_removed_and_any_other_is_kept(tmp_path):
    for name in ("empty", "full"):
        with hold(make_folder(tmp_path / name)) as folder:
            if name == "full":
                (folder / "config.json").write_text("{}")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
    with hold(None) as none:
        assert none is None


def test_numbered_folders_are_never_given_twice(tmp_path):
    folders, stem = [], tmp_path / "runs" / "task"
    threads = [threading.Thread(target=lambda: folders.append(numbered_folder(stem)))] * 1
    threads += [threading.Thread(target=lambda: folders.append(numbered_folder(stem)))] * 1
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(folder.name for folder in folders) == ["task-1", "task-2"]
    assert numbered_folder(stem).name == "task-3"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    for make in (make_folder, numbered_folder):
        with pytest.raises(RunFolderError, match="cannot make a run in"):
            make(tmp_path / "file" / "run")
