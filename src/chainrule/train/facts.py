"""What a diagnosis has to know of the examples and labels, noted while they are at hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
SAME = 1e-6
"""Columns that differ by less, where their spread is 1, are one column."""
MOST_COLUMNS = 5000
"""Of more columns than this, only the first are looked at one by one."""


def facts_of(arrays: Sequence[Array], labels: Array | None, loss: str, held_out: Array | None = None) -> dict[str, Any]:
    """Facts about the training examples, as plain data.

    Args:
        arrays: the inputs.
        labels: as numbers, or None. Where every step of an example has one, those of all steps in a row.
        loss: by name.
        held_out: the labels of the validation examples, where there are any.

    Returns:
        rows, columns; mean and spread of each column, and its reach from the smallest to the largest number;
        constant: pairs of a column and its value; background: columns that are everywhere 0, or what is the smallest
        or the largest number of all, as the border of images; duplicates: pairs of columns of more than two values of
        which one is the other, times a number and shifted. Of labels, where there are any, alone: for the two columns
        that tell most of them, the column and the share of their variance, or of their ranks', that it explains alone;
        counts: of the classes; lowest, highest, square: the extremes and the mean square; baseline: the cost of the
        best constant prediction, and validation_baseline: what the same costs on the validation examples, or None.
    """
    tables = [a.reshape(len(a), -1)[:, :MOST_COLUMNS] for a in arrays if a.dtype.kind in "biuf"]
    table = np.concatenate(tables, axis=1).astype(np.float64) if tables else np.zeros((len(arrays[0]), 0))
    mean, spread = table.mean(axis=0), table.std(axis=0)
    flat = np.ptp(table, axis=0) == 0
    constant: list[int] = np.flatnonzero(flat).tolist() if len(table) else []
    ends = (0.0, table.min(), table.max()) if table.size else ()
    return {
        "rows": len(table),
        "columns": table.shape[1],
        "mean": mean.tolist(),
        "spread": spread.tolist(),
        "reach": np.ptp(table, axis=0).tolist() if len(table) else [],
        "constant": [[k, float(table[0, k])] for k in constant],
        "background": [k for k in constant if table[0, k] in ends],
        "duplicates": _duplicates(table, ~flat),
        **_facts_of_labels(table, labels, loss, held_out),
    }


def _facts_of_labels(table: Array, labels: Array | None, loss: str, held_out: Array | None) -> dict[str, Any]:
    if labels is None:
        return {"alone": [], "counts": [], "baseline": None}
    codes = _codes(labels)
    if len(labels) != len(table):  # a label for each step: no column of an example tells it alone
        told = np.zeros(table.shape[1])
    else:
        told = _explained(table, codes) if codes is not None else _correlation(table, labels)
    best = [int(k) for k in np.argsort(-told)[:2]]
    counts = np.bincount(codes).tolist() if codes is not None else []
    numbers = labels.astype(np.float64)
    return {
        "alone": [[k, float(told[k])] for k in best],
        "counts": counts,
        "lowest": float(numbers.min()),
        "highest": float(numbers.max()),
        "square": float((numbers**2).mean()),
        "baseline": _baseline(labels, labels, loss),
        "validation_baseline": None if held_out is None else _baseline(labels, held_out, loss),
    }


def _duplicates(table: Array, varied: Array) -> list[list[int]]:
    """Pairs of columns that are equal once their mean is 0, their spread 1, and their first large number positive."""
    # Columns of two values are left out: indicators of related categories often coincide.
    ends = zip(table.min(axis=0), table.max(axis=0), strict=True) if len(table) else ()
    several = [k for k, two in enumerate(ends) if varied[k] and not np.isin(table[:, k], two).all()]
    if not several:
        return []
    scaled = table[:, several] - table[:, several].mean(axis=0)
    scaled = scaled / np.sqrt((scaled**2).mean(axis=0))
    first = np.argmax(np.abs(scaled) > 0.5, axis=0)
    scaled *= np.sign(scaled[first, np.arange(len(several))])
    along = np.random.default_rng(0).normal(size=len(scaled)) @ scaled / np.sqrt(len(scaled))
    order = np.argsort(along, kind="stable")  # equal columns stand side by side
    out = []
    for a, b in pairwise(order):
        if along[b] - along[a] < SAME and np.abs(scaled[:, a] - scaled[:, b]).max() < SAME:
            out.append(sorted((int(several[a]), int(several[b]))))
    return sorted(out)


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
    """The largest squared correlation of each column with one of the labels, of the numbers or of their ranks."""
    from scipy.stats import rankdata

    y = labels.reshape(len(labels), -1).astype(np.float64)
    return np.maximum(_squared(table, y), _squared(rankdata(table, axis=0), rankdata(y, axis=0)))


def _squared(x: Array, y: Array) -> Array:
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    scale = np.sqrt((x**2).sum(axis=0))[:, None] * np.sqrt((y**2).sum(axis=0))
    r = np.divide(x.T @ y, scale, out=np.zeros_like(scale), where=scale > 1e-12)
    return np.asarray((r**2).max(axis=1, initial=0.0))


def _baseline(labels: Array, of: Array, loss: str) -> float | None:
    """What the best constant prediction for ``labels`` costs on average on the labels ``of``."""
    y, z = labels.astype(np.float64), of.astype(np.float64)
    if loss == "squared_error":
        return float(((z - y.mean(axis=0)) ** 2).mean())
    if loss == "absolute_error":
        return float(np.abs(z - np.median(y, axis=0)).mean())
    codes, theirs = _codes(labels), _codes(of)
    if loss not in ("binary_cross_entropy", "categorical_cross_entropy") or codes is None or theirs is None:
        return None
    classes = int(max(codes.max(), theirs.max())) + 1
    p, q = (np.bincount(c, minlength=classes) / len(c) for c in (codes, theirs))
    return float(-(q[q > 0] * np.log(np.maximum(p[q > 0], 1 / len(codes)))).sum())
