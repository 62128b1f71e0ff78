"""``chainrule train`` on folders of images and recordings and on a column of texts, and ``predict`` on new files."""

import io
import os
import re

import numpy as np
import polars as pl
import pytest
from PIL import Image
from scipy.io import wavfile

import chainrule as cr
from chainrule.data import encoders, load, metrics

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def shades(tmp_path_factory):
    """Thirty dark and thirty bright images, 6 × 6."""
    folder = tmp_path_factory.mktemp("shades")
    for name, low, high in (("dark", 0, 120), ("bright", 135, 256)):
        (folder / name).mkdir()
        for i in range(30):
            Image.fromarray(RNG.integers(low, high, (6, 6)).astype(np.uint8)).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def shades_run(shades, trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "shades"
    answer = trained(shades, "--epochs", "20", "--learning-rate", "0.01", "--layers", "8", "-o", folder)
    return folder, answer


def test_a_folder_of_images_is_trained_on(shades_run):
    folder, answer = shades_run
    assert "target class: binary, 2 classes; 36 training, 12 validation, 12 test rows; 36 inputs" in answer.out
    assert answer.scores["accuracy"] == (1.0, 1.0)
    assert f"chainrule predict {folder} FOLDER -o OUT.csv" in answer.out
    assert "explain" not in answer.out.split("next:")[1]
    assert sorted(f.name for f in (folder / "preprocessing").iterdir()) == ["preprocessing.json", "target.json"]


def test_more_images_than_fit_into_memory_are_read_in_every_epoch(shades, monkeypatch):
    settings = {"epochs": 3, "layers": (8,), "learning_rate": 0.01}
    whole = cr.fit_folder(shades, **settings)
    monkeypatch.setattr(encoders, "MOST_IN_MEMORY", 100)
    monkeypatch.setattr(metrics, "MOST_NUMBERS", 36 * 25)
    lazy = cr.fit_folder(shades, **settings)
    np.testing.assert_allclose(lazy.run.history.table, whole.run.history.table, rtol=1e-4)
    np.testing.assert_allclose(lazy.run.parameters["W1"], whole.run.parameters["W1"], rtol=1e-3, atol=1e-5)
    assert lazy.scores["network"] == pytest.approx(whole.scores["network"], abs=1e-4)
    assert lazy.scores["linear model"]["accuracy"] == 1
    assert "the linear model learns from 25 of 36 training rows: memory" in lazy.notes
    assert lazy.predict(shades)["class"].to_list() == whole.predict(shades)["class"].to_list()


def test_new_images_are_told(shades_run, chainrule, tmp_path):
    new = tmp_path / "new"
    new.mkdir()
    for name, value in (("a.png", 20), ("b.jpg", 230)):
        Image.fromarray(np.full((50, 40, 3), value, np.uint8)).save(new / name)
    answer = chainrule("predict", shades_run[0], new)
    assert answer.code == 0, answer.err
    table = pl.read_csv(io.StringIO(answer.out))
    assert table.columns == ["file", "class", "P(class=bright)", "P(class=dark)"]
    assert table["class"].to_list() == ["dark", "bright"]
    assert [os.path.basename(f) for f in table["file"]] == ["a.png", "b.jpg"]
    one = chainrule("predict", shades_run[0], new / "b.jpg", "-o", tmp_path / "out.csv")
    assert one.code == 0, one.err
    assert pl.read_csv(tmp_path / "out.csv")["class"].to_list() == ["bright"]


def test_the_run_can_be_asked_why_and_for_its_formulas(shades_run, chainrule):
    assert chainrule("why", shades_run[0]).code == 0
    formulas = chainrule("formulas", shades_run[0])
    assert formulas.code == 0
    assert "Forward" in formulas.out
    answer = chainrule("explain", shades_run[0], "--row", "1")
    assert answer.code == 2
    assert "a row is explained of a table" in answer.err


def test_what_was_loaded_predicts_what_was_trained(shades):
    result = cr.fit_folder(shades, layers=[8], epochs=3)
    assert result.rows == {"training": 36, "validation": 12, "test": 12}
    table = result.predict(shades / "dark")
    assert table.height == 30
    raw = result.preprocessing.encoder.transform(shades / "dark")
    np.testing.assert_allclose(table["P(class=dark)"], result.run.predict(raw)[:, 0], rtol=1e-5)


def test_images_of_several_sizes_need_one(shades, chainrule, tmp_path):
    mixed = tmp_path / "mixed"
    for name in ("dark", "bright"):
        (mixed / name).mkdir(parents=True)
        for i in range(12):
            Image.open(shades / name / f"{i}.png").resize((6 + i % 2, 6)).save(mixed / name / f"{i}.png")
    answer = chainrule("train", mixed, "-o", tmp_path / "run")
    assert answer.code == 2
    assert "the images have 2 different sizes" in answer.err
    assert "(--size 6,6)" in answer.err
    assert not (tmp_path / "run").exists()
    answer = chainrule("train", mixed, "--size", "6x5", "--epochs", "2", "-o", tmp_path / "run")
    assert answer.code == 0, answer.err
    assert "30 inputs" in answer.out


def test_broken_images_are_left_out_only_if_asked(shades, chainrule, tmp_path):
    copy = tmp_path / "copy"
    for name in ("dark", "bright"):
        (copy / name).mkdir(parents=True)
        for i in range(6):
            (copy / name / f"{i}.png").write_bytes((shades / name / f"{i}.png").read_bytes())
    (copy / "dark" / "bad.png").write_text("no image")
    words = ("train", copy, "--epochs", "1", "-o", tmp_path / "run")
    answer = chainrule(*words)
    assert answer.code == 2
    assert "1 of 13 images (dark/bad.png) cannot be read" in answer.err
    assert "(--skip-broken)" in answer.err
    answer = chainrule(*words, "--skip-broken")
    assert answer.code == 0, answer.err
    assert "left out 1 of 13 images (dark/bad.png)" in answer.out


def test_recordings(chainrule, trained, tmp_path):
    for name, f in (("low", 300), ("high", 1500)):
        (tmp_path / "tones" / name).mkdir(parents=True)
        for i in range(12):
            tone = 0.4 * np.sin(2 * np.pi * (f + 20 * i) * np.arange(1600) / 8000) + 0.01 * RNG.normal(size=1600)
            wavfile.write(tmp_path / "tones" / name / f"{i}.wav", 8000, (tone * 32767).astype(np.int16))
    answer = trained(
        tmp_path / "tones", "--seconds", "0.1", "--epochs", "60", "--learning-rate", "0.01", "-o", tmp_path / "run"
    )
    assert answer.scores["accuracy"] == (1.0, 1.0)
    assert "cut 24 of 24 recordings off at 0.1 s" in answer.out
    new = 0.4 * np.sin(2 * np.pi * 1500 * np.arange(4800) / 16000) + 0.014 * RNG.normal(size=4800)
    wavfile.write(tmp_path / "new.wav", 16000, (new * 32767).astype(np.int16))
    answer = chainrule("predict", tmp_path / "run", tmp_path / "new.wav")
    assert pl.read_csv(io.StringIO(answer.out))["class"].to_list() == ["high"]
    assert "note: brought 1 of 1 recordings of another rate to 8,000 Hz" in answer.err


@pytest.mark.parametrize(
    ("missing", "rows", "says"),
    [("drop", 30, "left out 10 of 40 rows: their text 'note' is missing"), ("empty", 40, "")],
)
def test_rows_without_a_text(trained, tmp_path, missing, rows, says):
    lines = [f"{word} day {i},{word}" for i in range(15) for word in ("good", "bad")] + [",bad"] * 10
    (tmp_path / "notes.csv").write_text("note,kind\n" + "\n".join(lines) + "\n")
    words = ("--text", "note", "--target", "kind", "--missing", missing, "--epochs", "2", "-o", tmp_path / "run")
    answer = trained(tmp_path / "notes.csv", *words)
    found = re.search(r"(\d+) training, (\d+) validation, (\d+) test rows", answer.out)
    assert sum(map(int, found.groups())) == rows
    assert says in answer.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--text", "note", "--missing", "skip"), "'error', 'empty' or 'drop'"),
        (("--missing", "drop"), "missing is for texts"),
        (("--text", "note", "--categories", "kind"), "a text is predicted from alone"),
        (("--categories", "kind"), "the column to predict is no category"),
        (("--categories", "notes"), "no column 'notes'"),
    ],
)
def test_options_for_texts_and_categories_that_do_not_fit(chainrule, tmp_path, words, says):
    (tmp_path / "t.csv").write_text("note,kind\n" + "good,x\nbad,y\n" * 10)
    answer = chainrule("train", tmp_path / "t.csv", "--target", "kind", *words)
    assert answer.code == 2
    assert says in answer.err


@pytest.mark.parametrize("words", [("--categories", "area,floor"), ("--categories", "area", "--categories", "floor")])
def test_columns_of_codes(trained, tmp_path, words):
    lines = [f"{area},{floor},{(area * 7) % 5}" for area in (1, 2, 3, 4) for floor in (1, 2, 3)] * 5
    (tmp_path / "t.csv").write_text("area,floor,price\n" + "\n".join(lines) + "\n")
    answer = trained(tmp_path / "t.csv", "--target", "price", *words, "--epochs", "2", "-o", tmp_path / "run")
    assert "7 inputs" in answer.out


def test_a_column_of_texts(chainrule, trained, tmp_path):
    words = [("good", "nice"), ("bad", "not")]
    rows = [(f"{w} thing {i % 7} {'NA' if i % 2 else '?'}", c, i) for i in range(40) for w, c in words]
    table = pl.DataFrame(rows, schema=["note", "kind", "n"], orient="row")
    table.write_csv(tmp_path / "notes.csv")
    answer = trained(
        tmp_path / "notes.csv", "--text", "note", "--target", "kind", "--epochs", "20", "-o", tmp_path / "run"
    )
    assert answer.scores["accuracy"] == (1.0, 1.0)
    assert "not used beside the text: 'n'" in answer.out
    (tmp_path / "new.csv").write_text("note\na bad day\ngood\n")
    answer = chainrule("predict", tmp_path / "run", tmp_path / "new.csv")
    assert pl.read_csv(io.StringIO(answer.out))["kind"].to_list() == ["not", "nice"]
    explained = chainrule("explain", tmp_path / "run", "--row", "2")
    assert explained.code == 0, explained.err
    (tmp_path / "gap.csv").write_text("note,kind\na,x\n,y\n")
    answer = chainrule("train", tmp_path / "gap.csv", "--text", "note", "--target", "kind")
    assert answer.code == 2
    assert "the column 'note' holds no text in row 2 (line 3" in answer.err


def test_options_of_the_other_kind_are_refused(shades, chainrule, tmp_path):
    answer = chainrule("train", shades, "--target", "class")
    assert answer.code == 2
    assert "--target is for a table" in answer.err
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    answer = chainrule("train", tmp_path / "t.csv", "--target", "b", "--size", "8")
    assert "--size is for a folder of images or recordings" in answer.err
    answer = chainrule("train", tmp_path / "t.csv")
    assert answer.code == 2
    assert "a table needs the column to predict" in answer.err
    assert "one of its columns: 'a', 'b'" in answer.err
    assert "--target COLUMN" in answer.err
    assert "there is no file" in chainrule("train", tmp_path / "shadess").err
    answer = chainrule("train", shades, "--size", "1,2,3")
    assert "--size takes height and width" in answer.err


@pytest.fixture(scope="module")
def own_data():
    if not os.environ.get("CHAINRULE_DATA"):
        pytest.skip("CHAINRULE_DATA names no folder of real data")


def test_real_messages(own_data, trained, tmp_path):
    messages = load("sms")
    pl.DataFrame({"label": messages.names.tolist(), "message": messages.items.tolist()}).write_csv(tmp_path / "sms.csv")
    words = ("--text", "message", "--target", "label", "--epochs", "6", "-o", tmp_path / "run")
    answer = trained(tmp_path / "sms.csv", *words)
    network, linear = answer.scores["accuracy"]
    assert network > 0.97  # 0.99; all ham would be 0.87
    assert linear > 0.95
    assert re.search(r"\d,\d\d\d inputs", answer.out)
