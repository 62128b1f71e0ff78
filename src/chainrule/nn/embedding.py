"""Whole numbers as vectors, and the place in a sequence as a vector: embedding and positional encodings."""

from __future__ import annotations

from typing import Any

from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.dim import Size
from chainrule.graph.node import Node, describe
from chainrule.nn.initializers import initializer
from chainrule.nn.layer import Layer, positive
from chainrule.nn.masking import with_mask
from chainrule.ops import arange, cast, cos, gather, not_equal, reshape, sin, stack


class Embedding(Layer):
    """A = W[X]: for each whole number the row of W that it names, learned.

    Args:
        input_dim: how many different numbers there are, 0 to input_dim − 1.
        output_dim: the size d of each vector.
        embeddings_initializer: how W starts.
        mask_zero: 0 stands for padding: layers that follow leave those steps out where they look at several
            (see :func:`mask_of`).
        name: the layer's name.

    Shapes: X (m, T) or any other, whole numbers; W (input_dim, d); A (m, T, d). The derivative by W adds the rows of
    dA where they came from, so that its work does not grow with input_dim.

    Errors: X is no node of whole numbers; a number that is not in the table, when examples are given.

    >>> import chainrule as cr
    >>> X = cr.input("X", ("m", 6), dtype="int")
    >>> print(cr.Embedding(1000, 16)(X))
    W1[X]
    """

    takes = "int"

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        mask_zero: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.input_dim = positive(input_dim, "input_dim")
        self.output_dim = positive(output_dim, "output_dim")
        self.embeddings_initializer = initializer(embeddings_initializer)
        self.mask_zero = bool(mask_zero)

    def build(self, x: Node) -> None:
        """Make W."""
        if x.dtype != "int":
            raise DTypeError(
                "an embedding takes whole numbers: it picks the row of each",
                given=describe(x),
                expected='dtype "int"',
                hint="cr.input(…, dtype='int'), or make the embedding the first layer",
            )
        self.parameter("W", (self.input_dim, self.output_dim), self.embeddings_initializer)

    def apply(self, x: Node) -> Node:
        """W[X]."""
        return gather(self["W"], x).named("A", self.scope)

    def __call__(self, x: Any) -> Node:
        """W[X], with a note of what is padding."""
        a = super().__call__(x)
        return with_mask(a, not_equal(x, 0).named("M", self.scope)) if self.mask_zero else a

    def __repr__(self) -> str:
        return f"Embedding({self.input_dim}, {self.output_dim})"


def _sequence(x: Node, layer: Layer, longest: int | None) -> tuple[Size, int]:
    """The number of steps and the width of x (m, T, d)."""
    width = layer.width_of(x)
    if x.ndim < 2:
        raise ShapeError(f"{type(layer).__name__} needs sequences", given=describe(x), expected="a shape (m, T, d)")
    steps = x.shape[-2]
    if longest is not None and isinstance(steps, int) and steps > longest:
        raise ShapeError(
            "the sequence is longer than the model's length",
            given=f"{steps} steps in {describe(x)}",
            expected=f"at most {longest}, the layer's max_length",
            hint="cut the sequences, or give the layer a larger max_length",
        )
    return steps, width


class PositionalEncoding(Layer):
    """A = X + P, P_{t,2k} = sin(t ω_k), P_{t,2k+1} = cos(t ω_k), ω_k = 10000^{−2k/d}: where in the sequence a step is.

    Nothing is learned, and any length has an encoding.

    Args:
        max_length: the longest sequence that is taken; None for any.
        wavelength: the 10000.
        name: the layer's name.

    Shapes: X (m, T, d), P (T, d).

    Source: Vaswani et al., Attention is all you need, 2017, section 3.5.

    >>> import chainrule as cr
    >>> cr.PositionalEncoding()(cr.input("X", ("m", "T", 8))).shape
    (m, T, 8)
    """

    def __init__(self, max_length: int | None = None, wavelength: float = 10000.0, name: str | None = None) -> None:
        super().__init__(name)
        self.max_length = positive(max_length, "max_length") if max_length is not None else None
        self.wavelength = float(wavelength)

    def apply(self, x: Node) -> Node:
        """X + P."""
        steps, width = _sequence(x, self, self.max_length)
        pairs = (width + 1) // 2
        rates = (self.wavelength ** (-2 / width * arange(pairs, "k"))).named("ω", self.scope)
        angles = reshape(cast(arange(steps, "t"), "float"), (steps, 1)) * rates
        waves = reshape(stack([sin(angles), cos(angles)], axis=2), (steps, 2 * pairs))
        return (x + waves[:, :width].named("P", self.scope)).named("A", self.scope)

    def __repr__(self) -> str:
        return f"PositionalEncoding({self.max_length or ''})"


class PositionEmbedding(Layer):
    """A = X + P[: T]: a vector for each place in the sequence, learned.

    Args:
        max_length: the longest sequence: P has so many rows.
        initializer: how P starts.
        name: the layer's name.

    Shapes: X (m, T, d), P (max_length, d).

    Source: Gehring et al., Convolutional sequence to sequence learning, 2017; Devlin et al. 2019.
    """

    def __init__(self, max_length: int, initializer: Any = "uniform", name: str | None = None) -> None:
        super().__init__(name)
        self.max_length = positive(max_length, "max_length")
        self._start = initializer

    def build(self, x: Node) -> None:
        """Make P."""
        _, width = _sequence(x, self, self.max_length)
        self.parameter("P", (self.max_length, width), initializer(self._start))

    def apply(self, x: Node) -> Node:
        """X + P[: T]."""
        steps, _ = _sequence(x, self, self.max_length)
        return (x + self["P"][:steps]).named("A", self.scope)

    def __repr__(self) -> str:
        return f"PositionEmbedding({self.max_length})"
