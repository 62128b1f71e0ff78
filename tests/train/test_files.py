"""The folder of a run: written whole or not at all, read without executing anything, and never silently wrong."""

import json
import os
import pickle
import subprocess
import sys
import time
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import RunError
from chainrule.train import files

SRC = Path(__file__).parents[2] / "src"
X = np.random.default_rng(0).normal(size=(20, 3))
NUMBERS = X @ [1.0, 2.0, 3.0]


def trained(*layers, labels=NUMBERS, **options):
    return cr.fit(cr.Sequential(*layers), X, labels, **{"epochs": 2} | options)


@pytest.fixture(scope="module")
def run():
    return trained(cr.Dense(4, "tanh"), cr.Dense(1), validation_split=0.2, early_stopping=5)


@pytest.fixture
def folder(run, tmp_path):
    return run.save(tmp_path / "run")


# there and back


def a_skip_connection():
    x = cr.input("x", ("m", 3))
    return cr.fit(cr.Model(x, cr.Dense(1)(cr.Dense(3, "relu")(x) + x)), X, NUMBERS, epochs=2)


def a_loss_of_ones_own(y_hat, y):
    return cr.abs(y_hat - y) ** 1.5


SIGNS = np.sign(NUMBERS).astype(int)
RUNS = {
    "early stopping": lambda: trained(cr.Dense(4, "tanh"), cr.Dense(1), validation_split=0.2, early_stopping=5),
    "float64": lambda: trained(cr.Dense(1), dtype="float64"),
    "class names": lambda: trained(cr.Dense(3, "softmax"), labels=["ä", "b", "c", "b"] * 5, metrics=["accuracy"]),
    "class numbers": lambda: trained(cr.Dense(4, "softmax"), labels=[0, 3] * 10),
    "truth values": lambda: trained(cr.Dense(1, "sigmoid"), labels=SIGNS > 0, class_weight="balanced"),
    "signs": lambda: trained(cr.Dense(1), labels=SIGNS, loss="hinge"),
    "a loss with a setting": lambda: trained(cr.Dense(1), loss=partial(cr.huber, delta=2.0)),
    "a loss of one's own": lambda: trained(cr.Dense(1), loss=a_loss_of_ones_own),
    "a skip connection": a_skip_connection,
    "a learned activation": lambda: trained(cr.Dense(4), cr.ParametricReLU(), cr.Dense(1)),
    "a schedule": lambda: trained(cr.Dense(1), optimizer=cr.AdamW(cr.WarmUp(cr.CosineDecay(0.1, 10), 5), clip_norm=1)),
    "rates by name": lambda: trained(cr.Dense(1), optimizer=cr.Momentum({"W1": 0.1, "default": np.float32(0.5)})),
}


@pytest.mark.parametrize("kind", list(RUNS))
def test_what_is_read_is_what_was_written(tmp_path, kind):
    run = RUNS[kind]()
    loaded = cr.load(run.save(tmp_path / "deep" / "down" / "run"))
    np.testing.assert_array_equal(loaded.predict(X), run.predict(X))
    np.testing.assert_array_equal(loaded.decide(X), run.decide(X))
    assert loaded.decide(X).dtype == run.decide(X).dtype
    assert str(loaded.formulas()) == str(run.formulas())
    assert str(loaded.history) == str(run.history)
    np.testing.assert_array_equal(loaded.history.table, run.history.table)
    assert (loaded.history.best_epoch, loaded.history.stopped) == (run.history.best_epoch, run.history.stopped)
    assert (loaded.settings, loaded.labels) == (run.settings, run.labels)
    for name, value in run.parameters.items():
        assert loaded.parameters[name].dtype == value.dtype
        np.testing.assert_array_equal(loaded.parameters[name], value)


def test_a_diverged_run_is_read_with_its_last_row(tmp_path):
    with pytest.warns(cr.TrainingWarning):
        run = trained(cr.Dense(1), optimizer=cr.GradientDescent(1e12), epochs=9)
    loaded = cr.load(run.save(tmp_path / "run"))
    assert loaded.history.diverged == run.history.diverged == run.history.epochs
    np.testing.assert_array_equal(loaded.history.table, run.history.table)


def test_a_run_that_was_read_can_be_trained_further(folder, run):
    further = {"epochs": 3, "shuffle": False}
    np.testing.assert_array_equal(
        cr.fit(cr.load(folder), X, NUMBERS, **further).predict(X), cr.fit(run, X, NUMBERS, **further).predict(X)
    )


def test_the_files_can_be_read_without_chainrule(folder, run):
    assert sorted(p.name for p in folder.iterdir()) == ["history.csv", "model.json", "weights.safetensors"]
    described = json.loads((folder / "model.json").read_text("utf-8"))
    assert described["format"] == 1
    assert "  Z1   = X W1 + b1" in "\n".join(described["formulas"])
    table = np.genfromtxt(folder / "history.csv", delimiter=",", names=True)
    assert table["epoch"].tolist() == [1, 2]
    np.testing.assert_array_equal(table["validation_loss"], run.history["validation_loss"])
    from safetensors.numpy import load_file

    np.testing.assert_array_equal(load_file(folder / "weights.safetensors")["W1"], run.parameters["W1"])


# nothing is executed


class Planted:
    """Executed by whoever unpickles it."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def test_reading_executes_nothing(folder, tmp_path):
    mark = str(tmp_path / "executed")
    pickled = pickle.dumps(Planted(mark))
    for name in ("model.pkl", "weights.pkl", "preprocessing.pkl"):
        (folder / name).write_bytes(pickled)
    for name in ("__init__.py", "model.py", "conftest.py"):
        (folder / name).write_text(f"import os; os.mkdir({mark!r})")
    cr.load(folder)
    for name in ("weights.safetensors", "model.json", "history.csv"):  # nor in the place of a file that is read
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes(pickled)
        with pytest.raises(RunError):
            cr.load(folder)
        (folder / name).write_bytes(kept)
    assert not os.path.exists(mark)
    pickle.loads(pickled)  # the trap would have worked
    assert os.path.exists(mark)


# whole or not at all

SAVES_FOREVER = """
import sys, itertools, chainrule as cr
run = cr.fit(cr.Sequential(cr.Dense(1)), [[0.0], [1.0]], [0.0, 1.0], epochs=1)
print("ready", flush=True)
for i in itertools.count():
    run.parameters["b1"][:] = i
    run.parameters["W1"][:] = i
    run.save(sys.argv[1])
"""


def test_a_process_that_is_killed_while_it_saves_leaves_a_complete_run(tmp_path):
    code = SAVES_FOREVER.replace("run = ", "run = ", 1).replace(
        'run.parameters["b1"]',
        'run.parameters = {k: v.copy() for k, v in run.parameters.items()}; run.parameters["b1"]',
    )
    environment = os.environ | {"PYTHONPATH": str(SRC)}
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "run")], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    while not (tmp_path / "run").exists():
        time.sleep(0.01)
    time.sleep(0.5)
    process.kill()
    process.communicate()
    loaded = cr.load(tmp_path / "run")
    assert loaded.parameters["W1"].item() == loaded.parameters["b1"].item() > 0


class Killed(BaseException):
    """Stands for the end of the process: nothing that it was going to do is done."""


@pytest.mark.parametrize("step", range(8))
def test_killed_before_any_renaming_or_removal_the_run_is_the_earlier_or_the_new_one(run, tmp_path, monkeypatch, step):
    trained(cr.Dense(1), epochs=1).save(tmp_path / "run")
    before = cr.load(tmp_path / "run").parameters.keys()
    calls = []

    def dying(function):
        def call(*given, **named):
            calls.append(function)
            if len(calls) > step:
                raise Killed
            return function(*given, **named)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", dying(Path.rename))
        patch.setattr(files.shutil, "rmtree", dying(files.shutil.rmtree))
        try:
            run.save(tmp_path / "run")
        except Killed:
            assert len(calls) > step
    assert cr.load(tmp_path / "run").parameters.keys() in (before, run.parameters.keys())
    run.save(tmp_path / "run")
    assert cr.load(tmp_path / "run").parameters.keys() == run.parameters.keys()
    assert [p.name for p in tmp_path.glob(".run.earlier")] == []


def test_saving_replaces_an_earlier_run_and_leaves_nothing_beside_it(folder, tmp_path):
    other = trained(cr.Dense(2, "relu"), cr.Dense(1))
    other.save(folder)
    np.testing.assert_array_equal(cr.load(folder).predict(X), other.predict(X))
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_saving_into_an_empty_folder(run, tmp_path):
    (tmp_path / "empty").mkdir()
    np.testing.assert_array_equal(cr.load(run.save(tmp_path / "empty")).predict(X), run.predict(X))


def test_a_failed_saving_leaves_the_earlier_run(folder, run, tmp_path):
    def break_off(path):
        (path / "part").write_text("…")
        raise OSError("No space left on device")

    with pytest.raises(RunError, match=r"(?s)could not be written.*No space left"):
        trained(cr.Dense(1)).save(folder, also={"extra": break_off})
    np.testing.assert_array_equal(cr.load(folder).predict(X), run.predict(X))
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_something_that_is_no_run_is_left_as_it_is(run, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("text")
    (tmp_path / "file").write_text("text")
    for name in ("thesis", "file"):
        with pytest.raises(RunError, match=r"(?s)not a run; it is left as it is.*another folder"):
            run.save(tmp_path / name)
    assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "text"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "thesis"]


def test_a_place_that_cannot_be_written(run, tmp_path):
    (tmp_path / "file").write_text("text")
    with pytest.raises(RunError, match=r"(?s)cannot be written.*file/run"):
        run.save(tmp_path / "file" / "run")


def test_a_read_only_place(run):
    place = Path("/proc/run")  # read-only for everybody, root too
    if not place.parent.is_dir():
        pytest.skip("no /proc on this system")
    with pytest.raises(RunError, match=r"(?s)cannot be written.*/proc/run"):
        run.save(place)


def test_a_number_type_that_json_does_not_know_is_no_reason_to_lose_a_run(tmp_path):
    run = trained(cr.Dense(1), optimizer=cr.Adam(np.float32(0.1), beta_1=np.float64(0.8)))
    assert cr.load(run.save(tmp_path / "run")).step.optimizer == run.step.optimizer


def test_labels_that_could_not_be_saved_are_refused_before_training():
    with pytest.raises(cr.errors.DataError, match="a date"):
        trained(cr.Dense(2, "softmax"), labels=[date(2020, 1, 1), date(2020, 1, 2)] * 10)


# what cannot be read


def change(folder, **entries):
    file = folder / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | entries), "utf-8")


def change_optimizer(folder, **settings):
    described = json.loads((folder / "model.json").read_text("utf-8"))
    described["objectives"][0]["optimizer"] = settings
    change(folder, **described)


def flip_a_byte(folder):
    content = bytearray((folder / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(content)


def of_another_network(folder):
    trained(cr.Dense(1)).save(folder.parent / "other")
    described = json.loads((folder / "model.json").read_text("utf-8"))
    other = json.loads((folder.parent / "other" / "model.json").read_text("utf-8"))
    (folder / "weights.safetensors").write_bytes((folder.parent / "other" / "weights.safetensors").read_bytes())
    change(folder, sha256=other["sha256"] | {"": described["format"]})


def with_an_unknown_op(folder):
    text = (folder / "model.json").read_text("utf-8")
    assert '"tanh"' in text
    (folder / "model.json").write_text(text.replace('"tanh"', '"os.system"'), "utf-8")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda f: (f / "weights.safetensors").unlink(), "not complete.*without weights.safetensors.*train again"),
        (lambda f: (f / "history.csv").unlink(), "not complete.*without history.csv"),
        (lambda f: (f / "model.json").unlink(), "not complete.*without model.json"),
        (lambda f: [p.unlink() for p in f.iterdir()], "without model.json and weights.safetensors and history.csv"),
        (flip_a_byte, "weights.safetensors has been altered or cut short"),
        (lambda f: os.truncate(f / "weights.safetensors", 40), "altered or cut short.*40 bytes"),
        (lambda f: change(f, format=2), "newer format.*format 2.*at most 1.*upgrade"),
        (lambda f: change(f, format="one"), "is not a run's.*'one'"),
        (lambda f: (f / "model.json").write_text("{"), "model.json cannot be read"),
        (lambda f: (f / "model.json").write_text("[1]"), "is not a run's"),
        (lambda f: (f / "model.json").write_bytes(b"\xff\xfe"), "model.json cannot be read"),
        (lambda f: change(f, graph=None), "model.json cannot be read.*edited by hand"),
        (lambda f: change(f, labels={}), "model.json cannot be read.*kind"),
        (lambda f: change_optimizer(f, name="Magic"), "not part of chainrule.*Magic"),
        (lambda f: change_optimizer(f, name="Adam", magic=1), "model.json cannot be read.*magic"),
        (lambda f: (f / "history.csv").write_text("epoch,loss\n1,zero\n"), "cannot be read.*zero"),
        (of_another_network, r"does not belong to model.json.*\(m|W1"),
        (with_an_unknown_op, "os.system"),
    ],
)
def test_folders_that_cannot_be_read(folder, damage, says):
    damage(folder)
    with pytest.raises(cr.ChainruleError, match=f"(?s){says}"):
        cr.load(folder)


def test_what_is_not_a_folder(tmp_path):
    for path in (tmp_path / "none", SRC / "chainrule" / "__init__.py"):
        with pytest.raises(RunError, match=r"(?s)no such run.*a folder with model\.json"):
            cr.load(path)


def test_names_that_training_and_reading_count_differently_are_no_obstacle(tmp_path):
    """A layer without a name in one of two objectives, dropout in the other: what is learned is found again."""
    x, z = cr.input("x", ("m", 3)), cr.draw("normal", ("m", 2), name="z")
    G = cr.Sequential(cr.Dense(8, name="G1"), cr.BatchNormalization(), cr.Dense(3, name="G3"))
    D = cr.Sequential(cr.Dense(8, "relu", name="D1"), cr.Dropout(0.3), cr.Dense(1, name="D3"))
    real, fake = D(x), D(G(z))
    objectives = [
        cr.Objective(cr.mean(cr.softplus(-real) + cr.softplus(fake)), D, name="J_D"),
        cr.Objective(cr.mean(cr.softplus(-fake)), G, name="J_G"),
    ]
    made = cr.fit(cr.Model(x, real), X, loss=objectives, epochs=3, checkpoints=tmp_path / "RUN")
    made.save(tmp_path / "RUN")
    loaded = cr.load(tmp_path / "RUN")
    for name, value in made.parameters.items():
        np.testing.assert_array_equal(loaded.parameters[name], value)
    assert [[s.names[p].text for p in s.learned] for s in loaded.steps] == [
        [s.names[p].text for p in s.learned] for s in made.steps
    ]
    assert cr.resume(tmp_path / "RUN", X, epochs=4).history.epochs == 4
