"""Examples and labels as users give them, as the arrays that a step graph takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.data.lazy import is_lazy
from chainrule.engine import interpret
from chainrule.errors import ConfigurationError, DataError, ShapeError
from chainrule.graph.dim import show
from chainrule.graph.graph import Graph
from chainrule.graph.node import Node
from chainrule.nn import Loss, Model, mask_of

Array = np.ndarray[Any, Any]


def examples(value: Any, what: str, dtype: Any = None) -> Array:
    """An array of numbers with an example in each row; a plain list of numbers is one column.

    Examples that are read when they are needed are left where they are, and are not looked through.

    Errors: :class:`DataError` naming the first row and column that is text, NaN or infinite.
    """
    if is_lazy(value) and len(value):
        return value  # type: ignore[no-any-return]
    if hasattr(value, "toarray"):
        raise DataError(
            f"{what} is a sparse matrix",
            given=f"{type(value).__name__}, {show(value.shape)}",
            expected="an array",
            hint=f"{what}.toarray(), where memory allows; NeuralClassifier and NeuralRegressor take it as it is",
        )
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{what} is not an array", given=str(error), expected="rows of one length") from None
    if array.dtype.kind in "OUS":
        try:
            array = array.astype(float)
        except (TypeError, ValueError):
            bad = next((i for i, v in enumerate(array.ravel()) if not _is_number(v)), 0)
            raise DataError(
                f"{what} is not made of numbers",
                given=f"{array.ravel().tolist()[bad]!r} in row {bad // max(array[0].size if array.ndim > 1 else 1, 1)}",
                expected="numbers",
                hint="encode text first; chainrule train and chainrule.data.prepare do that for tables",
            ) from None
    if array.dtype.kind not in "biuf":
        raise DataError(f"{what} is not made of numbers", given=f"an array of {array.dtype}")
    if array.ndim == 0:
        raise DataError(f"{what} is a single number", expected="an array with an example in each row")
    if array.shape[0] == 0:
        raise DataError(f"{what} has no rows", given=show(array.shape))
    if array.dtype.kind == "f":
        check_finite(array, what)
    return array


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def check_finite(array: Array, what: str) -> None:
    """Raise :class:`DataError` at the first NaN or infinity."""
    finite = np.isfinite(array)
    if not finite.all():
        place = tuple(int(i) for i in np.argwhere(~finite)[0])
        where = f"row {place[0]}" + (f", column {', '.join(map(str, place[1:]))}" if len(place) > 1 else "")
        raise DataError(
            f"{what} contains {'NaN' if np.isnan(array[place]) else 'an infinity'}",
            given=f"{array[place]} in {where}; {int((~finite).sum())} such numbers in all",
            hint="leave out those rows, or fill the gaps first",
        )


def check_indices(graph: Graph, node: Node, array: Array) -> None:
    """Raise :class:`DataError` at the first whole number that an embedding of the input has no row for."""
    if is_lazy(array):
        return
    tables = [n.inputs[0] for n in graph.consumers.get(node, ()) if n.op.name == "gather" and n.inputs[1] is node]
    for size in {int(n.shape[0]) for n in tables if isinstance(n.shape[0], int)}:
        outside = (array < 0) | (array >= size)
        if outside.any():
            place = tuple(int(i) for i in np.argwhere(outside)[0])
            raise DataError(
                f"{node.name} has a number that is not in the table",
                given=f"{array[place]} in row {place[0]}" + (f", step {place[1]}" if len(place) > 1 else ""),
                expected=f"whole numbers from 0 to {size - 1}",
                hint=f"an embedding with input_dim = {int(array.max()) + 1} has a row for every number here"
                if array.min() >= 0
                else None,
            )


def fits(array: Array, node: Node) -> bool:
    """Whether an array has a node's shape, apart from the sizes that the node only names."""
    return len(array.shape) == node.ndim and all(
        not isinstance(e, int) or e == g for e, g in zip(node.shape, array.shape, strict=True)
    )


def counted_steps(model: Model, arrays: Sequence[Array]) -> Array | None:
    """Which steps of the output count, (m, T) truth values; None where all do, or the examples are not in memory."""
    mask = mask_of(model.outputs[0]) if len(model.outputs) == 1 else None
    if mask is None:
        return None
    needed = Graph(mask).inputs
    feeds = {n: a for n, a in zip(model.inputs, arrays, strict=True) if n in needed}
    if any(map(is_lazy, feeds.values())):
        return None
    there: Array = np.asarray(interpret([mask], feeds)[mask]) != 0
    return there


def padding_aside(y: Any, counted: Array | None) -> Any:
    """Labels, at steps that the network leaves out whatever was there replaced by the first label that counts."""
    if counted is None or is_lazy(y):
        return y
    array = _as_array(y)
    if array.shape[: counted.ndim] != counted.shape or not counted.any():
        return y
    first = array[tuple(np.argwhere(counted)[0])]
    return np.where(counted.reshape(counted.shape + (1,) * (array.ndim - counted.ndim)), array, first)


def _as_array(y: Any) -> Array:
    try:
        return np.asarray(y)
    except ValueError as error:
        raise DataError(
            "Y is not an array",
            given=str(error),
            expected="rows of one length",
            hint="fill shorter rows up, and leave the padding out: Embedding(…, mask_zero=True), or sample_weight 0",
        ) from None


def one_each(array: Array, output: Node) -> Array | None:
    """Labels (m,), or (m, T) for outputs (m, T, K), without axes of size 1 behind; None where there are more."""
    places = max(output.ndim - 1, 1)
    fitting = array.ndim >= places and all(n == 1 for n in array.shape[places:])
    return array.reshape(array.shape[:places]) if fitting else None


@dataclass(frozen=True)
class Labels:
    """How labels become numbers: by class, or as they are.

    Attributes:
        kind: ``"classes"`` (one of several), ``"binary"`` (two), ``"numbers"``, or ``"none"`` where the loss is a
            formula of the network's own quantities.
        classes: the labels in the order of their code, for the first two.
        whole: the step graph takes class numbers (integers).
    """

    kind: str
    classes: tuple[Any, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the labels are class numbers."""
        return self.kind == "classes"

    def encode(self, y: Any, output: Node) -> Array:
        """Labels as the array that is fed: class numbers, or numbers in the shape of the output."""
        if self.kind == "none":
            raise ConfigurationError(
                "the run has no labels",
                given="Y",
                hint="its loss is a formula: what it compares with is an input of the network",
            )
        array = _as_array(y)
        if self.classes:
            flat = one_each(array, output)
            if flat is None and fits(array, output):
                raise ShapeError(
                    "training has seen one label for each example",
                    given=f"{show(array.shape)}, a number for each class",
                    expected=f"{show(output.shape[:-1])}: {', '.join(map(repr, self.classes[:20]))}",
                    hint="of one-hot rows, Y.argmax(axis=1) is the class by number",
                )
            if flat is None:
                raise _unfit(array, output)
            codes = {c: i for i, c in enumerate(self.classes)}
            try:
                numbers = np.array([codes[v] for v in flat.ravel().tolist()], dtype=np.int64).reshape(flat.shape)
            except KeyError as error:
                raise DataError(
                    "a label that training has not seen",
                    given=repr(error.args[0]),
                    expected=", ".join(map(repr, self.classes[:20])),
                ) from None
            if self.kind == "classes":
                if not all(not isinstance(e, int) or e == g for e, g in zip(output.shape, flat.shape, strict=False)):
                    raise _unfit(array, output)
                return numbers
            array = numbers.astype(float)
        array = examples(array, "Y")
        if array.ndim == output.ndim - 1 and output.shape[-1] == 1:
            array = array[..., None]
        if not fits(array, output):
            raise _unfit(array, output)
        return array

    def decide(self, y_hat: Array) -> Array:
        """The decision for each output: the likelier class, or the number itself."""
        if self.kind == "classes" or (self.kind == "rows"):
            best = np.argmax(y_hat, axis=-1)
            chosen: Array = np.asarray(self.classes)[best] if self.classes else best
            return chosen
        if self.kind == "binary":
            code = (y_hat > 0.5).astype(int)
            code = code[..., 0] if code.shape[-1:] == (1,) else code
            return np.asarray(self.classes)[code] if self.classes else code
        if self.kind == "sign":
            sign = np.where(y_hat >= 0, 1, -1)
            return sign[..., 0] if sign.shape[-1:] == (1,) else sign
        return y_hat


def _unfit(array: Array, output: Node) -> ShapeError:
    hint = None
    if array.ndim > 1 and output.ndim == 2 and array.shape[1] != 1:
        hint = "for a label at every step the output keeps the steps: LSTM(…, return_sequences=True)"
    elif array.size == len(array) and output.ndim > 2:
        hint = "for one label each, the network ends with one output each: without return_sequences, or after a pooling"
    elif array.size == len(array) and output.ndim == 2 and output.shape[1] != 1:
        hint = (
            "for classes by number the loss is 'categorical_cross_entropy'; for one number each, Dense(1) is the last"
        )
    return ShapeError(
        "the labels do not fit the network's output",
        given=show(array.shape),
        expected=show(output.shape) + (f" or {show(output.shape[:-1])}" if output.ndim > 2 else ""),
        hint=hint,
    )


def read_labels(y: Any, output: Node, loss: Loss) -> Labels:
    """How the labels of a training set become numbers, from the loss and the shape of the output."""
    array = _as_array(y)
    width = output.shape[-1] if output.ndim else 1
    if array.ndim == 0 or len(array) == 0:
        raise DataError("there are no labels", given=show(array.shape))
    each = one_each(array, output)
    if loss.labels == "classes":
        if each is None:
            return Labels("rows")
        if isinstance(width, int) and width == 1:
            raise ShapeError(
                f"{loss.name} needs an output for each class",
                given=f"output {show(output.shape)}",
                hint="Dense(number of classes, 'softmax'); or binary_cross_entropy after Dense(1, 'sigmoid')",
            )
        found = _classes(array)
        if not isinstance(width, int):
            return Labels("classes", found)
        if all(type(c) is int and 0 <= c < width for c in found):
            return Labels("classes", tuple(range(width)))
        if len(found) != width:
            raise ShapeError(
                f"there are {'more' if len(found) > width else 'fewer'} classes than outputs",
                given=f"{len(found)} classes: {', '.join(map(repr, found[:12]))}",
                expected=f"{width}, the width of the output",
                hint=f"make the last layer Dense({len(found)}, 'softmax')",
            )
        return Labels("classes", found)
    if loss.labels == "binary":
        if each is not None and (array.dtype.kind in "OUSb" or (not np.isin(array, (0, 1)).all() and _two(array))):
            found = _classes(array)
            if len(found) != 2:
                raise DataError(
                    f"{loss.name} tells two classes apart",
                    given=f"{len(found)} labels: {', '.join(map(repr, found[:12]))}",
                    expected="two labels",
                    hint=f"for several classes: Dense({len(found)}, 'softmax') as the last layer",
                )
            return Labels("binary", found)
        values = examples(array, "Y")
        if values.min() < 0 or values.max() > 1:
            several = each is not None and array.dtype.kind in "iu" and len(_classes(array)) < 0.1 * array.size
            raise DataError(
                f"{loss.name} takes labels between 0 and 1",
                given=f"from {values.min():.6g} to {values.max():.6g}",
                hint=f"for {len(_classes(array))} classes: Dense({len(_classes(array))}, 'softmax') as the last layer"
                if several
                else "for numbers of any size use squared_error after a linear layer",
            )
        return Labels("binary")
    values = examples(array, "Y")
    if loss.labels == "sign" and not np.isin(values, (-1, 1)).all():
        raise DataError(
            f"{loss.name} takes labels −1 and +1",
            given=", ".join(map(str, np.unique(values)[:6])),
            hint="2 * y - 1 turns 0 and 1 into them",
        )
    if loss.labels == "count" and values.min() < 0:
        raise DataError(f"{loss.name} takes counts", given=f"{values.min():.6g}", expected="numbers of at least 0")
    return Labels("sign" if loss.labels == "sign" else "numbers")


def _classes(array: Array) -> tuple[Any, ...]:
    labels = array.ravel().tolist()
    missing = [i for i, v in enumerate(labels) if v is None or v != v]
    if missing:
        raise DataError(
            "a label is missing",
            given=f"{labels[missing[0]]} in row {missing[0]}; {len(missing)} such labels in all",
            expected="a label for every example",
            hint="leave out those rows",
        )
    found = tuple(np.unique(array).tolist())
    if not isinstance(found[0], (str, int, float)):
        raise DataError(
            "a label is a text, a number or a truth value",
            given=f"{found[0]!r}, a {type(found[0]).__name__}",
            hint="Y.astype(str) turns labels into texts",
        )
    return found


def _two(array: Array) -> bool:
    return len(np.unique(array)) == 2 and array.dtype.kind in "iu"


def example_weights(
    labels: Labels, codes: Array, sample_weight: Any, class_weight: Any, counted: Array | None = None
) -> Array | None:
    """The weight of each example (m,), or of each step (m, T), scaled so that their mean is 1; None if all count alike.

    Args:
        labels: how labels were encoded.
        codes: the encoded labels.
        sample_weight: a number for each example, or for each step of outputs that have steps.
        class_weight: a mapping from label to number, or ``"balanced"``: m / (K · number in the class).
        counted: the steps that count at all, (m, T); None for all.
    """
    if sample_weight is None and class_weight is None:
        return None
    places = codes.shape if labels.whole else codes.shape[: max(codes.ndim - 1, 1)]
    there = np.ones(places) if counted is None or counted.shape != places else counted.astype(float)
    weights: Array = np.ones(places[:1])
    if sample_weight is not None:
        weights = examples(sample_weight, "sample_weight").astype(float)
        if weights.shape not in (places[:1], places):
            raise ShapeError(
                "one weight for each example" + (", or for each of its steps" if len(places) > 1 else ""),
                given=show(weights.shape),
                expected=" or ".join(map(show, dict.fromkeys((places[:1], places)))),
            )
        if weights.min() < 0:
            where = np.unravel_index(weights.argmin(), weights.shape)
            raise DataError("a weight is not negative", given=f"{weights.min():.6g} in row {int(where[0])}")
    if class_weight is not None:
        by_class = _by_class(labels, codes.reshape(*places, -1)[..., 0], there != 0, class_weight)
        weights = weights.reshape(weights.shape + (1,) * (len(places) - weights.ndim)) * by_class
    total = (weights.reshape(weights.shape + (1,) * (len(places) - weights.ndim)) * there).sum()
    if total <= 0:
        raise DataError("all weights are zero", expected="at least one positive weight")
    scaled: Array = weights * (there.sum() / total)
    return scaled


def _by_class(labels: Labels, codes: Array, there: Array, class_weight: Any) -> Array:
    if labels.kind not in ("classes", "binary"):
        raise ConfigurationError(
            "class_weight needs classes",
            given=f"labels that are {labels.kind}",
            hint="use sample_weight, a number for each example",
        )
    codes = codes.astype(int)
    classes = labels.classes or tuple(range(int(codes.max()) + 1))
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ConfigurationError("not a class weight", given=repr(class_weight), expected="'balanced' or a mapping")
        counts = np.bincount(codes[there], minlength=len(classes))
        present = int((counts > 0).sum())
        table: Array = np.divide(counts.sum(), present * counts, out=np.zeros(len(counts)), where=counts > 0)
        balanced: Array = table[codes]
        return balanced
    if not isinstance(class_weight, Mapping):
        raise ConfigurationError("not a class weight", given=repr(class_weight), expected="'balanced' or a mapping")
    unknown = [c for c in class_weight if c not in classes]
    if unknown:
        raise ConfigurationError(
            "a weight for a class that is not there",
            given=repr(unknown[0]),
            expected=", ".join(map(repr, classes)),
        )
    table = np.array([float(class_weight.get(c, 1.0)) for c in classes])
    if not (np.isfinite(table) & (table >= 0)).all():
        raise ConfigurationError("a class weight is a number of at least 0", given=dict(class_weight))
    chosen: Array = table[codes]
    return chosen
