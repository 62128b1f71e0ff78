"""Downloads, from a server of this machine: complete and verified, or not there at all."""

import hashlib
import os

import pytest

from chainrule.data import fetch
from chainrule.errors import DataError

CONTENT = bytes(range(256)) * 2000  # 512,000 bytes: several blocks
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def served(server):
    server.files["/a.bin"] = CONTENT
    return server


def left(folder):
    return sorted(f.name for f in folder.iterdir())


def test_a_file_comes_once_and_is_verified_again_each_time(served, tmp_path):
    file = tmp_path / "deep" / "a.bin"
    for _ in range(2):
        assert fetch(served.url("/a.bin"), file, sha256=SHA) == file
        assert file.read_bytes() == CONTENT
    assert served.asked == [("/a.bin", None)]
    assert left(file.parent) == ["a.bin", "a.bin.sha256"]
    file.write_bytes(b"altered")
    fetch(served.url("/a.bin"), file, sha256=SHA)
    assert file.read_bytes() == CONTENT
    assert len(served.asked) == 2


def test_another_file_than_expected_is_thrown_away(served, tmp_path):
    with pytest.raises(DataError, match=r"a\.bin is not the file that was expected") as caught:
        fetch(served.url("/a.bin"), tmp_path / "a.bin", sha256="0" * 64)
    assert SHA in caught.value.given
    assert caught.value.expected == "0" * 64
    assert left(tmp_path) == []


def test_an_unknown_checksum_is_noted_and_holds_from_then_on(served, tmp_path):
    file = tmp_path / "a.bin"
    fetch(served.url("/a.bin"), file)
    assert (tmp_path / "a.bin.sha256").read_text() == f"{SHA}  a.bin\n"  # as sha256sum writes it
    served.files["/a.bin"] = b"something else"
    file.unlink()
    with pytest.raises(DataError, match="as in the first download"):
        fetch(served.url("/a.bin"), file)
    assert not file.exists()


def test_what_breaks_off_is_continued_at_once(served, tmp_path):
    served.break_after = [100_000, 300_000]
    assert fetch(served.url("/a.bin"), tmp_path / "a.bin", sha256=SHA).read_bytes() == CONTENT
    assert served.asked == [("/a.bin", None), ("/a.bin", "bytes=100000-"), ("/a.bin", "bytes=400000-")]


def test_what_breaks_off_too_often_is_continued_by_the_next_call(served, tmp_path):
    served.break_after = [1000, 1000, 1000]
    with pytest.raises(DataError, match="cannot be downloaded") as caught:
        fetch(served.url("/a.bin"), tmp_path / "a.bin", sha256=SHA)
    assert caught.value.given.startswith(("broke off after 3,000 bytes", "IncompleteRead"))
    assert left(tmp_path) == [".a.bin.unfinished"]
    fetch(served.url("/a.bin"), tmp_path / "a.bin", sha256=SHA)
    assert served.asked[-1] == ("/a.bin", "bytes=3000-")
    assert left(tmp_path) == ["a.bin", "a.bin.sha256"]


def test_a_server_that_cannot_continue_sends_all_again(served, tmp_path):
    served.ranges, served.break_after = False, [1000]
    assert fetch(served.url("/a.bin"), tmp_path / "a.bin", sha256=SHA).read_bytes() == CONTENT


def test_a_beginning_that_is_longer_than_the_file_is_dropped(served, tmp_path):
    (tmp_path / ".a.bin.unfinished").write_bytes(CONTENT + b"more")
    assert fetch(served.url("/a.bin"), tmp_path / "a.bin", sha256=SHA).read_bytes() == CONTENT


def test_a_refusal_is_told(served, tmp_path):
    with pytest.raises(DataError, match="the server refuses") as caught:
        fetch(served.url("/missing.bin"), tmp_path / "a.bin")
    assert caught.value.given == "404 Not Found"
    assert left(tmp_path) == []


def test_no_connection_is_told(server, tmp_path):
    address = server.url("/a.bin").replace(str(server.server_port), "1")  # a port where nobody listens
    with pytest.raises(DataError, match="cannot be downloaded") as caught:
        fetch(address, tmp_path / "a.bin")
    assert "refused" in caught.value.given
    assert caught.value.expected == "a connection to the network"
    assert left(tmp_path) == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="whoever runs this may write everywhere")
def test_a_folder_that_cannot_be_written_to(served, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(DataError, match="cannot be kept"):
        fetch(served.url("/a.bin"), tmp_path / "a.bin")


def test_a_folder_that_is_a_file(served, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be kept"):
        fetch(served.url("/a.bin"), tmp_path / "file" / "a.bin")
    assert served.asked == []


def test_an_interrupted_download_leaves_its_beginning(served, tmp_path, monkeypatch):
    from chainrule.data import download

    blocks = download._blocks

    def interrupted(answer):
        yield next(blocks(answer))
        raise KeyboardInterrupt

    monkeypatch.setattr(download, "_blocks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(served.url("/a.bin"), tmp_path / "a.bin", sha256=SHA)
    assert left(tmp_path) == [".a.bin.unfinished"]
    monkeypatch.undo()
    fetch(served.url("/a.bin"), tmp_path / "a.bin", sha256=SHA)
    assert served.asked[-1] == ("/a.bin", f"bytes={download.BLOCK}-")


def test_the_bar_is_told_of_every_block(served, tmp_path, capsys):
    fetch(served.url("/a.bin"), tmp_path / "a.bin", progress=True)
    assert "a.bin" in capsys.readouterr().err
