"""What a diagnosis has to know of the examples and labels, noted while they are at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
MOST_COLUMNS = 5000
"""Of more columns than this, only the first are looked at one by one."""


def facts_of(arrays: Sequence[Array], labels: Array | None, loss: str) -> dict[str, Any]:
    """Facts about the training examples, as plain data.

    Returns:
        rows, columns; mean and spread of each column; constant: pairs of a column and its value; duplicates: pairs of
        equal columns of more than two values; alone: for the two columns that tell most of the labels, the column and
        the share of their variance that it explains alone; counts: of the classes; lowest, highest: of labels that
        are numbers; baseline: the cost of the best constant prediction, or None. Of labels that there are not, nothing.
    """
    tables = [a.reshape(len(a), -1)[:, :MOST_COLUMNS] for a in arrays if a.dtype.kind in "biuf"]
    table = np.concatenate(tables, axis=1).astype(np.float64) if tables else np.zeros((len(arrays[0]), 0))
    mean, spread = table.mean(axis=0), table.std(axis=0)
    flat = np.ptp(table, axis=0) == 0
    columns: dict[bytes, int] = {}
    duplicates = []
    for k in np.flatnonzero(~flat):
        if np.isin(table[:, k], (table[0, k], table[:, k].max(), table[:, k].min())).all():
            continue  # indicators of related categories often coincide
        first = columns.setdefault(table[:, k].tobytes(), int(k))
        if first != k:
            duplicates.append([first, int(k)])
    return {
        "rows": len(table),
        "columns": table.shape[1],
        "mean": mean.tolist(),
        "spread": spread.tolist(),
        "constant": [[int(k), float(table[0, k])] for k in np.flatnonzero(flat)] if len(table) else [],
        "duplicates": duplicates,
        **_facts_of_labels(table, labels, loss),
    }


def _facts_of_labels(table: Array, labels: Array | None, loss: str) -> dict[str, Any]:
    if labels is None:
        return {"alone": [], "counts": [], "lowest": None, "highest": None, "baseline": None}
    codes = _codes(labels)
    told = _explained(table, codes) if codes is not None else _correlation(table, labels)
    best = [int(k) for k in np.argsort(-told)[:2]]
    counts = np.bincount(codes).tolist() if codes is not None else []
    return {
        "alone": [[k, float(told[k])] for k in best],
        "counts": counts,
        "lowest": float(labels.min()),
        "highest": float(labels.max()),
        "baseline": _baseline(labels, codes, loss),
    }


def _codes(labels: Array) -> Array | None:
    """Class numbers of labels that are such, of one-hot rows, and of 0 and 1."""
    if labels.dtype.kind in "iu" and labels.ndim == 1:
        return np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] > 1 and np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all():
        return np.asarray(labels.argmax(axis=1))
    if labels.size == len(labels) and np.isin(labels, (0, 1)).all():
        return labels.reshape(-1).astype(int)
    return None


def _explained(table: Array, codes: Array) -> Array:
    """The share of a column's variance that lies between the classes (the correlation ratio η²)."""
    total = table.var(axis=0) * len(table)
    between = np.zeros(table.shape[1])
    for code in np.unique(codes):
        rows = table[codes == code]
        between += len(rows) * (rows.mean(axis=0) - table.mean(axis=0)) ** 2
    return np.asarray(np.divide(between, total, out=np.zeros_like(between), where=total > 1e-12))


def _correlation(table: Array, labels: Array) -> Array:
    """The largest squared correlation of each column with one of the labels."""
    y = labels.reshape(len(labels), -1).astype(np.float64)
    x, y = table - table.mean(axis=0), y - y.mean(axis=0)
    scale = np.sqrt((x**2).sum(axis=0))[:, None] * np.sqrt((y**2).sum(axis=0))
    r = np.divide(x.T @ y, scale, out=np.zeros_like(scale), where=scale > 1e-12)
    return np.asarray((r**2).max(axis=1, initial=0.0))


def _baseline(labels: Array, codes: Array | None, loss: str) -> float | None:
    y = labels.astype(np.float64)
    if loss == "squared_error":
        return float(y.var(axis=0).mean())
    if loss == "absolute_error":
        return float(np.abs(y - np.median(y, axis=0)).mean())
    if loss in ("binary_cross_entropy", "categorical_cross_entropy") and codes is not None:
        p = np.bincount(codes) / len(codes)
        return float(-(p[p > 0] * np.log(p[p > 0])).sum())
    return None
