"""The encoder: against calculations by hand, and against what users' tables hold."""

import json
import os
import time
import zipfile
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from chainrule.data import TableEncoder, ames, read_table
from chainrule.errors import DataError, RunError

MIXED = pl.DataFrame(
    {
        "size": [10.0, 20.0, None, 60.0, 30.0, 5.0],
        "garden": [True, False, True, None, True, True],
        "heated": ["yes", "no", "yes", "yes", "no", "yes"],
        "town": ["A", "B", "A", None, "B", None],
        "sold": [date(2020, 1, 1) + timedelta(days=40 * i) for i in range(6)],
    }
)


def feature(encoder: TableEncoder, table: pl.DataFrame, name: str) -> np.ndarray:
    return encoder.transform(table)[:, encoder.features.index(name)]


def test_every_kind_against_a_calculation_by_hand():
    encoder = TableEncoder().fit(MIXED)
    x = encoder.transform(MIXED)
    assert (x.dtype, x.shape) == (np.float32, (6, len(encoder.features)))
    assert encoder.features == [
        "size",
        "sold month",
        "sold weekday",
        "sold day of year",
        "garden",
        "heated",
        "size is missing",
        "garden is missing",
        "town=(missing)",
        "town=A",
        "town=B",
    ]
    size = np.array([10.0, 20.0, 20.0, 60.0, 30.0, 5.0])  # the median of the five is 20
    np.testing.assert_allclose(x[:, 0], (size - size.mean()) / size.std(), rtol=1e-6)
    months = np.array([d.month for d in MIXED["sold"]])
    np.testing.assert_allclose(x[:, 1], (months - months.mean()) / months.std(), rtol=1e-6)
    assert x[:, 4].tolist() == [1, 0, 1, 1, 1, 1]  # the missing one counts as the more frequent
    assert x[:, 5].tolist() == [1, 0, 1, 1, 0, 1]
    assert x[:, 6].tolist() == [0, 0, 1, 0, 0, 0]
    assert x[:, 7].tolist() == [0, 0, 0, 1, 0, 0]
    assert x[:, 8:].tolist() == [[0, 1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]]


def test_only_the_training_rows_are_learned_from():
    rows = np.array([0, 1, 3])
    encoder = TableEncoder().fit(MIXED.select("size"), rows)
    assert feature(encoder, MIXED, "size")[0] == pytest.approx((10 - 30) / np.std([10, 20, 60]), rel=1e-6)
    assert encoder.features == ["size"]  # nothing is missing in these rows


def test_the_kind_of_a_column_comes_from_all_rows():
    table = pl.DataFrame({"ok": ["yes", "no", "yes", "no", "maybe"], "n": [1, 2, 3, 4, 5]})
    assert TableEncoder().fit(table, np.arange(4)).features == ["n", "ok=no", "ok=yes"]


def test_rare_values_are_grouped_and_reported():
    values = ["a"] * 500 + ["b"] * 480 + ["r1"] * 2 + ["r2"] * 3
    table = pl.DataFrame({"c": values})
    encoder = TableEncoder().fit(table)  # 985 rows: a frequent value is in at least 5
    assert encoder.features == ["c=a", "c=b", "c=(other)"]
    assert encoder.transform(table).sum(axis=0).tolist() == [500, 480, 5]
    assert encoder.notes == ["rare values count as (other) in these columns: 'c'"]


def test_a_column_of_many_categories_is_capped():
    rng = np.random.default_rng(0)
    table = pl.DataFrame({"c": [f"v{i}" for i in rng.integers(0, 120, size=12_000)]})
    encoder = TableEncoder().fit(table)
    assert len(encoder.features) == 50
    assert encoder.features[-1] == "c=(other)"


def test_unknown_categories_are_zeros_or_other_and_are_told():
    table = pl.DataFrame({"c": ["a", "b"] * 10, "d": ["p"] * 10 + ["q"] * 8 + ["r", "s"]})
    encoder = TableEncoder().fit(table)
    remarks: list[str] = []
    x = encoder.transform(pl.DataFrame({"c": ["x", "a", "x", None], "d": ["p", "z", "q", "r"]}), remarks)
    assert encoder.features == ["c=a", "c=b", "d=p", "d=q", "d=(other)"]
    assert x.tolist() == [[0, 0, 1, 0, 0], [1, 0, 0, 0, 1], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]]
    assert remarks == [
        "'c': '(missing)', 'x' never seen in training (3 rows)",
        "'d': 'z' never seen in training (1 row)",
    ]


def test_useless_columns_are_left_out_and_reported():
    rows = 40
    table = pl.DataFrame(
        {
            "constant": [7] * rows,
            "empty": [None] * rows,
            "name": [f"person {i}" for i in range(rows)],
            "Id": range(rows),
            "list": [[1]] * rows,
            "pairs": [f"c{i // 1}" if i % 2 else None for i in range(rows)],
            "size": range(0, 2 * rows, 2),
        }
    )
    encoder = TableEncoder().fit(table)
    assert encoder.features == ["size"]
    assert [note.split("'")[1] for note in encoder.notes] == [
        "constant",
        "empty",
        "name",
        "Id",
        "list",
        "pairs",
    ]
    assert all(note.startswith("left out") for note in encoder.notes)


def test_no_usable_column_is_an_error_that_gives_the_reasons():
    with pytest.raises(DataError, match=r"(?s)no column is left.*'a': it has the same value.*'b': it is missing"):
        TableEncoder().fit(pl.DataFrame({"a": [1, 1], "b": [None, None]}))
    with pytest.raises(DataError, match="without columns beside the target"):
        TableEncoder().fit(pl.DataFrame())


def test_ambiguous_dates_are_read_day_first_and_reported():
    table = pl.DataFrame({"d": ["01/02/2020", "03/04/2020"], "e": ["13/02/2020", "03/04/2020"]})
    encoder = TableEncoder().fit(table)
    assert encoder.notes == ["'d': dates such as 01/02/2020 are read as day/month/year"]
    assert encoder.columns[0].text_format == "%d/%m/%Y"


def test_ambiguous_times_are_read_day_first_and_reported_too():
    encoder = TableEncoder().fit(pl.DataFrame({"d": ["01/02/2020 10:00", "02/03/2020 11:30"] * 2}))
    assert encoder.columns[0].text_format == "%d/%m/%Y %H:%M"
    assert any("day/month/year" in note for note in encoder.notes)


@pytest.mark.parametrize("name", ["zip code", "ZipCode", "zip", "postal_code", "PLZ", "customer zip"])
def test_whole_numbers_named_like_codes_are_categories(name):
    table = pl.DataFrame({name: [10115, 20095, None] * 2, "size": [1, 2, 3, 4, 5, 6]})
    encoder = TableEncoder().fit(table)
    assert encoder.features == ["size", f"{name}=(missing)", f"{name}=10115", f"{name}=20095"]
    assert any(f"'{name}'" in note and "categories" in note for note in encoder.notes)
    as_text = table.with_columns(pl.col(name).cast(pl.String))
    assert (encoder.transform(as_text) == encoder.transform(table)).all()


@pytest.mark.parametrize(
    ("name", "values"),
    [("zip code", list(range(10_000, 10_100))), ("zipper length", [3, 5] * 50), ("zip code", [1.5, 2.5] * 50)],
)
def test_other_numbers_stay_numbers(name, values):
    assert TableEncoder().fit(pl.DataFrame({name: values})).features == [name]


def test_missing_values_where_training_had_none_are_imputed():
    encoder = TableEncoder().fit(pl.DataFrame({"n": [1.0, 2.0, 6.0]}))
    new = pl.DataFrame({"n": [None, 2.0]})
    assert encoder.features == ["n"]
    assert encoder.transform(new)[0] == encoder.transform(new)[1]
    assert encoder.transform(pl.DataFrame({"n": [None]})).shape == (1, 1)


def test_no_rows_give_no_rows():
    assert TableEncoder().fit(MIXED).transform(MIXED.head(0)).shape == (0, 11)


# other tables


def test_missing_columns_are_all_named():
    encoder = TableEncoder().fit(MIXED)
    with pytest.raises(DataError) as caught:
        encoder.transform(MIXED.rename({"size": "Size", "town": "city"}))
    message = str(caught.value)
    assert "2 columns are missing: 'size', 'town'" in message
    assert "'size': did you mean 'Size'?" in message


def test_extra_columns_and_another_order_do_not_matter():
    encoder = TableEncoder().fit(MIXED)
    other = MIXED.select(reversed(MIXED.columns)).with_columns(extra=pl.lit("x"), bad=pl.lit(float("inf")))
    np.testing.assert_array_equal(encoder.transform(other), encoder.transform(MIXED))


def test_columns_left_out_in_training_are_not_asked_for():
    encoder = TableEncoder().fit(MIXED.with_columns(constant=pl.lit(1)))
    assert encoder.transform(MIXED).shape == (6, 11)


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("size", ["1", "2", "x", "4", "5", "6"], "learned as numbers, but holds 'x' in row 3 (line 4"),
        ("size", [1.0, 2.0, 3.0, 4.0, float("inf"), 6.0], "'size' holds an infinity in row 5 (line 6"),
        (
            "heated",
            ["yes", "no", "so so", "no", "no", "no"],
            "learned as truth values, but holds 'so so' in row 3",
        ),
        ("sold", ["1", "2", "3", "4", "5", "6"], "learned as dates, but holds '1' in row 1"),
        ("size", [1e40] * 6, "'size' is too far"),
        ("size", [1e200] * 6, "too large"),
    ],
)
def test_values_that_do_not_fit_are_named_with_their_row(column, values, says):
    encoder = TableEncoder().fit(MIXED)
    with pytest.raises(DataError) as caught:
        encoder.transform(MIXED.with_columns(pl.Series(column, values)))
    assert says in str(caught.value)


def test_infinities_in_training_are_named():
    with pytest.raises(DataError, match=r"'a' holds an infinity in row 2 \(line 3"):
        TableEncoder().fit(pl.DataFrame({"a": [1.0, float("inf"), 3.0]}))


def test_values_of_another_type_that_mean_the_same():
    encoder = TableEncoder().fit(pl.DataFrame({"n": [1, 2, 3], "b": [True, False, True], "c": ["1", "2", "1"]}))
    a = encoder.transform(pl.DataFrame({"n": ["1", "2"], "b": ["TRUE", "false"], "c": [1.0, 2.0]}))
    b = encoder.transform(pl.DataFrame({"n": [1.0, 2.0], "b": [1, 0], "c": ["1", "2"]}))
    np.testing.assert_array_equal(a, b)


def test_transform_before_fit():
    with pytest.raises(DataError, match="not learned anything"):
        TableEncoder().transform(MIXED)


def test_ten_thousand_columns():
    values = np.random.default_rng(0).normal(size=(50, 10_000))
    table = pl.DataFrame(values, schema=[f"c{i}" for i in range(10_000)])
    start = time.perf_counter()
    x = TableEncoder().fit(table).transform(table)
    assert time.perf_counter() - start < 60
    np.testing.assert_allclose(x, (values - values.mean(0)) / values.std(0), rtol=1e-4, atol=1e-5)


def test_messages_alone_leave_nothing_to_learn_from():
    folder = os.environ.get("CHAINRULE_DATA")
    if not folder or not os.path.exists(os.path.join(folder, "sms.csv")):
        pytest.skip("CHAINRULE_DATA names no folder with sms.csv")
    table = read_table(os.path.join(folder, "sms.csv"))
    assert table.columns == ["label", "message"]
    assert set(table["label"]) == {"ham", "spam"}
    with pytest.raises(DataError, match="identifiers or free text"):
        TableEncoder().fit(table.select("message"))


# files


@pytest.fixture
def saved(tmp_path):
    encoder = TableEncoder().fit(MIXED)
    encoder.save(tmp_path / "run")
    return tmp_path / "run"


def test_saved_and_loaded_it_is_the_same(saved):
    loaded, encoder = TableEncoder.load(saved), TableEncoder().fit(MIXED)
    np.testing.assert_array_equal(loaded.transform(MIXED), encoder.transform(MIXED))
    assert (loaded.columns, loaded.features, loaded.notes) == (
        encoder.columns,
        encoder.features,
        encoder.notes,
    )
    assert sorted(file.name for file in saved.iterdir()) == ["preprocessing.json", "preprocessing.skops"]
    assert json.loads((saved / "preprocessing.json").read_text())["features"] == encoder.features


def test_the_houses_saved_and_loaded(tmp_path):
    table = ames().drop("Sale_Price")
    encoder = TableEncoder().fit(table)
    encoder.save(tmp_path)
    np.testing.assert_array_equal(TableEncoder.load(tmp_path).transform(table), encoder.transform(table))


@pytest.mark.parametrize("name", ["preprocessing.json", "preprocessing.skops"])
@pytest.mark.parametrize("damage", ["missing", "cut", "altered"])
def test_damaged_files_are_named(saved, name, damage):
    file = saved / name
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    else:
        middle = content.index(b"town") if name.endswith("json") else len(content) // 2
        file.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    with pytest.raises(RunError, match=name.replace(".", r"\.")):
        TableEncoder.load(saved)


def test_a_newer_format_is_refused(saved):
    file = saved / "preprocessing.json"
    file.write_text(file.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(RunError, match="newer chainrule"):
        TableEncoder.load(saved)


class Stranger:
    """A type that skops has no reason to trust."""


def test_types_of_others_are_refused(tmp_path):
    from chainrule.data.storage import read_parts, write_parts

    file = tmp_path / "parts.skops"
    checksum = write_parts(file, {"numbers": Stranger()})
    with pytest.raises(RunError, match=r"(?s)parts\.skops holds types that are not read.*Stranger"):
        read_parts(file, checksum)


def test_columns_of_codes_are_categories_if_named():
    table = pl.DataFrame({"district": [3, 7, 11, None] * 25, "rooms": [2, 3, 4, 5] * 25, "wing": [0.0, 1.0] * 50})
    plain = TableEncoder().fit(table)
    assert plain.features == ["district", "rooms", "wing", "district is missing"]
    named = TableEncoder().fit(table, categories=["district", "wing"])
    expected = ["rooms", *(f"district={v}" for v in ("(missing)", "11", "3", "7")), "wing=0", "wing=1"]
    assert named.features == expected
    remarks = []
    row = named.transform(pl.DataFrame({"district": [5], "rooms": [3], "wing": [1.0]}), remarks)[0]
    assert row[1:].tolist() == [0, 0, 0, 0, 0, 1]
    assert remarks == ["'district': '5' never seen in training (1 row)"]
    unique = TableEncoder().fit(pl.DataFrame({"n": [1, 2] * 20, "key": range(40)}), categories=["key"])
    assert unique.features == ["n"]
    assert "left out 'key': 40 different texts in 40 rows are identifiers" in unique.notes[0]
    with pytest.raises(DataError, match=r"(?s)no column 'distrct'.*district"):
        TableEncoder().fit(table, categories=["distrct"])


def test_a_zip_of_something_else_is_refused(tmp_path):
    import hashlib

    from chainrule.data.storage import read_parts

    file = tmp_path / "parts.skops"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("schema.json", "{}")
    with pytest.raises(RunError, match=r"parts\.skops is damaged"):
        read_parts(file, hashlib.sha256(file.read_bytes()).hexdigest())
