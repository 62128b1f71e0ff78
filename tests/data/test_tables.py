"""Reading tables: the forms a file comes in, and what is said about the ones that cannot be read."""

import gzip
import io
import os
import subprocess
import sys
import time
from datetime import date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from chainrule.data import NULL_MARKERS, as_table, read_table
from chainrule.errors import DataError

CITIES = "Größe,Stadt,Preis\n" + "".join(f"{i},Köln – {i % 7},{i / 4}\n" for i in range(3000))


def write(folder: Path, content: str | bytes, name: str = "table.csv") -> Path:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def read(folder: Path, content: str | bytes, name: str = "table.csv") -> dict:
    return read_table(write(folder, content, name)).to_dict(as_series=False)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_encoding_gives_the_same_table(tmp_path, encoding, newline):
    table = read_table(write(tmp_path, CITIES.replace("\n", newline).encode(encoding)))
    assert table.columns == ["Größe", "Stadt", "Preis"]
    assert table.height == 3000
    assert table.row(2999) == (2999, "Köln – 3", 749.75)


def test_latin1_whose_first_special_letter_is_in_the_last_of_thousands_of_rows(tmp_path):
    text = "name,size\n" + "".join(f"x{i % 9},{i}\n" for i in range(5000)) + "Zoë,1\n"
    assert read_table(write(tmp_path, text.encode("latin-1")))["name"][-1] == "Zoë"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found(tmp_path, separator):
    rows = [["size", "town", "note"], ["1.5", "A, B", "x"], ["2", "C", '"y"']]
    text = "\n".join(separator.join(f'"{c}"' if "," in c else c for c in row) for row in rows)
    assert read(tmp_path, text) == {"size": [1.5, 2.0], "town": ["A, B", "C"], "note": ["x", "y"]}


def test_a_single_column_has_no_separator(tmp_path):
    assert read(tmp_path, "size\n1\n2\n") == {"size": [1, 2]}


def test_gzip_and_tsv(tmp_path):
    assert read(tmp_path, gzip.compress(b"a,b\n1,2\n", mtime=0), "t.csv.gz") == {"a": [1], "b": [2]}
    assert read(tmp_path, "a\tb\n1,5\t2\n", "t.tsv") == {"a": [1.5], "b": [2]}


def test_decimal_comma_in_a_semicolon_file(tmp_path):
    text = "a;b;c;d\n1,5;1.234,5;0.25;1.234\n2;950;0.5;5.000\n"
    assert read(tmp_path, text) == {
        "a": [1.5, 2.0],
        "b": [1234.5, 950.0],
        "c": [0.25, 0.5],
        "d": [1234, 5000],
    }


def test_grouped_thousands_in_a_comma_file(tmp_path):
    assert read(tmp_path, 'a,b\n"215,000",1\n950,2\n')["a"] == [215000, 950]
    assert read(tmp_path, "a\tb\n215,000\t1\n950\t2\n")["a"] == [215000, 950]
    assert read(tmp_path, "a;b\n2,125;1\n9,5;2\n")["a"] == [2.125, 9.5]


@pytest.mark.parametrize("marker", [*NULL_MARKERS, " NA ", '""'])
def test_null_markers_are_missing(tmp_path, marker):
    assert read(tmp_path, f"a,b\n1,x\n{marker},y\n") == {"a": [1, None], "b": ["x", "y"]}
    assert read(tmp_path, f"a,b\n1,x\n2,{marker}\n")["b"] == ["x", None]


def test_the_markers_of_the_documentation():
    assert {"", "NA", "N/A", "NaN", "nan", "null", "None", "?", "-"} <= set(NULL_MARKERS)


def test_types(tmp_path):
    text = (
        "i,f,e,t,yes,d,dt,zip,big,s\n"
        "+1,.5,1e3,TRUE,yes,2020-02-29,2020-02-29 10:30:00,02134,99999999999999999999,x\n"
        "-2,5.,-1E-2,false,no,2021-12-31,2021-12-31 00:00:01,90210,1,1\n"
    )
    table = read_table(write(tmp_path, text))
    assert table.row(0)[:5] == (1, 0.5, 1000.0, True, "yes")
    assert table.row(1)[:5] == (-2, 5.0, -0.01, False, "no")
    assert table["d"].to_list() == [date(2020, 2, 29), date(2021, 12, 31)]
    assert table["dt"].to_list() == [datetime(2020, 2, 29, 10, 30), datetime(2021, 12, 31, 0, 0, 1)]
    assert table["zip"].to_list() == ["02134", "90210"]
    assert table["big"].to_list() == [1e20, 1.0]
    assert table["s"].to_list() == ["x", "1"]


def test_dates_that_do_not_exist_stay_texts(tmp_path):
    assert read(tmp_path, "d\n2021-02-29\n2021-03-01\n")["d"] == ["2021-02-29", "2021-03-01"]


def test_blank_lines_around_the_table_do_not_count(tmp_path):
    assert read(tmp_path, "\n\na,b\n1,2\n\n\n") == {"a": [1], "b": [2]}


def test_a_header_cell_without_a_name_gets_one(tmp_path):
    assert list(read(tmp_path, ",b,\n1,2,3\n")) == ["column 1", "b", "column 3"]


def test_parquet_keeps_its_types_and_nan_is_missing(tmp_path):
    table = pl.DataFrame({"a": [1.5, float("nan")], "b": ["x", None], "c": ["01", "2"]})
    table.write_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").rows() == [(1.5, "x", "01"), (None, None, "2")]


def test_ten_thousand_columns(tmp_path):
    columns, rows = 10_000, 60
    values = np.random.default_rng(0).normal(size=(rows, columns)).round(3)
    buffer = io.StringIO()
    np.savetxt(buffer, values, delimiter=",", fmt="%.3f", header=",".join(map(str, range(columns))), comments="")
    start = time.perf_counter()
    table = read_table(write(tmp_path, buffer.getvalue()))
    assert time.perf_counter() - start < 30
    np.testing.assert_array_equal(table.to_numpy(), values)


# what cannot be read


def refused(folder: Path, content: str | bytes, name: str = "table.csv") -> str:
    with pytest.raises(DataError) as caught:
        read_table(write(folder, content, name))
    assert "expected:" in str(caught.value)
    return str(caught.value)


def numbers_with(row: int, text: str, rows: int = 40) -> list[str]:
    return [text if i == row else str(i) for i in range(rows)]


def test_text_among_numbers_names_column_line_and_text(tmp_path):
    lines = ["id,size"] + [f"a,{v}" for v in numbers_with(6, "twelve")]
    message = refused(tmp_path, "\n".join(lines))
    for part in ("'size'", "line 8", "row 7", "'twelve'", "hint:"):
        assert part in message
    assert "twelve" in lines[8 - 1]


def test_the_line_counts_breaks_inside_quotes_and_blank_lines_at_the_top(tmp_path):
    rows = [f'"a\nb",{v}' for v in numbers_with(6, "twelve")]
    text = '\n"first\nname",size\n' + "\n".join(rows)
    message = refused(tmp_path, text)
    line = int(message.split("in line ")[1].split()[0])
    assert text.split("\n")[line - 1 :][:2] == ['"a', 'b",twelve']


@pytest.mark.parametrize(("rows", "texts", "is_error"), [(9, 1, False), (10, 1, True), (100, 5, True), (100, 6, False)])
def test_nearly_all_numbers_is_a_mistake_and_mixed_is_a_category(tmp_path, rows, texts, is_error):
    cells = ["x1"] * texts + [str(i) for i in range(rows - texts)]
    content = "size\n" + "\n".join(cells)
    if is_error:
        assert f"{rows - texts} numbers and {texts} other" in refused(tmp_path, content)
    else:
        assert read_table(write(tmp_path, content))["size"].to_list() == cells


def test_missing_file_suggests_a_near_name(tmp_path):
    write(tmp_path, "a\n1\n", "houses.csv")
    with pytest.raises(DataError, match=r"(?s)there is no file.*did you mean 'houses\.csv'"):
        read_table(tmp_path / "house.csv")
    with pytest.raises(DataError, match=r"holds 'houses\.csv'"):
        read_table(tmp_path / "zzzzzzzzzzzzzzz.parquet")
    with pytest.raises(DataError, match="there is no folder"):
        read_table(tmp_path / "none" / "house.csv")


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        read_table(tmp_path)


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        ("", "t.csv", "is empty"),
        ("\n \n\n", "t.csv", "is empty"),
        ("", "t.parquet", "is empty"),
        ("a,b\n", "t.csv", "no rows"),
        ("a,b", "t.csv", "no rows"),
        ("a,b,a\n1,2,3\n", "t.csv", "several columns named 'a'"),
        ("a, a\n1,2\n", "t.csv", "columns 1, 2"),
        ("a,b\n1,2\n1,2,3\n", "t.csv", "line 3 of t.csv has more fields"),
        ("\na,b\n1,2\n1,2,3\n", "t.csv", "line 4 of t.csv has more fields"),
        ('a,b\n"x,1\n2,3\n', "t.csv", "quotation mark"),
        (b"PK\x03\x04aaaa", "t.csv", "Excel"),
        (bytes(range(256)) * 20, "t.csv", "no readable text"),
        (gzip.compress(b"a,b\n1,2\n" * 100, mtime=0)[:-12], "t.csv.gz", "cannot be unpacked"),
        (b"PAR1 and then nothing", "t.parquet", "not a readable Parquet"),
        ("a,b\n1,2\n", "t.xlsx", "ending"),
        ("a,b\n1,2\n", "table", "no ending"),
    ],
)
def test_unreadable_files(tmp_path, content, name, says):
    assert says in refused(tmp_path, content, name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(DataError, match="not a file"):
        read_table(tmp_path / "pipe.csv")


# tables in memory


def test_as_table_of_a_mapping():
    table = as_table({"a": np.array([1.0, np.nan]), "b": ("x", None), 3: pl.Series([True, False])})
    assert table.to_dict(as_series=False) == {"a": [1.0, None], "b": ["x", None], "3": [True, False]}


def test_as_table_of_polars():
    table = pl.DataFrame({"a": [1.0, float("nan")]})
    assert as_table(table)["a"].to_list() == as_table(table.lazy())["a"].to_list() == [1.0, None]


def test_as_table_of_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "n": [1.5, None],
            "s": ["x", None],
            "i": pandas.array([1, None], dtype="Int64"),
            "d": pandas.to_datetime(["2020-01-02", None]),
            "c": pandas.Categorical(["p", "q"]),
            "o": [1, "x"],
        },
        index=[7, 9],
    )
    assert as_table(frame).rows() == [
        (1.5, "x", 1, datetime(2020, 1, 2), "p", "1"),
        (None, None, None, None, "q", "x"),
    ]
    frame.columns = list("aabcde")
    with pytest.raises(DataError, match=r"(?s)several columns of one name.*'a'"):
        as_table(frame)


def test_objects_of_mixed_types_follow_the_rules_of_a_file():
    assert as_table({"a": ["1", 2, "x"]})["a"].to_list() == ["1", "2", "x"]
    with pytest.raises(DataError, match="'a' holds numbers, but text in line 22"):
        as_table({"a": [*range(20), "x"]})


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (7, "this is no table"),
        ([[1, 2]], "this is no table"),
        ({"a": [1], "b": [1, 2]}, "'a': 1, 'b': 2"),
        ({"a": np.zeros((2, 2))}, "(2, 2)"),
    ],
)
def test_what_is_no_table(frame, says):
    with pytest.raises(DataError) as caught:
        as_table(frame)
    assert says in str(caught.value)


def test_importing_the_room_loads_nothing_heavy():
    code = "import sys, chainrule.data; print({'polars', 'sklearn', 'skops', 'narwhals'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_every_public_name_exists():
    import chainrule.data

    for name in chainrule.data.__all__:
        assert getattr(chainrule.data, name) is not None
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = chainrule.data.nothing_like_it
