"""Small real data sets as arrays, for experiments that bring no data of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from chainrule.errors import ConfigurationError, near

Array = np.ndarray[Any, Any]


def _diabetes() -> Any:
    from sklearn.datasets import load_diabetes

    return load_diabetes(return_X_y=True, scaled=False)


def _digits() -> Any:
    from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)


def _tumours() -> Any:
    from sklearn.datasets import load_breast_cancer

    return load_breast_cancer(return_X_y=True)


def _houses() -> Any:
    from chainrule.data.house_prices import ames

    table = ames()
    return table.select(HOUSE_COLUMNS).fill_null(0).to_numpy(), table["Sale_Price"].to_numpy().astype(np.float64)


HOUSE_COLUMNS = ("Gr_Liv_Area", "Year_Built", "Total_Bsmt_SF", "Garage_Area", "Lot_Area", "Full_Bath")
SAMPLES: Mapping[str, Callable[[], Any]] = {
    "diabetes": _diabetes,
    "digits": _digits,
    "houses": _houses,
    "tumours": _tumours,
}


def sample(name: str) -> tuple[Array, Array]:
    """Examples (m, k) and labels (m,) of a small real data set.

    Args:
        name: ``"diabetes"``: 442 patients, 10 measurements, how far the disease went on in a year (Efron et al. 2004);
            ``"digits"``: 1,797 handwritten digits of 8 × 8 pixels (Alpaydin and Kaynak 1998); ``"houses"``: 2,930
            houses, living area, year, areas of basement, garage and lot, baths, and the price (De Cock 2011);
            ``"tumours"``: 569 tumours, 30 measurements, 1 for benign (Street et al. 1993).

    >>> X, Y = sample("digits")
    >>> X.shape, Y.shape
    ((1797, 64), (1797,))
    """
    if name not in SAMPLES:
        raise ConfigurationError(
            "no such data set", given=repr(name), expected=", ".join(SAMPLES), hint=near(name, SAMPLES)
        )
    X, Y = SAMPLES[name]()
    return np.asarray(X, np.float64), np.asarray(Y)
