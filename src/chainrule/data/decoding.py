"""Bytes of a text table -> its text and its separator: encodings, byte order marks, gzip."""

from __future__ import annotations

import csv
import gzip
import io
import zlib

from chainrule.errors import DataError

SEPARATORS = ("\t", ";", "|", ",")  # in order of preference: a comma is often part of a text
SAMPLE_LINES = 50
MAGIC = {
    b"PK\x03\x04": "an Excel workbook or another zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF document",
    b"PAR1": "a Parquet file: let its name end in .parquet",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"SQLite": "an SQLite database",
}


def unpack(content: bytes, name: str) -> bytes:
    """The content of a gzip file; other bytes as they are.

    >>> unpack(gzip.compress(b"a,b"), "t.csv.gz")
    b'a,b'
    """
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"the compressed file {name} cannot be unpacked",
            given=error,
            expected="a complete gzip file",
            hint="it is probably cut off: copy or download it again",
        ) from error


def decode(content: bytes, name: str) -> str:
    r"""Text of bytes in UTF-8 or UTF-16 (with or without byte order mark), else Windows-1252, else Latin-1.

    Every line ends in ``\n`` alone afterwards. Raises DataError for bytes that are no text.

    >>> decode("Größe,Preis".encode("cp1252"), "t.csv")
    'Größe,Preis'
    >>> decode("a;b".encode("utf-16"), "t.csv")
    'a;b'
    """
    for magic, what in MAGIC.items():
        if content.startswith(magic):
            raise _not_text(name, f"the bytes of {what}")
    text = None
    for encoding in _candidates(content):
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    if text is None or _is_binary(text[:100_000]):
        raise _not_text(name, f"bytes that begin with {content[:12]!r}")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text


def _candidates(content: bytes) -> tuple[str, ...]:
    if content.startswith(b"\xef\xbb\xbf"):
        return ("utf-8-sig", "cp1252", "latin-1")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return ("utf-16",)
    head = content[:1000]
    if head[1::2].count(0) > len(head) // 4:  # Western text without its mark: every second byte is zero
        return ("utf-16-le",)
    if head[0::2].count(0) > len(head) // 4:
        return ("utf-16-be",)
    return ("utf-8", "cp1252", "latin-1")


def _is_binary(text: str) -> bool:
    control = sum(text.count(chr(code)) for code in range(32) if chr(code) not in "\t\n\r\x0b\x0c\x1a")
    return "\0" in text or control > len(text) / 100


def _not_text(name: str, given: str) -> DataError:
    return DataError(
        f"{name} holds no readable text",
        given=given,
        expected="a text table in UTF-8, UTF-16 or Latin-1, or a Parquet file",
        hint="export the table as CSV (in a spreadsheet: Save as, CSV UTF-8)",
    )


def separator_of(text: str, preferred: str | None = None) -> str:
    r"""The separator that gives most of the first lines as many fields as the header; else the comma.

    >>> separator_of("name;price\nA, B;1,5\nC;2,5\n")
    ';'
    """
    lines = io.StringIO(text)
    sample = "".join(line for line, _ in zip(lines, range(SAMPLE_LINES), strict=False))
    best, best_score = ",", (0.0, False)
    for candidate in SEPARATORS:
        widths = _widths(sample, candidate)
        if len(widths) == 0 or widths[0] < 2:
            continue
        share = sum(width == widths[0] for width in widths) / len(widths)
        score = (share, candidate == preferred)
        if score > best_score:
            best, best_score = candidate, score
    return best


def _widths(sample: str, separator: str) -> list[int]:
    try:
        return [len(row) for row in csv.reader(io.StringIO(sample), delimiter=separator) if row]
    except csv.Error:  # a cell longer than the csv module takes
        return [len(line.split(separator)) for line in sample.splitlines() if line]


def header_of(text: str, separator: str) -> tuple[list[str], int]:
    r"""The column names of the first record, blanks cut, and the number of lines it takes.

    >>> header_of('a, b ,"c"\n1,2,3', ",")
    (['a', 'b', 'c'], 1)
    """
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    names = [name.strip() for name in next(reader)]
    return names, reader.line_num


def first_ragged_line(text: str, separator: str, width: int) -> tuple[int, int] | None:
    r"""Line number and field count of the first record with more than `width` fields, or None.

    >>> first_ragged_line("a,b\n1,2\n1,2,3\n", ",", 2)
    (3, 3)
    """
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    start = 1
    try:
        for row in reader:
            if len(row) > width:
                return start, len(row)
            start = reader.line_num + 1
    except csv.Error:
        return None
    return None
