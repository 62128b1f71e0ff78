"""Files of fitted preprocessing: readable JSON with a checksum, and scikit-learn parts through skops.

Reading them executes no code. Every file is written under a temporary name and renamed when complete.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from chainrule.errors import RunError

FORMAT = 1
TRUSTED = ("numpy.dtype",)  # beside what skops trusts by itself: types of scikit-learn, NumPy and SciPy


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Write `content` with the format's number and a checksum of the rest."""
    body = {"format": FORMAT, **content}
    _write(
        file,
        (json.dumps({**body, "checksum": _checksum(body)}, indent=1, ensure_ascii=False) + "\n").encode(),
    )


def read_json(file: Path) -> dict[str, Any]:
    """What :func:`write_json` wrote; RunError naming the file if it is missing, cut off or altered."""
    content = _read(file)
    try:
        body = json.loads(content.decode())
    except ValueError as error:
        raise _damaged(file, str(error)) from error
    if not isinstance(body, dict):
        raise _damaged(file, f"a {type(body).__name__}")
    if isinstance(body.get("format"), int) and body["format"] > FORMAT:
        raise RunError(
            f"{file} was written by a newer chainrule",
            given=f"format {body['format']}",
            expected=f"format {FORMAT} or older",
            hint="install the newest chainrule: pip install --upgrade chainrule",
        )
    checksum = body.pop("checksum", None)
    if checksum != _checksum(body):
        raise _damaged(file, "a checksum that does not fit the content")
    return body


def write_parts(file: Path, parts: dict[str, Any]) -> str:
    """Write fitted scikit-learn parts; returns the SHA-256 of the file."""
    import skops.io

    content = skops.io.dumps(parts)
    _write(file, content)
    return hashlib.sha256(content).hexdigest()


def read_parts(file: Path, checksum: str) -> dict[str, Any]:
    """The fitted parts of a file of :func:`write_parts`.

    RunError naming the file if it is missing, not the one with that SHA-256, or holds types of other
    libraries.
    """
    import skops.io

    content = _read(file)
    if hashlib.sha256(content).hexdigest() != checksum:
        raise _damaged(file, f"{len(content):,} bytes whose checksum is not the one that was noted when it was saved")
    try:
        foreign = sorted(set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED))
        if foreign:
            raise RunError(
                f"{file} holds types that are not read",
                given=", ".join(foreign[:5]),
                expected="types of scikit-learn and NumPy alone",
                hint="reading them could execute code: use a run that chainrule saved",
            )
        parts = skops.io.loads(content, trusted=list(TRUSTED))
    except RunError:
        raise
    except Exception as error:  # whatever a zip of unknown content makes skops raise
        raise _damaged(file, f"{type(error).__name__}: {error}") from error
    if not isinstance(parts, dict):
        raise _damaged(file, f"a {type(parts).__name__}")
    return parts


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _write(file: Path, content: bytes) -> None:
    unfinished = file.with_name(f"{file.name}.{os.getpid()}.unfinished")
    unfinished.write_bytes(content)
    unfinished.replace(file)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise RunError(
            f"{file} cannot be read",
            given=error.strerror or str(error),
            expected="a complete run folder",
            hint="the run was not saved to its end, or its files were moved: train again",
        ) from error


def _damaged(file: Path, given: str) -> RunError:
    return RunError(
        f"{file} is damaged or was altered",
        given=given,
        expected="the file as chainrule saved it",
        hint="copy the run folder again, or train again",
    )
