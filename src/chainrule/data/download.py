"""A file from the web, once: verified by its checksum, continued where it broke off, in place only when complete.

A checksum that is known beforehand has to fit. Where none is known, the first download is trusted, its
checksum is written beside the file (``NAME.sha256``), and from then on that one has to fit.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from chainrule.errors import DataError

TRIES = 3
SECONDS = 30.0
"""That a server may be silent."""
BLOCK = 1 << 16
Told = Callable[[int, int | None], None]
"""What is called with the bytes received so far and those expected."""


def fetch(url: str, file: Path, *, sha256: str | None = None, progress: bool | None = None) -> Path:
    """The file at an address, downloaded unless it is there and unaltered.

    Args:
        url: its address.
        file: where it is kept; folders above it are made.
        sha256: its checksum, 64 hexadecimal digits, if it is known.
        progress: a bar on standard error; by default in a terminal only.

    Errors: :class:`DataError` without a connection, for a refusal of the server (404 and its like), for a
    download that breaks off in three tries, and for a checksum that does not fit; nothing is put in place then.
    """
    noted = file.with_name(file.name + ".sha256")
    expected = sha256 or _noted(noted)
    if file.is_file() and expected in (digest(file), None):
        return file
    part = _claim(file)
    try:
        with _bar(progress, file.name) as told:
            _receive(url, part, told)
        found = digest(part)
        if expected not in (found, None):
            part.unlink()
            raise DataError(
                f"{file.name} is not the file that was expected; it was thrown away",
                given=f"SHA-256 {found}",
                expected=f"{expected}" + ("" if sha256 else ", as in the first download"),
                where=url,
                hint="try again; if it stays so, what lies at the source has changed",
            )
        part.replace(file)
        noted.write_text(f"{found}  {file.name}\n", encoding="utf-8")
        return file
    except BaseException:
        if part.exists() and part.stat().st_size:  # to be continued by the next call
            part.replace(_unfinished(file))
        part.unlink(missing_ok=True)
        raise


def digest(file: Path) -> str:
    """The SHA-256 of a file's content."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _noted(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8").split()[0]
    except (OSError, IndexError):
        return None


def _unfinished(file: Path) -> Path:
    return file.with_name(f".{file.name}.unfinished")


def _claim(file: Path) -> Path:
    """The file that is written to: of this process alone, with what an earlier one has received."""
    own = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            _unfinished(file).replace(own)
        own.touch()
    except OSError as error:
        raise DataError(
            f"{file.name} cannot be kept",
            given=f"'{file.parent}': {error.strerror}",
            expected="a folder that can be written to",
            hint="name another with the variable CHAINRULE_CACHE",
        ) from error
    return own


def _receive(url: str, part: Path, told: Told) -> None:
    """Download to the end, going on where it broke off."""
    problem = ""
    for _ in range(TRIES):
        try:
            if _go_on(url, part, told):
                return
            problem = f"broke off after {part.stat().st_size:,} bytes"
        except urllib.error.HTTPError as error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and part.stat().st_size:
                part.write_bytes(b"")  # what is there is no beginning of what is offered
                continue
            error.close()
            raise DataError(
                f"the server refuses {url}",
                given=f"{error.code} {error.reason}",
                expected="the file",
                hint="the file may have moved, or the server be out of order: try again later",
            ) from None
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            problem = str(getattr(error, "reason", error)) or type(error).__name__
            if isinstance(getattr(error, "reason", None), OSError) and not part.stat().st_size:
                break  # there is no connection: trying again at once is no help
    raise DataError(
        f"{url} cannot be downloaded",
        given=problem,
        expected="a connection to the network",
        hint="try again when there is one; what has been received is kept",
    )


def _go_on(url: str, part: Path, told: Told) -> bool:
    """Receive what is missing; whether all of it has come."""
    received = part.stat().st_size
    request = urllib.request.Request(url, headers={"User-Agent": "chainrule"})
    if received:
        request.add_header("Range", f"bytes={received}-")
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
            received = 0
        length = answer.headers.get("Content-Length")
        whole = None if length is None else received + int(length)
        with part.open("r+b") as out:
            out.truncate(received)
            out.seek(received)
            for block in _blocks(answer):
                out.write(block)
                received += len(block)
                told(received, whole)
    return whole is None or received == whole


def _blocks(answer: IO[bytes]) -> Iterator[bytes]:
    while block := answer.read(BLOCK):
        yield block


@contextlib.contextmanager
def _bar(wanted: bool | None, name: str) -> Iterator[Told]:
    """A function that is told what has been received, and shows it."""
    if not (sys.stderr.isatty() if wanted is None else wanted):
        yield lambda received, whole: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None)
        yield lambda received, whole: bar.update(task, completed=received, total=whole)
