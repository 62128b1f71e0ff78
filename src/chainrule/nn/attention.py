"""Attention: every step of a sequence looks at all others and takes from those that fit; the heads of it, side by side.

A = softmax(Q Kᵀ/√d) is a quantity of the formula like any other: how much step t takes from step s.
"""

from __future__ import annotations

from typing import Any

from chainrule.errors import ConfigurationError, ShapeError
from chainrule.graph.dim import Size, broadcast, show
from chainrule.graph.node import Node, describe, inside
from chainrule.graph.op import lift
from chainrule.nn.initializers import initializer
from chainrule.nn.layer import Layer, as_float, positive
from chainrule.nn.masking import mask_of, with_mask_of
from chainrule.nn.noise import Dropout
from chainrule.ops import (
    arange,
    einsum,
    less_equal,
    logical_and,
    masked_softmax,
    not_equal,
    reshape,
    size,
    softmax,
    sqrt,
)

LEAD = "abcefghijklmnopqr"
"""Letters for the axes before the last two."""


def attention_weights(q: Any, k: Any, mask: Any = None, *, causal: bool = False, scale: float | None = None) -> Node:
    """A = softmax(Q Kᵀ/√d): how much each query takes from each key; rows sum to one.

    Args:
        q: queries (…, T, d).
        k: keys (…, S, d).
        mask: true (or not 0) where a key counts for a query, (…, T, S) or what repeats to it. A query for which no
            key counts takes nothing: a row of zeros.
        causal: query t takes from keys s ≤ t only.
        scale: what stands for 1/√d.

    Source: Vaswani et al., Attention is all you need, 2017.
    """
    q, k = as_float(q), as_float(k)
    for node, what in ((q, "queries"), (k, "keys")):
        if node.ndim < 2:
            raise ShapeError(f"attention needs a sequence of {what}", given=describe(node), expected="(…, T, d)")
    if q.shape[-1] != k.shape[-1]:
        raise ShapeError(
            "queries and keys are compared number by number",
            given=f"queries {show(q.shape)}, keys {show(k.shape)}",
            expected="the same last size",
        )
    lead_q, lead_k = _lead(q, k)
    scores = _scaled(einsum(f"{lead_q}td,{lead_k}sd->{max(lead_q, lead_k, key=len)}ts", q, k), q.shape[-1], scale)
    return _weights(scores, _counted(None if mask is None else _truth(lift(mask)), causal, *scores.shape[-2:]))


def attention(q: Any, k: Any, v: Any, mask: Any = None, *, causal: bool = False, scale: float | None = None) -> Node:
    """Attention(Q, K, V) = softmax(Q Kᵀ/√d) V: each query's mean of the values, by how well their keys fit.

    Args:
        q: queries (…, T, d).
        k: keys (…, S, d).
        v: values (…, S, e).
        mask, causal, scale: as in :func:`attention_weights`.

    Returns:
        (…, T, e). The weights are the quantity A in it.

    Source: Vaswani et al., Attention is all you need, 2017, equation 1.

    >>> import chainrule as cr
    >>> Q, K, V = cr.input("Q", (5, 4)), cr.input("K", (3, 4)), cr.input("V", (3, 2))
    >>> print(cr.attention(Q, K, V))
    A V
    >>> print(cr.attention_weights(Q, K))
    softmax(1/√4 · Q Kᵀ)
    """
    weights = attention_weights(q, k, mask, causal=causal, scale=scale)
    v = as_float(v)
    if v.ndim < 2 or v.shape[-2] != weights.shape[-1]:
        raise ShapeError(
            "there is a value for every key",
            given=f"keys {show(lift(k).shape)}, values {show(v.shape)}",
            expected="the same size before the last",
        )
    lead_a, lead_v = _lead(weights, v)
    return einsum(f"{lead_a}ts,{lead_v}sd->{max(lead_a, lead_v, key=len)}td", weights.named("A"), v)


def _lead(a: Node, b: Node) -> tuple[str, str]:
    """Letters for the axes before the last two; those of the one that has fewer stand for the last of the other."""
    letters = LEAD[: max(a.ndim, b.ndim) - 2]
    return letters[len(letters) - a.ndim + 2 :], letters[len(letters) - b.ndim + 2 :]


def _scaled(scores: Node, width: Size, scale: float | None) -> Node:
    return 1 / sqrt(size(width)) * scores if scale is None else scale * scores


def _truth(mask: Node) -> Node:
    return mask if mask.dtype == "bool" else not_equal(mask, 0)


def _counted(mask: Node | None, causal: bool, queries: Size, keys: Size) -> Node | None:
    """M: which keys count for which query."""
    if causal:
        earlier = less_equal(arange(keys, "s"), reshape(arange(queries, "t"), (queries, 1)))
        mask = earlier if mask is None else logical_and(mask, earlier)
    if mask is None or not mask.inputs or (mask.op.name == "reshape" and mask.inputs[0].name):
        return mask
    return mask.named("M")


def _weights(scores: Node, mask: Node | None) -> Node:
    """softmax of scores (…, T, S) over the keys that count."""
    if mask is None:
        return softmax(scores)
    if broadcast(mask.shape, scores.shape) != scores.shape:
        raise ShapeError(
            "the mask does not fit queries and keys",
            given=describe(mask),
            expected=f"{show(scores.shape)}, or what repeats to it",
        )
    return masked_softmax(scores, mask)


class MultiHeadAttention(Layer):
    """Several attentions side by side, each on a part of Q, K and V: what is taken from where is learned.

    Q = X W_Q + b_Q,  K = Y W_K + b_K,  V = Y W_V + b_V;  for each head A = softmax(Q Kᵀ/√d),  H = A V;
    Z = H W_O + b_O, with the H of all heads one after the other.

    Args:
        num_heads: the number h of heads.
        key_dim: the size d of a query and a key in each head; by default the width of X, divided by h.
        value_dim: the size e of a value in each head; by default that of a key.
        dropout: the share of the weights A that is dropped in training.
        use_bias: whether there are b's.
        output_dim: the width of Z; by default that of X.
        kernel_initializer, bias_initializer: how each W and b starts.
        causal: step t takes from steps s ≤ t only.
        name: the layer's name.

    Called as ``layer(query, value=None, key=None, mask=None)``: self-attention of one sequence, or cross-attention of
    a query to the sequence ``value`` (and ``key``, where keys are made of something else). ``mask`` is true where a key
    counts: (m, S) for padding, (m, T, S) for each query, (m, h, T, S) also for each head. Padding that an embedding has
    noted is left out anyway (see :func:`mask_of`).

    ``layer.openness`` is A, as of the last call.

    Shapes: X (m, T, n), Y (m, S, n'); W_Q (n, h d), W_K (n', h d), W_V (n', h e), W_O (h e, n); A (m, h, T, S).

    Errors: heads that do not divide the width; a mask of another shape.

    Source: Vaswani et al., Attention is all you need, 2017, section 3.2. Arguments as in Keras.

    >>> import chainrule as cr
    >>> X = cr.input("X", ("m", 6, 8))
    >>> layer = cr.MultiHeadAttention(2)
    >>> layer(X).shape
    (m, 6, 8)
    >>> print(layer.openness)
    softmax(1/√4 · Q1 K1ᵀ)
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int | None = None,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_dim: int | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        causal: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.num_heads = positive(num_heads, "the number of heads")
        self.key_dim = positive(key_dim, "key_dim") if key_dim is not None else None
        self.value_dim = positive(value_dim, "value_dim") if value_dim is not None else None
        self.output_dim = positive(output_dim, "output_dim") if output_dim is not None else None
        self.dropout = Dropout(dropout)
        self.use_bias, self.causal = bool(use_bias), bool(causal)
        self.kernel_initializer = initializer(kernel_initializer)
        self.bias_initializer = initializer(bias_initializer)
        self.openness: Node | None = None

    def __call__(self, query: Any, value: Any = None, key: Any = None, mask: Any = None) -> Node:
        """Z, of the steps of the query."""
        x = as_float(query)
        y = x if value is None else as_float(value)
        z = y if key is None else as_float(key)
        for node in (x, y, z):
            if node.ndim != 3:
                raise ShapeError(
                    "MultiHeadAttention reads sequences",
                    given=describe(node),
                    expected="(m, T, n): examples, steps, numbers",
                )
        if y.shape[1] != z.shape[1]:
            raise ShapeError("there is a key for every value", given=f"{show(z.shape)} and {show(y.shape)}")
        self._prepare(x, y, z)
        counted = _counted(self._mask(mask, x, y), self.causal, x.shape[1], y.shape[1])
        with inside(self.scope):
            return with_mask_of(x, self._attend(x, y, z, counted))

    def _prepare(self, x: Node, y: Node, z: Node) -> None:
        """Make the parameters, or check that they fit."""
        widths = tuple(self.width_of(n) for n in (x, y, z))
        if self._built is not None:
            if widths != self._built:
                raise ShapeError(
                    f"the layer {self!r} has been called with other widths before",
                    given=f"{widths[0]}, {widths[1]} and {widths[2]} for query, value and key",
                    expected=f"{self._built[0]}, {self._built[1]} and {self._built[2]}",
                )
            return
        if self.key_dim is None:
            self.key_dim = part_of(widths[0], self.num_heads, x)
        self.value_dim = self.value_dim or self.key_dim
        output = self.output_dim or widths[0]
        inner, outer = self.num_heads * self.key_dim, self.num_heads * self.value_dim
        sizes = {"Q": (widths[0], inner), "K": (widths[2], inner), "V": (widths[1], outer), "O": (outer, output)}
        for letter, shape in sizes.items():
            self.parameter(f"W_{letter}", shape, self.kernel_initializer)
            if self.use_bias:
                self.parameter(f"b_{letter}", shape[1:], self.bias_initializer)
        self._built = widths

    def _mask(self, mask: Any, x: Node, y: Node) -> Node | None:
        """Which keys count, (m, h, T, S) or what repeats to it."""
        m, queries = x.shape[:2]
        keys = y.shape[1]
        found: Node | None = None
        if mask is not None:
            given = _truth(lift(mask))
            wanted = {2: (m, keys), 3: (m, queries, keys), 4: (m, self.num_heads, queries, keys)}
            if given.ndim not in wanted or broadcast(given.shape, wanted[given.ndim]) != wanted[given.ndim]:
                raise ShapeError(
                    "the mask does not fit queries and keys",
                    given=describe(given),
                    expected=" or ".join(map(show, wanted.values())),
                )
            head, rest = given.shape[:1], given.shape[1:]
            found = reshape(given, (*head, *(1,) * (4 - given.ndim), *rest))
        noted = mask_of(y)
        if noted is not None:
            padding = reshape(noted, (m, 1, 1, keys))
            found = padding if found is None else logical_and(found, padding)
        return found

    def _attend(self, x: Node, y: Node, z: Node, mask: Node | None) -> Node:
        q = self._heads(self._weighted("Q", x).named("Q", self.scope))
        k = self._heads(self._weighted("K", z).named("K", self.scope))
        v = self._heads(self._weighted("V", y).named("V", self.scope))
        scores = _scaled(einsum("mthd,mshd->mhts", q, k), q.shape[-1], None)
        self.openness = _weights(scores, mask).named("A", self.scope)
        h = einsum("mhts,mshd->mthd", self.dropout(self.openness), v).named("H", self.scope)
        return self._weighted("O", reshape(h, (*h.shape[:2], -1))).named("Z", self.scope)

    def _weighted(self, letter: str, x: Node) -> Node:
        z = x @ self[f"W_{letter}"]
        return z + self[f"b_{letter}"] if self.use_bias else z

    def _heads(self, x: Node) -> Node:
        return reshape(x, (*x.shape[:2], self.num_heads, -1))

    def __repr__(self) -> str:
        return f"MultiHeadAttention({self.num_heads}, {self.key_dim})"


def part_of(width: int, heads: int, x: Node) -> int:
    """The width of one of so many heads."""
    if width % heads:
        raise ConfigurationError(
            "the heads do not divide the width",
            given=f"{heads} heads, width {width} of {describe(x)}",
            expected=f"a number of heads that divides {width}: "
            + ", ".join(str(n) for n in range(1, width + 1) if width % n == 0),
            hint="or give the width of each head: key_dim=…",
        )
    return width // heads
