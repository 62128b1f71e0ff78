"""Fisher's irises, the table of the first figures."""

from __future__ import annotations

import polars as pl


def iris() -> pl.DataFrame:
    """150 irises: length and width of sepal and petal in cm, and the ``species``, one of three.

    Fisher (1936), The use of multiple measurements in taxonomic problems, as scikit-learn brings it.

    >>> iris().columns
    ['sepal length', 'sepal width', 'petal length', 'petal width', 'species']
    """
    from sklearn.datasets import load_iris

    found = load_iris()
    table = pl.DataFrame(found.data, schema=[name.removesuffix(" (cm)") for name in found.feature_names])
    return table.with_columns(species=pl.Series([str(found.target_names[k]) for k in found.target]))
