"""Kinds of columns, and columns read as a kind."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal

import polars as pl
import pytest

from chainrule.data import kinds
from chainrule.errors import DataError


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "number"),
        ([Decimal("1.5")], "number"),
        ([timedelta(hours=1)], "number"),
        ([time(12)], "number"),
        ([True, None], "boolean"),
        (["Yes", "no", None], "boolean"),
        (["Y", "N"], "boolean"),
        (["yes", "no", "maybe"], "category"),
        (["yes", "n"], "category"),
        ([date(2020, 1, 1)], "date"),
        (["24.12.2020", None], "date"),
        (["2020/12/24"], "date"),
        (["2020-12-24T10:00:00Z"], "date"),
        (["24.12.2020", "soon"], "category"),
        ([[1, 2]], None),
        ([b"x"], None),
    ],
)
def test_kind_of(values, kind):
    assert kinds.kind_of(pl.Series("c", values)) == kind


def test_categorical_types_are_categories():
    assert kinds.kind_of(pl.Series(["a", "b"], dtype=pl.Categorical)) == "category"
    assert kinds.as_categories(pl.Series(["a", None], dtype=pl.Enum(["a", "b"]))).to_list() == [
        "a",
        "(missing)",
    ]


@pytest.mark.parametrize(
    ("texts", "text_format"),
    [
        (["31/12/2020", "01/02/2021"], "%d/%m/%Y"),
        (["12/31/2020", "01/02/2021"], "%m/%d/%Y"),
        (["01/02/2021"], "%d/%m/%Y"),
        (["31.12.2020"], "%d.%m.%Y"),
        (["1.2.2020 8:05", "24.12.2020 23:59"], "%d.%m.%Y %H:%M"),
        (["12/31/2020 08:05:30"], "%m/%d/%Y %H:%M:%S"),
        (["24.12.2020", "24.12.2020 23:59"], None),
        (["1.2.3"], None),
        (["32.12.2020"], None),
        (["24.12.2020", "24.12.20"], None),
        ([], None),
    ],
)
def test_date_formats(texts, text_format):
    assert kinds.date_format(pl.Series(texts, dtype=pl.String)) == text_format


def test_dates_of_every_form_are_the_same_day():
    day = datetime(2020, 2, 1)
    assert kinds.as_dates(pl.Series(["01/02/2020"]), "%d/%m/%Y")[0] == day
    assert kinds.as_dates(pl.Series([date(2020, 2, 1)]), None)[0] == day
    zoned = pl.Series([day]).dt.replace_time_zone("Europe/Berlin")
    assert kinds.as_dates(zoned, None)[0] == datetime(2020, 1, 31, 23)
    iso = pl.Series(["2020-02-01T01:00:00+01:00"])
    assert kinds.as_dates(iso, kinds.date_format(iso))[0] == day


def test_date_features_against_the_standard_library():
    days = [datetime(2019, 12, 31, 23, 59), datetime(2020, 2, 29, 6, 30), datetime(2024, 12, 31)]
    features = kinds.date_features(pl.Series("d", days))
    assert features["d year"].to_list() == [d.year for d in days]
    assert features["d month"].to_list() == [d.month for d in days]
    assert features["d weekday"].to_list() == [d.isoweekday() for d in days]
    assert features["d day of year"].to_list() == [d.timetuple().tm_yday for d in days]
    assert features["d hour"].to_list() == pytest.approx([d.hour + d.minute / 60 for d in days])


def test_numbers_of_times():
    assert kinds.as_numbers(pl.Series([timedelta(hours=1, milliseconds=500)])).to_list() == [3600.5]
    assert kinds.as_numbers(pl.Series([time(6, 30)])).to_list() == [6.5]
    assert kinds.as_numbers(pl.Series([None, None])).to_list() == [None, None]


@pytest.mark.parametrize(
    ("read", "values", "shown"),
    [
        (kinds.as_numbers, ["1", "2", "big"], "'big' in row 3"),
        (kinds.as_numbers, [date(2020, 1, 1)], "2020-01-01 in row 1"),
        (kinds.as_booleans, ["yes", "perhaps"], "'perhaps' in row 2"),
        (kinds.as_booleans, [0, 1, 2], "2 in row 3"),
        (lambda c: kinds.as_dates(c, "%d.%m.%Y"), ["24.12.2020", "12/24/2020"], "'12/24/2020' in row 2"),
        (lambda c: kinds.as_dates(c, None), [1.5], "1.5 in row 1"),
    ],
)
def test_a_value_of_another_kind_is_named_with_its_row(read, values, shown):
    with pytest.raises(DataError) as caught:
        read(pl.Series("c", values))
    assert shown in str(caught.value)
    assert "'c'" in str(caught.value)
