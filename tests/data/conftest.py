"""Files that the tests of data read: images and recordings made here, and a server of this machine."""

import http.server
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile


@pytest.fixture(scope="session")
def own_data():
    """The folder of real data that CHAINRULE_DATA names."""
    folder = os.environ.get("CHAINRULE_DATA")
    if not folder:
        pytest.skip("CHAINRULE_DATA names no folder of real data")
    return Path(folder)


@pytest.fixture
def write_image(tmp_path):
    """A function that writes an array (h, w) or (h, w, 3) of 0 to 255 as a file, and gives its path."""

    def write(name, pixels, **options):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(pixels, np.uint8)).save(file, **options)
        return file

    return write


@pytest.fixture
def write_sound(tmp_path):
    """A function that writes samples as a WAV file, and gives its path; of floats 16-bit numbers are made."""

    def write(name, samples, rate=8000):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        samples = np.asarray(samples)
        wavfile.write(file, rate, (samples * 32767).astype(np.int16) if samples.dtype == np.float64 else samples)
        return file

    return write


class Server(http.server.ThreadingHTTPServer):
    """Serves `files` by path; `asked` lists (path, Range); the first answers stop after the bytes in `break_after`."""

    daemon_threads = True

    def __init__(self):
        self.files, self.asked, self.break_after, self.ranges = {}, [], [], True
        super().__init__(("127.0.0.1", 0), Answers)

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}{path}"


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        if first >= len(content) > 0:
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        stop = self.server.break_after.pop(0) if self.server.break_after else None
        self.wfile.write(content[first : None if stop is None else first + stop])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()
