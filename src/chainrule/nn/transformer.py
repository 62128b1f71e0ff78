"""Transformer blocks: attention, then a dense network for every step, each with a residual connection and a norm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.errors import ConfigurationError
from chainrule.graph.node import Node
from chainrule.nn.activations import activation_name
from chainrule.nn.attention import MultiHeadAttention, part_of
from chainrule.nn.layer import Layer, as_float, positive
from chainrule.nn.layers import Dense
from chainrule.nn.masking import with_mask_of
from chainrule.nn.noise import Dropout
from chainrule.nn.normalization import LayerNormalization


class TransformerBlock(Layer):
    """What encoder and decoder share: sublayers with residual connection, dropout and norm. Abstract.

    Args:
        intermediate_dim: the width of the dense layer between.
        num_heads: the number of heads of each attention; it has to divide the width of the input.
        dropout: the share dropped of attention weights, and of each sublayer's output, in training.
        activation: of the dense layer between, by name or any function of a node.
        layer_norm_epsilon: ε of the norms.
        kernel_initializer, bias_initializer: how each W and b starts.
        normalize_first: the norm stands before each sublayer, x + f(norm(x)) (pre-norm), instead of after the sum,
            norm(x + f(x)) (post-norm, as in the paper).
        name: the block's name; its layers are named after it.
    """

    attentions: tuple[str, ...] = ()

    def __init__(
        self,
        intermediate_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        activation: Any = "relu",
        layer_norm_epsilon: float = 1e-5,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        normalize_first: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.intermediate_dim = positive(intermediate_dim, "intermediate_dim")
        self.num_heads = positive(num_heads, "the number of heads")
        self.dropout = float(dropout)
        self.activation = activation
        self.epsilon = layer_norm_epsilon
        self.starts = {"kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer}
        self.normalize_first = bool(normalize_first)
        self.layers: dict[str, Any] = {}

    @property
    def parts(self) -> tuple[Any, ...]:
        """The layers of the block."""
        return tuple(self.layers.values())

    def build(self, x: Node) -> None:
        """Make the layers for sequences of the width of x."""
        width = self.width_of(x)
        key = part_of(width, self.num_heads, x)
        for kind in self.attentions:
            self.layers[kind] = MultiHeadAttention(
                self.num_heads,
                key,
                dropout=self.dropout,
                causal=self.is_causal(kind),
                name=self._named(kind),
                **self.starts,
            )
        self.layers["inner"] = Dense(self.intermediate_dim, self.activation, name=self._named("inner"), **self.starts)
        self.layers["outer"] = Dense(width, name=self._named("outer"), **self.starts)
        for kind in (*self.attentions, "outer"):
            self.layers[f"{kind}_norm"] = LayerNormalization(self.epsilon, name=self._named(f"{kind}_norm"))
            if self.dropout:
                self.layers[f"{kind}_dropout"] = Dropout(self.dropout, name=self._named(f"{kind}_dropout"))
        if self.dropout:
            self.layers["inner_dropout"] = Dropout(self.dropout, name=self._named("inner_dropout"))

    def is_causal(self, kind: str) -> bool:
        """Whether an attention looks back only."""
        raise NotImplementedError

    def sublayer(self, kind: str, x: Node, f: Callable[[Node], Node]) -> Node:
        """norm(x + f(x)), or x + f(norm(x))."""
        norm, scope = self.layers[f"{kind}_norm"], self.layers[kind].scope
        y = self._dropped(kind, f(norm(x) if self.normalize_first else x))
        r = (x + y).named("R", scope)
        out: Node = r if self.normalize_first else norm(r)
        return out

    def feed_forward(self, x: Node) -> Node:
        """The dense network for every step."""
        y: Node = self.layers["outer"](self._dropped("inner", self.layers["inner"](x)))
        return y

    def _dropped(self, kind: str, x: Node) -> Node:
        out: Node = self.layers[f"{kind}_dropout"](x) if self.dropout else x
        return out

    def _named(self, kind: str) -> str | None:
        return f"{self.name}_{kind}" if self.name else None

    def __repr__(self) -> str:
        rest = f", activation={activation_name(self.activation)!r}" if self.activation != "relu" else ""
        rest += f", dropout={self.dropout:g}" if self.dropout else ""
        rest += ", normalize_first=True" if self.normalize_first else ""
        return f"{type(self).__name__}({self.intermediate_dim}, {self.num_heads}{rest})"


class TransformerEncoder(TransformerBlock):
    """One block of a transformer's encoder: self-attention, then a dense network for every step.

    R = X + Attention(X),  A = norm(R),  and so with g(A W + b) W' + b' in the place of Attention.

    Args:
        causal: step t takes from steps s ≤ t only.
        settings: the arguments of :class:`TransformerBlock`.

    Called as ``block(x, mask=None)``; ``mask`` (m, T) is true where a step counts, as (m, T, T) for each pair. Padding
    that an embedding has noted is left out anyway.

    Shapes: X and the result (m, T, n), with n a multiple of num_heads.

    Errors: heads that do not divide the width.

    Sources: Vaswani et al. 2017; Xiong et al. 2020 for the norm that stands first. Arguments as in KerasHub.

    >>> import chainrule as cr
    >>> block = cr.TransformerEncoder(intermediate_dim=32, num_heads=2)
    >>> block(cr.input("X", ("m", 6, 8))).shape
    (m, 6, 8)
    >>> cr.Model(X := cr.input("X", ("m", 6, 8)), block(X)).parameter_count
    872
    """

    attentions = ("attention",)

    def __init__(
        self, intermediate_dim: int, num_heads: int, *args: Any, causal: bool = False, **settings: Any
    ) -> None:
        super().__init__(intermediate_dim, num_heads, *args, **settings)
        self.causal = bool(causal)

    def is_causal(self, kind: str) -> bool:
        """As the block was told."""
        return self.causal

    def __call__(self, x: Any, mask: Any = None) -> Node:
        """The sequence after the block."""
        node = self.ready(x)
        h = self.sublayer("attention", node, lambda h: self.layers["attention"](with_mask_of(node, h), mask=mask))
        return with_mask_of(node, self.sublayer("outer", h, self.feed_forward))


class TransformerDecoder(TransformerBlock):
    """One block of a transformer's decoder: causal self-attention, attention to another sequence, a dense network.

    Called without another sequence it is the block of a language model: causal self-attention and the dense network.

    Arguments as in :class:`TransformerBlock`.

    Called as ``block(x, memory=None, mask=None, memory_mask=None)``: ``memory`` (m, S, n') is what the encoder made of
    the other sequence; masks (m, T) and (m, S) are true where a step counts.

    Shapes: X and the result (m, T, n), with n a multiple of num_heads.

    Source: Vaswani et al. 2017. Arguments as in KerasHub.

    >>> import chainrule as cr
    >>> block = cr.TransformerDecoder(intermediate_dim=32, num_heads=2)
    >>> block(cr.input("Y", ("m", 6, 8)), cr.input("X", ("m", 9, 8))).shape
    (m, 6, 8)
    """

    attentions = ("attention", "cross")

    def is_causal(self, kind: str) -> bool:
        """The sequence itself is read from left to right, the other one as a whole."""
        return kind == "attention"

    def __call__(self, x: Any, memory: Any = None, mask: Any = None, memory_mask: Any = None) -> Node:
        """The sequence after the block."""
        node = self.ready(x)
        h = self.sublayer("attention", node, lambda h: self.layers["attention"](with_mask_of(node, h), mask=mask))
        if memory is not None:
            other = as_float(memory)
            h = self.sublayer("cross", h, lambda h: self.layers["cross"](h, other, mask=memory_mask))
        elif memory_mask is not None:
            raise ConfigurationError("memory_mask belongs to another sequence", given="no memory")
        return with_mask_of(node, self.sublayer("outer", h, self.feed_forward))
