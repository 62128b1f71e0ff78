"""Labels as users give them to a classifier, as numbers that a loss takes, and outputs back as labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from chainrule.errors import ConfigurationError, DataError
from chainrule.graph.node import Node
from chainrule.nn import Loss
from chainrule.ops import cast, equal, log_softmax, sum

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Classes:
    """What a classifier tells apart.

    Attributes:
        kind: ``"binary"`` (two classes), ``"multiclass"``, ``"multilabel"`` (0 or 1 for each of several labels), or
            ``"multioutput"`` (several columns, each of classes of its own).
        columns: the classes in their order, for each column; for multilabel the numbers of the labels.
    """

    kind: str
    columns: tuple[Array, ...]

    @classmethod
    def of(cls, y: Array, known: Any = None) -> Classes:
        """The classes of some labels, or those that are known already.

        Errors: there is one class only, or none; labels that are measured numbers.
        """
        check_classification_targets(y)
        kind = type_of_target(y)
        if kind == "multilabel-indicator":
            return cls("multilabel", (np.arange(y.shape[1]),))
        if y.ndim == 2 and y.shape[1] > 1:
            several = list(known) if known is not None else list(y.T)
            if len(several) != y.shape[1]:
                raise DataError("classes are known for each column", given=len(several), expected=y.shape[1])
            return cls("multioutput", tuple(_distinct(c) for c in several))
        found = _distinct(y if known is None else known)
        return cls("binary" if len(found) == 2 else "multiclass", (found,))

    @property
    def public(self) -> Any:
        """The attribute ``classes_`` of an estimator: an array, or a list with one for each column."""
        return list(self.columns) if self.kind == "multioutput" else self.columns[0]

    def encode(self, y: Array) -> Array:
        """Class numbers, (m,) or (m, columns); for multilabel 0 and 1.

        Errors: a label that is none of the classes.
        """
        if self.kind == "multilabel":
            if y.ndim != 2 or y.shape[1] != len(self.columns[0]) or not np.isin(y, (0, 1)).all():
                others = np.setdiff1d(y, (0, 1))[:5].tolist()
                raise DataError(
                    "the labels are not 0 and 1 for each of those it was trained with",
                    given=f"an array of shape {y.shape}" + (f" with {', '.join(map(str, others))}" if others else ""),
                    expected=f"(m, {len(self.columns[0])} labels), of 0 and 1",
                )
            return np.asarray(y, dtype=np.int64)
        if self.kind == "multioutput":
            if y.ndim != 2 or y.shape[1] != len(self.columns):
                raise DataError("labels have another number of columns", given=y.shape, expected=len(self.columns))
            return np.stack([_code(c, column) for c, column in zip(self.columns, y.T, strict=True)], axis=1)
        return _code(self.columns[0], column_or_1d(y))

    def fed(self, y: Array, loss: Loss, width: int) -> Array:
        """Labels as the loss takes them, for an output of this width.

        Errors: a label that is none of the classes, a loss that does not compare classes, an output of another width.
        """
        codes = self.encode(y)
        if loss.labels == "count":
            raise ConfigurationError(f"{loss.name} is for counts, not for classes", hint="leave loss out")
        expected = self.width(loss)
        if width != expected and not (self.kind == "binary" and width == 2 and loss.labels != "binary"):
            raise ConfigurationError(
                "the network's last layer does not fit the classes",
                given=f"{width} output{'s' if width != 1 else ''}",
                expected=f"{expected}, for {self.described()} and {loss.name}",
            )
        if self.kind == "multioutput":
            return np.concatenate([np.eye(len(c))[k] for c, k in zip(self.columns, codes.T, strict=True)], axis=1)
        if self.kind == "multilabel":
            if loss.labels in ("classes", "distribution"):
                raise ConfigurationError(
                    f"{loss.name} tells classes apart of which one is right, not labels that may be together",
                    hint="leave loss out: it is binary cross-entropy for every label",
                )
            rows: Array = codes.astype(float)
        elif width == 1:
            rows = codes.astype(float)
        elif loss.labels == "classes":
            return codes
        else:
            rows = np.eye(width)[codes]
        return 2 * rows - 1 if loss.labels == "sign" else rows

    def width(self, loss: Loss) -> int:
        """How many outputs a network for these classes and this loss has."""
        if self.kind == "binary" and loss.labels not in ("classes", "distribution"):
            return 1
        return int(np.sum([len(c) for c in self.columns]))

    def described(self) -> str:
        """In words: ``3 classes``."""
        if self.kind == "multioutput":
            return "columns of " + ", ".join(str(len(c)) for c in self.columns) + " classes"
        return f"{len(self.columns[0])} {'labels' if self.kind == 'multilabel' else 'classes'}"

    def decide(self, outputs: Array, sign: bool) -> Array:
        """Labels from a network's outputs; with ``sign``, outputs are margins."""
        if self.kind == "multioutput":
            found = [c[np.argmax(p, axis=1)] for c, p in zip(self.columns, self.parted(outputs), strict=True)]
            return np.stack(found, axis=1)
        threshold = 0.0 if sign else 0.5
        if self.kind == "multilabel":
            return (outputs > threshold).astype(np.int64)
        if outputs.shape[1] == 1:
            return np.asarray(self.columns[0][(outputs[:, 0] > threshold).astype(np.int64)])
        return np.asarray(self.columns[0][np.argmax(outputs, axis=1)])

    def probabilities(self, outputs: Array) -> Any:
        """Probabilities of the classes, (m, classes); a list of them for several columns."""
        if self.kind == "multioutput":
            return [_softmax(z) for z in self.parted(outputs)]
        if self.kind == "multilabel":
            return outputs
        if outputs.shape[1] == 1:
            return np.concatenate([1 - outputs, outputs], axis=1)
        return outputs / outputs.sum(axis=1, keepdims=True)

    def parted(self, outputs: Array) -> list[Array]:
        """The outputs that belong to each column."""
        return np.split(outputs, np.cumsum([len(c) for c in self.columns])[:-1], axis=1)


def column_entropies(sizes: Sequence[int]) -> Loss:
    """The sum over several columns of the cross-entropy of each; outputs are logits, labels one-hot, side by side."""
    ends = np.cumsum(sizes)

    def cross_entropies(y_hat: Node, y: Node) -> Node:
        parts = [slice(int(end) - size, int(end)) for size, end in zip(sizes, ends, strict=True)]
        total = -sum(y[:, parts[0]] * log_softmax(y_hat[:, parts[0]]), axis=-1)
        for part in parts[1:]:
            total = total - sum(y[:, part] * log_softmax(y_hat[:, part]), axis=-1)
        return total

    return Loss("cross_entropies", cross_entropies, "any", "linear")


def label_accuracy(y_hat: Node, y: Node) -> Node:
    """1 where the decision on a single label is right."""
    return cast(equal(y_hat > 0.5, y > 0.5), "float")


def _distinct(labels: Any) -> Array:
    found = np.unique(np.asarray(labels))
    if len(found) < 2:
        raise DataError(
            "a classifier needs at least two classes",
            given=f"one class, {found.tolist()[0]!r}" if len(found) else "no class",
            hint="are rows sorted by class, and only the first ones taken? Do the weights leave one class?",
        )
    return found


def _code(classes: Array, labels: Array) -> Array:
    """The place of every label among the classes, which are sorted."""
    unseen = np.setdiff1d(labels, classes)
    if len(unseen):
        raise DataError(
            f"y contains previously unseen labels: {unseen[:5].tolist()}",
            expected=", ".join(map(repr, classes[:20].tolist())),
        )
    return np.searchsorted(classes, labels)


def _softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))
