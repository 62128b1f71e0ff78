"""What only a process shows: exit codes, closed pipes, and that nothing is printed twice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import chainrule

SRC = Path(chainrule.__file__).parents[1]


def process(*words, **options):
    environment = os.environ | {"PYTHONPATH": str(SRC), "PYTHONUNBUFFERED": ""}
    command = [sys.executable, "-m", "chainrule", *map(str, words)]
    return subprocess.run(command, env=environment, stderr=subprocess.PIPE, encoding="utf-8", **options)


@pytest.mark.parametrize("command", ["formulas", "predict"])
def test_a_closed_pipe_ends_in_silence(iris_run, iris, tmp_path, command):
    read, write = os.pipe()
    os.close(read)
    iris.head(3).write_csv(tmp_path / "few.csv")  # so few that they are written at the end of the process
    data = [tmp_path / "few.csv"] if command == "predict" else []
    done = process(command, iris_run, *data, stdout=write)
    os.close(write)
    assert done.stderr == ""
    assert done.returncode == 1


def test_an_error_is_told_once_and_on_standard_error_alone(tmp_path):
    done = process("train", tmp_path / "none.csv", "--target", "y", stdout=subprocess.PIPE, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: there is no file {tmp_path / 'none.csv'}\n  given: ")
    assert done.stderr.count("there is no file") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_full_disk_is_told(iris_run):
    with open("/dev/full", "w") as full:
        done = process("formulas", iris_run, stdout=full)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
