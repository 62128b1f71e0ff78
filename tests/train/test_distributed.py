"""Several processes on the loopback address train as one does; one that dies ends the others, which say so."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigurationError

SECONDS = 240
"""After so long a process hangs; a machine that does other things besides needs a minute."""

TRAIN = """
import json, os, signal, sys
import numpy as np
import chainrule as cr
from chainrule.errors import ConfigurationError, RunError

mode, folder, *who = sys.argv[1:]
if mode == "slurm":
    cr.distributed()
elif who:
    cr.distributed(who[0], int(who[1]), int(who[2]))
rng = np.random.default_rng(0)
Y = rng.integers(0, 3, 52)
X = rng.normal(size=(52, 5)) + Y[:, None]
network = cr.Sequential(cr.Dense(8, "tanh"), cr.Dropout(0.3), cr.Dense(3, "softmax"))

def watch_over(run):
    # what one of two processes does after its third epoch
    if mode == "die first" and who[2:] == ["0"] and run.history.epochs == 3:
        os._exit(9)
    if run.history.epochs == 3 and who[2:] == ["1"]:
        if mode == "die":
            os._exit(9)
        if mode == "ctrl-c":
            os.kill(os.getpid(), signal.SIGINT)
        return mode == "call off"

class Thrown:
    def begin(self, run):
        # as a second Ctrl-C is, in one of two processes
        if mode == "thrown" and who[2:] == ["1"]:
            raise KeyboardInterrupt
    def __call__(self, run):
        pass

first = who[2:] != ["1"]
if mode == "other data" and not first:
    X = X[:, ::-1] + 0
if mode == "other network" and not first:
    network = cr.Sequential(cr.Dense(9, "tanh"), cr.Dropout(0.3), cr.Dense(3, "softmax"))
others = {"other seed": {"seed": 1}, "other rate": {"learning_rate": 0.1}}
other = {} if first else others.get(mode, {})
try:
    kept = {"checkpoints": cr.Checkpoints(folder, every_steps=2)} if mode not in ("slurm", "whole") else {}
    if mode == "resume":
        run = cr.resume(folder, X, Y, epochs=6)
    else:
        run = cr.fit(network, X, Y, epochs=3 if mode in ("train", "slurm") else 6, batch_size=16, dtype="float64",
                     validation_split=0.25, callbacks=[watch_over, Thrown()], watch={"gradients": ["max"]},
                     **kept, **other)
except (RunError, ConfigurationError) as error:
    sys.exit(f"ended: {error}")
run.save(folder)
print(json.dumps({"loss": run.history["validation_loss"].tolist(), "stopped": run.history.stopped}))
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(*arguments, **environment):
    """A process with one device that runs the training above."""
    variables = os.environ | {"JAX_NUM_CPU_DEVICES": "1"} | environment
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=variables,
    )


def finish(*running):
    """What each printed, and how it ended."""
    try:
        ends = [p.communicate(timeout=SECONDS) for p in running]
    finally:
        for p in running:
            p.kill()
    return [(p.returncode, out, err) for p, (out, err) in zip(running, ends, strict=True)]


def data():
    """What the training above is on."""
    rng = np.random.default_rng(0)
    Y = rng.integers(0, 3, 52)
    return rng.normal(size=(52, 5)) + Y[:, None], Y


def losses(out):
    return json.loads(out.splitlines()[-1])["loss"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone") / "run"
    ((code, out, err),) = finish(start("train", folder))
    assert code == 0, err
    return losses(out), cr.load(folder)


def same_as_alone(ended, folder, alone):
    for code, out, err in ended:
        assert code == 0, err
        np.testing.assert_allclose(losses(out), alone[0], rtol=1e-10)
    run = cr.load(folder)
    for name, value in alone[1].parameters.items():
        np.testing.assert_allclose(run.parameters[name], value, rtol=1e-8, atol=1e-12, err_msg=name)


def test_two_processes_train_as_one_does(tmp_path, alone):
    address = f"127.0.0.1:{free_port()}"
    running = [start("train", tmp_path / f"run {k}", address, 2, k) for k in range(2)]
    same_as_alone(finish(*running), tmp_path / "run 0", alone)
    assert not (tmp_path / "run 1").exists(), "the first alone writes"


def test_two_processes_of_two_devices_each(tmp_path, alone):
    address = f"127.0.0.1:{free_port()}"
    running = [start("train", tmp_path / f"run {k}", address, 2, k, JAX_NUM_CPU_DEVICES="2") for k in range(2)]
    same_as_alone(finish(*running), tmp_path / "run 0", alone)


def test_what_slurm_says_is_enough(tmp_path, alone):
    job = {
        "SLURM_JOB_ID": str(40_000 + free_port() % 4096),  # the port is made of it
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": "2",
    }
    running = [
        start("slurm", tmp_path / f"run {k}", **job | {"SLURM_PROCID": str(k), "SLURM_LOCALID": str(k)})
        for k in range(2)
    ]
    same_as_alone(finish(*running), tmp_path / "run 0", alone)


def test_a_process_that_dies_ends_the_other_and_one_alone_goes_on(tmp_path):
    address = f"127.0.0.1:{free_port()}"
    survivor, dead = finish(*(start("die", tmp_path / "run", address, 2, k) for k in range(2)))
    assert dead[0] == 9
    assert survivor[0] == 1, survivor[2]
    assert "ended: another process of this training has ended" in survivor[2]
    assert "process 0 of 2" in survivor[2]
    assert "--resume" in survivor[2]
    (gone_on,) = finish(start("resume", tmp_path / "run"))
    (whole,) = finish(start("whole", tmp_path / "whole"))
    assert (gone_on[0], whole[0]) == (0, 0), gone_on[2] + whole[2]
    np.testing.assert_allclose(losses(gone_on[1]), losses(whole[1]), rtol=1e-10)
    ours, theirs = cr.load(tmp_path / "run"), cr.load(tmp_path / "whole")
    for name, value in theirs.parameters.items():
        np.testing.assert_allclose(ours.parameters[name], value, rtol=1e-8, atol=1e-12, err_msg=name)


def test_where_process_0_dies_the_other_says_so(tmp_path):
    """JAX aborts it from within as well, a moment later."""
    address = f"127.0.0.1:{free_port()}"
    dead, survivor = finish(*(start("die first", tmp_path / "run", address, 2, k) for k in range(2)))
    assert dead[0] == 9
    assert survivor[0] == 1, survivor[2]
    assert "process 0 of this training has ended" in survivor[2] or "another process of this tr" in survivor[2]
    assert "--resume" in survivor[2]


@pytest.mark.parametrize(("mode", "word"), [("ctrl-c", "interrupted after epoch 3"), ("call off", "by a callback")])
def test_what_ends_one_process_ends_all_at_the_same_step(mode, word, tmp_path, alone):
    address = f"127.0.0.1:{free_port()}"
    ended = finish(*(start(mode, tmp_path / "run", address, 2, k) for k in range(2)))
    for code, out, err in ended:
        assert code == 0, err
        told = json.loads(out.splitlines()[-1])
        assert word in told["stopped"]
        np.testing.assert_allclose(told["loss"], alone[0], rtol=1e-10)
    if mode == "ctrl-c":
        (gone_on,), (whole,) = finish(start("resume", tmp_path / "run")), finish(start("whole", tmp_path / "whole"))
        np.testing.assert_allclose(losses(gone_on[1]), losses(whole[1]), rtol=1e-10)


def test_a_second_ctrl_c_ends_a_process_at_once(tmp_path):
    """It does not wait, to leave, for the others, which are waiting for it."""
    address = f"127.0.0.1:{free_port()}"
    other, interrupted = finish(*(start("thrown", tmp_path / "run", address, 2, k) for k in range(2)))
    assert interrupted[0] == 130, interrupted[2]
    assert "KeyboardInterrupt" in interrupted[2]
    assert other[0] == 1, other[2]
    assert "ended: another process of this training has ended" in other[2]


def test_one_process_goes_back_to_the_steps_that_two_have_made(tmp_path):
    """With a device in place of each, so that additions are made in the same order: bit for bit."""
    address = f"127.0.0.1:{free_port()}"
    for code, _, err in finish(*(start("train", tmp_path / "run", address, 2, k) for k in range(2))):
        assert code == 0, err
    run, (X, Y) = cr.load(tmp_path / "run"), data()
    assert run.settings["shared"] == [[0, 2]]
    for step in (0, 4, 8):
        found = run.at(step, X, Y).watch({"gradients": ["max"]})
        for key in run.watched.keys:
            assert found[key][0] == run.watched[key][step], (step, key)


def test_more_processes_than_rows_of_a_batch(tmp_path):
    """Two processes, a batch of one row."""
    address = f"127.0.0.1:{free_port()}"
    code = TRAIN.replace("batch_size=16", "batch_size=1").replace("except RunError", "except ValueError")
    variables = os.environ | {"JAX_NUM_CPU_DEVICES": "1"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, "train", str(tmp_path), address, "2", str(k)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables,
        )
        for k in range(2)
    ]  # fmt: skip
    for status, _, err in finish(*running):
        assert status == 1
        assert "1 rows, 2 processes" in err
        assert "batch_size=2" in err


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("localhost", 2, 0), ["HOST:PORT", "'localhost'"]),
        (("localhost:1234", 0, 0), ["at least one", "0"]),
        (("localhost:1234", 2, 2), ["process 2 of 2", "0 to 1"]),
    ],
)
def test_what_is_not_a_group_of_processes_is_said(given, words):
    with pytest.raises(ConfigurationError) as error:
        cr.distributed(*given)
    for word in words:
        assert word in str(error.value)


def test_from_the_command_line(tmp_path):
    """Process 0 alone saves and reports."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    lines = [",".join(map(str, [*x, 2 * x[0] - x[1]])) for x in X]
    (tmp_path / "data.csv").write_text("a,b,c,y\n" + "\n".join(lines))
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "chainrule", "train", "data.csv", "--target", "y", "--epochs", "3"]
    running = [
        subprocess.Popen(
            [*command, "--coordinator", address, "--processes", "2", "--process", str(k), "--out", f"run{k}"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
            env=os.environ | {"JAX_NUM_CPU_DEVICES": "1"},
        )
        for k in range(2)
    ]  # fmt: skip
    first, second = finish(*running)
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    assert "run0" in first[1]
    assert "run1" not in second[1]
    assert (tmp_path / "run0" / "model.json").exists()
    assert not (tmp_path / "run1").exists()


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("other data", "the examples"),
        ("other network", "the network"),
        ("other seed", "the seed"),
        ("other rate", "the optimizer"),
    ],
)
def test_processes_that_were_given_different_things_are_told_before_anything_is_trained(mode, says, tmp_path):
    address = f"127.0.0.1:{free_port()}"
    running = [start(mode, tmp_path, address, 2, i) for i in range(2)]
    for process in running:
        _, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == 1
        assert "processes that train together are given the same" in errors
        assert says in errors
        assert "in process 1" in errors
    assert not list(tmp_path.iterdir())
