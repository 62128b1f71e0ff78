"""From folders and columns of texts to what a training needs, and the preprocessing through its files."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import chainrule as cr
from chainrule.data import (
    Preprocessing,
    TextEncoder,
    images,
    prepare_folder,
    prepare_text,
    read_source,
    read_table,
    sounds,
)
from chainrule.data.storage import read_json, write_json
from chainrule.errors import ChainruleError, ConfigurationError, DataError, RunError

RNG = np.random.default_rng(0)


@pytest.fixture
def shades(write_image, tmp_path):
    """Ten dark and ten bright images, 5 × 4."""
    for i in range(10):
        write_image(f"shades/dark/{i}.png", RNG.integers(0, 90, (5, 4)))
        write_image(f"shades/bright/{i}.png", RNG.integers(160, 256, (5, 4)))
    return tmp_path / "shades"


@pytest.fixture
def pitches(write_sound, tmp_path):
    for i in range(6):
        for name, f in (("low", 300), ("middle", 800), ("high", 2000)):
            t = np.arange(1600 + 80 * i) / 8000
            write_sound(f"pitches/{name}/{i}.wav", 0.5 * np.sin(2 * np.pi * (f + 10 * i) * t))
    return tmp_path / "pitches"


@pytest.fixture
def notes():
    rows = [(f"good day number {i}", "nice") for i in range(15)] + [(f"bad day number {i}", "not") for i in range(15)]
    return pl.DataFrame(rows, schema=["note", "kind"], orient="row")


def again(data, folder):
    data.preprocessing.save(folder)
    return Preprocessing.load(folder)


def test_images_are_split_by_class_and_standardised_by_the_training_ones(shades):
    data = prepare_folder(shades)
    assert (data.task, data.classes) == ("binary", ("bright", "dark"))
    assert data.X_train.shape == (12, 5, 4, 1)
    assert [np.bincount(y).tolist() for y in (data.y_train, data.y_validation, data.y_test)] == [[6, 6], [2, 2], [2, 2]]
    assert data.X_train.mean() == pytest.approx(0, abs=1e-5)
    assert data.X_train.std() == pytest.approx(1, abs=1e-5)
    everything = images(shades)
    raw = np.asarray(everything.items)
    expected = (raw - data.encoder.mean) / data.encoder.scale
    rows = [np.flatnonzero(np.isclose(expected, x, atol=1e-5).all(axis=(1, 2, 3))) for x in data.X_train]
    assert [len(r) for r in rows] == [1] * 12
    assert data.encoder.mean[0] == pytest.approx(raw[np.concatenate(rows)].mean(), abs=1e-6)
    assert everything.labels[np.concatenate(rows)].tolist() == data.y_train.tolist()
    assert data.training == tuple(everything.files[i] for i in np.concatenate(rows))


def test_the_same_seed_gives_the_same_split(shades):
    one, two, other = (prepare_folder(shades, seed=s) for s in (3, 3, 4))
    np.testing.assert_array_equal(one.X_train, two.X_train)
    assert not np.array_equal(one.X_train, other.X_train)


def test_images_through_the_files(shades, tmp_path, write_image):
    data = prepare_folder(shades)
    loaded = again(data, tmp_path / "run")
    np.testing.assert_array_equal(loaded.encoder.transform(shades), data.encoder.transform(shades))
    assert loaded.classes == ("bright", "dark")
    # A new image is brought to the size and the channels that were trained on.
    new = write_image("new.png", np.full((50, 40, 3), 255))
    found = loaded.encoder.transform(new)
    np.testing.assert_allclose(found, np.broadcast_to((1 - data.encoder.mean) / data.encoder.scale, (1, 5, 4, 1)), 1e-5)
    assert loaded.encoder.keys(new)["file"].to_list() == [str(new)]
    assert read_source(loaded.encoder, shades) == shades


def test_recordings_through_the_files(pitches, tmp_path, write_sound):
    data = prepare_folder(pitches, test=1 / 3, validation=1 / 6)
    assert (data.task, data.classes) == ("categorical", ("high", "low", "middle"))
    assert data.X_train.shape == (9, 23, 40)
    np.testing.assert_allclose(data.X_train.mean(axis=(0, 1)), 0, atol=1e-4)
    loaded = again(data, tmp_path / "run")
    np.testing.assert_array_equal(loaded.encoder.transform(pitches), data.encoder.transform(pitches))
    t = np.arange(16000) / 16000
    new = write_sound("new.wav", 0.5 * np.sin(2 * np.pi * 800 * t), 16000)
    remarks = []
    found = loaded.encoder.transform([new], remarks)
    assert found.shape == (1, 23, 40)
    assert remarks == [
        "brought 1 of 1 recordings of another rate to 8,000 Hz",
        "cut 1 of 1 recordings off at 0.25 s",
    ]
    same = data.encoder.transform(pitches / "middle")[0]  # 800 Hz, 0.2 s
    loudest = np.abs(found[0][:17] * data.encoder.scale + data.encoder.mean).argmin(axis=1)
    np.testing.assert_array_equal(loudest, np.abs(same[:17] * data.encoder.scale + data.encoder.mean).argmin(axis=1))


def test_waves_keep_silence_at_zero(pitches):
    data = prepare_folder(pitches, features="wave")
    assert data.X_train.shape[1:] == (2000,)
    assert data.encoder.mean.tolist() == [0]
    assert (data.X_train[:, -1] == 0).sum() >= 5


def test_texts_as_a_bag(notes, tmp_path):
    data = prepare_text(notes, "note", "kind")
    assert (data.task, data.classes) == ("binary", ("nice", "not"))
    assert data.X_train.shape == (18, len(data.encoder.features))
    good, bad = (data.encoder.features.index(word) for word in ("good", "bad"))
    np.testing.assert_allclose(data.X_test[:, good], np.log(2) * (data.y_test == 0), rtol=1e-6)
    np.testing.assert_allclose(data.X_test[:, bad], np.log(2) * (data.y_test == 1), rtol=1e-6)
    loaded = again(data, tmp_path / "run")
    np.testing.assert_array_equal(loaded.encoder.transform(notes), data.encoder.transform(notes))
    # Words of held-out rows alone were not learned.
    assert len(data.encoder.features) < len({w for n in notes["note"] for w in n.split()})


@pytest.mark.parametrize("tokens", ["words", "characters", "subwords"])
def test_texts_as_sequences(notes, tmp_path, tokens):
    if tokens == "subwords":
        pytest.importorskip("tokenizers", reason="subwords need the package tokenizers")
    data = prepare_text(notes, "note", "kind", tokens=tokens, represented="sequence")
    assert data.X_train.dtype == np.int32
    assert data.X_train.shape == (18, data.encoder.length)
    loaded = again(data, tmp_path / "run")
    np.testing.assert_array_equal(loaded.encoder.transform(notes), data.encoder.transform(notes))
    remarks = []
    longer = loaded.encoder.transform({"note": ["good " * 99, "bad"]}, remarks)
    assert longer.shape == (2, data.encoder.length)
    assert remarks == [f"cut 1 of 2 texts off after {data.encoder.length} tokens"]


def test_a_number_may_be_told_from_texts(notes):
    table = notes.with_columns(price=pl.Series([i * 1.5 for i in range(30)]), other=pl.lit("x"))
    data = prepare_text(table, "note", "price")
    assert data.task == "regression"
    assert data.y_train.mean() == pytest.approx(0, abs=1e-6)
    assert data.notes == ("not used beside the text: 'kind', 'other'",)


def test_folders_of_texts(tmp_path):
    for i in range(6):
        for name in ("up", "down"):
            (tmp_path / "t" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "t" / name / f"{i}.txt").write_text(f"it goes {name} {i}")
    data = prepare_folder(tmp_path / "t", test=1 / 3, validation=1 / 6)
    loaded = again(data, tmp_path / "run")
    assert "up" in data.encoder.features
    np.testing.assert_array_equal(loaded.encoder.transform(tmp_path / "t"), data.encoder.transform(tmp_path / "t"))
    assert loaded.encoder.keys(tmp_path / "t" / "up")["file"].to_list()[0].endswith("0.txt")
    np.testing.assert_array_equal(data.encoder.of([f.read_text() for f in data.training]), data.X_train)


# --- what is refused --------------------------------------------------------------------------------------


def test_missing_texts(notes):
    table = notes.with_columns(note=pl.Series([None, *notes["note"][1:]]))
    with pytest.raises(DataError, match="the column 'note' holds no text in row 1"):
        prepare_text(table, "note", "kind")
    assert prepare_text(table, "note", "kind", missing="empty").X_train.shape[0] == 18


def test_rows_without_a_text_are_left_out_if_asked(notes, tmp_path):
    table = notes.with_columns(note=pl.Series([None, *notes["note"][1:]]), kind=pl.Series([*notes["kind"][:-1], None]))
    data = prepare_text(table, "note", "kind", missing="drop")
    assert sum(len(x) for x in (data.X_train, data.X_validation, data.X_test)) == 28
    assert data.notes[0] == "left out 1 of 30 rows: their target 'kind' is missing"
    assert data.notes[1] == "left out 1 of 29 rows: their text 'note' is missing"
    np.testing.assert_array_equal(data.encoder.transform(table[data.training]), data.X_train)
    with pytest.raises(DataError, match=r"(?s)no text in row 2.*missing='empty'"):
        again(data, tmp_path).encoder.transform({"note": ["good", None]})
    with pytest.raises(ConfigurationError, match=r"(?s)dropped.*'skip'.*'error', 'empty' or 'drop'"):
        prepare_text(table, "note", "kind", missing="skip")


@pytest.mark.parametrize("asks", ["mask", "lengths"])
def test_a_network_that_asks_for_the_mask_or_the_lengths_gets_them(notes, asks):
    texts = notes["note"].to_list() + ["good"] * 10 + ["bad"] * 10
    labels = notes["kind"].to_list() + ["nice"] * 10 + ["not"] * 10
    encoder = TextEncoder.fit("note", texts, represented="sequence", most=6)
    tokens = cr.input("tokens", ("m", encoder.length), "int")
    beside = cr.input(asks, ("m", encoder.length)) if asks == "mask" else cr.input(asks, ("m",))
    vectors = cr.Embedding(len(encoder.tokenizer), 8)(tokens)
    network = cr.Model([tokens, beside], cr.Dense(1, "sigmoid")(cr.GRU(8)(vectors, **{asks: beside})))
    names = [n.name for n in network.inputs]
    run = cr.fit(network, encoder.inputs(texts, names), labels, epochs=30, optimizer=cr.Adam(0.03))
    assert (run.decide(encoder.inputs(texts, names)) == labels).all()
    with pytest.raises(ConfigurationError, match="a bag of tokens has no mask"):
        replace(encoder, represented="bag").inputs(texts, names)


def test_columns_that_are_not_there(notes):
    with pytest.raises(DataError, match="no column 'notes'"):
        prepare_text(notes, "notes", "kind")
    with pytest.raises(ConfigurationError, match="text and target are one column"):
        prepare_text(notes, "kind", "kind")


def test_markers_of_missing_values_are_texts_in_a_column_of_texts(tmp_path):
    (tmp_path / "t.csv").write_text("note,n\nNA,1\n?,NA\n,3\n 007 ,4\n")
    table = read_table(tmp_path / "t.csv", texts=["note"])
    assert table["note"].to_list() == ["NA", "?", None, " 007 "]
    assert table["n"].to_list() == [1, None, 3, 4]
    assert table.columns == ["note", "n"]
    assert read_table(tmp_path / "t.csv", texts=["n", "note"])["n"].to_list() == ["1", "NA", "3", "4"]


def test_folders_that_hold_no_classes(shades, tmp_path, write_image):
    with pytest.raises(DataError, match="has no classes"):
        prepare_folder(shades / "dark")
    write_image("one/only/a.png", np.zeros((4, 4)))
    with pytest.raises(DataError, match="has one class"):
        prepare_folder(tmp_path / "one")
    write_image("one/other/a.png", np.zeros((4, 4)))
    with pytest.raises(DataError, match="2 of 2 classes have a single example"):
        prepare_folder(tmp_path / "one")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no images, recordings or texts"):
        prepare_folder(tmp_path / "empty")
    with pytest.raises(DataError, match="there is no folder"):
        prepare_folder(tmp_path / "nowhere")


def test_images_beside_recordings_are_refused_and_a_readme_is_not(shades, write_sound):
    (shades / "README.txt").write_text("about")
    assert prepare_folder(shades).X_train.shape == (12, 5, 4, 1)
    write_sound("shades/dark/a.wav", np.zeros(800))
    with pytest.raises(DataError, match="holds images and sounds and text"):
        prepare_folder(shades)


# --- altered files ----------------------------------------------------------------------------------------


def test_altered_and_unknown_files_are_refused(shades, tmp_path):
    data = prepare_folder(shades)
    file = tmp_path / "preprocessing.json"

    def stored(**changes):
        data.preprocessing.save(tmp_path)
        write_json(file, {**read_json(file), **changes})

    stored(kind="smells")
    with pytest.raises(RunError, match="of an unknown kind"):
        Preprocessing.load(tmp_path)
    stored(format=99)
    with pytest.raises(RunError, match="written by a newer chainrule"):
        Preprocessing.load(tmp_path)
    for changes in (
        {"mean": [1, 2]},
        {"form": {}},
        {"form": {"height": 0, "width": 4}},
        {"mean": None},
        {"scale": "a"},
    ):
        stored(**changes)
        with pytest.raises(RunError, match="is incomplete"):
            Preprocessing.load(tmp_path)
    data.preprocessing.save(tmp_path)
    file.write_text(file.read_text().replace('"height": 5', '"height": 6'))
    with pytest.raises(RunError, match="damaged or was altered"):
        Preprocessing.load(tmp_path)


def test_the_file_holds_names_and_numbers_alone(shades, tmp_path):
    prepare_folder(shades).preprocessing.save(tmp_path)
    assert sorted(f.name for f in tmp_path.iterdir() if f.suffix) == ["preprocessing.json", "target.json"]
    content = json.loads((tmp_path / "preprocessing.json").read_text())
    assert (content["kind"], content["form"]["height"], content["form"]["width"]) == ("images", 5, 4)


def test_errors_are_ours(shades, pitches):
    for wrong in ({"size": (0, 0)}, {"channels": 7}):
        with pytest.raises(ChainruleError):
            prepare_folder(shades, **wrong)
    with pytest.raises(ChainruleError):
        prepare_folder(pitches, features="smell")
    assert len(sounds(pitches).items) == 18
