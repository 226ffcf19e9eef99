"""The archive of sources that is uploaded to a package index."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_the_archive_of_sources_holds_the_package_and_no_tests(tmp_path):
    pytest.importorskip("setuptools")
    files = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "src/rtrrl/__init__.py")
    for name in (*files, "tests/helpers.py", "tests/test_packaging.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    build = "from setuptools import build_meta; build_meta.build_sdist('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True)
    (archive,) = (tmp_path / "dist").iterdir()
    with tarfile.open(archive) as file:
        names = [name.partition("/")[2] for name in file.getnames()]
    assert set(files) <= set(names)
    assert not [name for name in names if name.startswith("tests")]
