"""Layers that only change the size of sequences and images: pooling of windows or of everything, up-sampling."""

from __future__ import annotations

from math import inf
from typing import Any

from chainrule.errors import ConfigurationError
from chainrule.graph.node import Node, describe, inside
from chainrule.nn.convolution import check_axes
from chainrule.nn.layer import Layer
from chainrule.nn.masking import counted
from chainrule.ops import average_pool, cast, max_pool, maximum, mean, reshape, upsample, where
from chainrule.ops import max as max_
from chainrule.ops import sum as sum_
from chainrule.ops.windows import by, per_axis


class Pooling(Layer):
    """P, one number for every window of every channel: what pooling layers share. Abstract.

    Args:
        pool_size: the size of the window, one number or one for each axis.
        strides: how far it moves at each step; by default its own size.
        padding: ``"valid"`` leaves out a rest that fills no window, ``"same"`` keeps it; or numbers.
        name: the layer's name; by default layers are numbered.
    """

    axes: int

    def __init__(
        self, pool_size: Any = 2, strides: Any = None, padding: Any = "valid", name: str | None = None
    ) -> None:
        super().__init__(name)
        self.pool_size = per_axis(pool_size, self.axes, "pool_size")
        self.strides = self.pool_size if strides is None else per_axis(strides, self.axes, "strides")
        self.padding = padding

    def pooled(self, x: Node) -> Node:
        """What is kept of every window."""
        raise NotImplementedError

    def apply(self, x: Node) -> Node:
        """The pooled numbers."""
        check_axes(self, x, self.axes)
        return self.pooled(x).named("P", self.scope)

    def __repr__(self) -> str:
        words = [by(self.pool_size)]
        words += [f"strides {by(self.strides)}"] if self.strides != self.pool_size else []
        words += [f"padding {self.padding!r}"] if self.padding != "valid" else []
        return f"{type(self).__name__}({', '.join(words)})"


class MaxPool(Pooling):
    """P = the largest number of every window. Abstract."""

    def pooled(self, x: Node) -> Node:
        """The largest numbers."""
        return max_pool(x, self.pool_size, self.strides, self.padding)


class AveragePool(Pooling):
    """P = the mean of every window. Abstract."""

    def pooled(self, x: Node) -> Node:
        """The means."""
        return average_pool(x, self.pool_size, self.strides, self.padding)


class MaxPool1D(MaxPool):
    """P = the largest number of every window of a sequence (m, length, c); the first of equals takes the gradient.

    >>> import chainrule as cr
    >>> cr.MaxPool1D(2)(cr.input("X", ("m", 9, 4))).shape
    (m, 4, 4)
    """

    axes = 1


class MaxPool2D(MaxPool):
    """P = the largest number of every window of an image (m, height, width, c); the first of equals takes the gradient.

    >>> import chainrule as cr
    >>> cr.MaxPool2D(2)(cr.input("X", ("m", 28, 28, 32))).shape
    (m, 14, 14, 32)
    """

    axes = 2


class AveragePool1D(AveragePool):
    """P = the mean of every window of a sequence (m, length, c); what padding adds does not count, as in Keras.

    >>> import chainrule as cr
    >>> cr.AveragePool1D(3, strides=1, padding="same")(cr.input("X", ("m", 9, 4))).shape
    (m, 9, 4)
    """

    axes = 1


class AveragePool2D(AveragePool):
    """P = the mean of every window of an image (m, height, width, c); what padding adds does not count, as in Keras.

    >>> import chainrule as cr
    >>> cr.AveragePool2D(2)(cr.input("X", ("m", 28, 28, 32))).shape
    (m, 14, 14, 32)
    """

    axes = 2


class GlobalPooling(Layer):
    """P, one number for every channel. Abstract.

    Args:
        keepdims: whether the axes that are pooled stay, with size 1.
        name: the layer's name; by default layers are numbered.

    Called as ``layer(x, mask=None)``, of sequences also ``layer(x, lengths=…)``: only the places where the mask is not
    0, or the first so many steps, are pooled. Where neither is given, padding that an embedding has noted is left out
    (:func:`mask_of`). Of nothing but padding P is 0.
    """

    axes: int

    def __init__(self, keepdims: bool = False, name: str | None = None) -> None:
        super().__init__(name)
        self.keepdims = bool(keepdims)

    def pooled(self, x: Node, axes: tuple[int, ...], there: Node | None) -> Node:
        """What is kept of every channel, of the places ``there`` (m, …, 1) or of all."""
        raise NotImplementedError

    def __call__(self, x: Any, mask: Any = None, *, lengths: Any = None) -> Node:
        """The pooled numbers."""
        x = self.ready(x)
        check_axes(self, x, self.axes)
        if lengths is not None and self.axes > 1:
            raise ConfigurationError(
                "lengths are of sequences", given=describe(x), hint="give a mask instead: mask=(m, height, width)"
            )
        there = counted(x, mask, lengths)
        with inside(self.scope):
            if there is not None:
                there = reshape(there, (*there.shape, 1))
            return self.pooled(x, tuple(range(1, self.axes + 1)), there).named("P", self.scope)


class GlobalMaxPool(GlobalPooling):
    """P = the largest number of every channel. Abstract."""

    def pooled(self, x: Node, axes: tuple[int, ...], there: Node | None) -> Node:
        """The largest numbers."""
        if there is None:
            return max_(x, axes, keepdims=self.keepdims)
        some = sum_(cast(there, "float"), axes, keepdims=self.keepdims) > 0
        return where(some, max_(where(there, x, -inf), axes, keepdims=self.keepdims), 0.0)


class GlobalAveragePool(GlobalPooling):
    """P = the mean of every channel. Abstract."""

    def pooled(self, x: Node, axes: tuple[int, ...], there: Node | None) -> Node:
        """The means."""
        if there is None:
            return mean(x, axes, keepdims=self.keepdims)
        one_each = cast(there, "float")
        number = maximum(sum_(one_each, axes, keepdims=self.keepdims), 1.0)
        return sum_(one_each * x, axes, keepdims=self.keepdims) / number


class GlobalMaxPool1D(GlobalMaxPool):
    """P = the largest number of every channel of a sequence: (m, length, c) becomes (m, c).

    Differs from Keras, which lets padding take part.

    >>> import chainrule as cr
    >>> cr.evaluate(cr.GlobalMaxPool1D()([[[-3.0], [-1.0], [0.0]]], lengths=[2]))
    array([[-1.]])
    """

    axes = 1


class GlobalMaxPool2D(GlobalMaxPool):
    """P = the largest number of every channel of an image: (m, height, width, c) becomes (m, c)."""

    axes = 2


class GlobalAveragePool1D(GlobalAveragePool):
    """P = the mean of every channel of a sequence: (m, length, c) becomes (m, c).

    >>> import chainrule as cr
    >>> cr.evaluate(cr.GlobalAveragePool1D()([[[1.0], [3.0], [0.0]]], mask=[[1, 1, 0]]))
    array([[2.]])
    """

    axes = 1


class GlobalAveragePool2D(GlobalAveragePool):
    """P = the mean of every channel of an image: (m, height, width, c) becomes (m, c).

    Source: Lin, Chen and Yan, Network in network, 2013.
    """

    axes = 2


class UpSampling(Layer):
    """U, larger by whole factors. Abstract.

    Args:
        size: the factor, one number or one for each axis.
        interpolation: ``"nearest"`` repeats every number, ``"bilinear"`` draws straight lines between them.
        name: the layer's name; by default layers are numbered.
    """

    axes: int

    def __init__(self, size: Any = 2, interpolation: str = "nearest", name: str | None = None) -> None:
        super().__init__(name)
        self.size = per_axis(size, self.axes, "size")
        self.interpolation = interpolation

    def apply(self, x: Node) -> Node:
        """The larger sequences or images."""
        check_axes(self, x, self.axes)
        return upsample(x, self.size, self.interpolation).named("U", self.scope)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({by(self.size)})"


class UpSampling1D(UpSampling):
    """U = every number of a sequence repeated: (m, length, c) becomes (m, size · length, c)."""

    axes = 1


class UpSampling2D(UpSampling):
    """U = every pixel of an image repeated: (m, height, width, c) becomes (m, size · height, size · width, c).

    >>> import chainrule as cr
    >>> cr.UpSampling2D((2, 3))(cr.input("X", ("m", 4, 4, 1))).shape
    (m, 8, 12, 1)
    """

    axes = 2
