"""Convolutional layers: Conv1D, Conv2D and their transposes. Names and arguments follow Keras; channels come last."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ConfigurationError, ShapeError
from chainrule.graph.dim import show
from chainrule.graph.node import Node
from chainrule.nn.activations import activation_name
from chainrule.nn.initializers import initializer
from chainrule.nn.layer import Layer, positive
from chainrule.nn.layers import Activation
from chainrule.ops import convolution, convolution_transpose
from chainrule.ops.windows import by, layout, per_axis


def check_axes(layer: Layer, x: Node, axes: int) -> None:
    """A layer for sequences takes sequences, one for images images, and both with channels."""
    if x.ndim != axes + 2:
        kind = type(layer).__name__
        hints = {
            axes + 1: "one channel is an axis as well: X[..., None]",
            2: "give every example its shape: X.reshape(…)",
        }
        raise ShapeError(
            f"{kind} takes {'sequences' if axes == 1 else 'images'} with channels",
            given=f"{x.name or x.op.name} {show(x.shape)}",
            expected=layout(axes),
            hint=hints.get(x.ndim),
        )


class Convolution(Layer):
    """A = g(Z), Z = X ∗ W + b: what all convolutional layers share. Abstract.

    A subclass says over how many ``axes`` the kernel slides, and whether it is ``transposed``.
    """

    axes: int
    transposed = False

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        *,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if isinstance(strides, str):
            raise ConfigurationError(
                "strides are whole numbers", given=repr(strides), hint=f"say what it is: activation={strides!r}"
            )
        self.filters = positive(filters, "the number of filters")
        self.kernel_size = per_axis(kernel_size, self.axes, "kernel_size")
        self.strides = per_axis(strides, self.axes, "strides")
        self.padding = padding
        self.dilation_rate = per_axis(dilation_rate, self.axes, "dilation_rate")
        self.groups = positive(groups, "groups")
        self.use_bias = bool(use_bias)
        self.activation = activation
        self.kernel_initializer = initializer(kernel_initializer)
        self.bias_initializer = initializer(bias_initializer)
        self._activation = Activation(activation)
        for part in (self._activation, *self._activation.parts):  # what the activation learns belongs to this layer
            if isinstance(part, Layer):
                part.scope = self.scope

    @property
    def parts(self) -> tuple[Any, ...]:
        """The activation, which may bring parameters of its own."""
        return (self._activation,)

    def build(self, x: Node) -> None:
        """Make W and b for inputs with as many channels as x."""
        check_axes(self, x, self.axes)
        channels = self.width_of(x)
        if channels % self.groups or self.filters % self.groups:
            raise ConfigurationError(
                f"{type(self).__name__} shares its channels and filters out evenly among the groups",
                given=f"{channels} channels and {self.filters} filters in {self.groups} groups",
                expected=f"both divisible by {self.groups}",
            )
        ends = (self.filters // self.groups, channels) if self.transposed else (channels // self.groups, self.filters)
        self.parameter("W", (*self.kernel_size, *ends), self.kernel_initializer)
        if self.use_bias:
            self.parameter("b", (self.filters,), self.bias_initializer)

    def convolved(self, x: Node) -> Node:
        """X ∗ W."""
        return convolution(x, self["W"], **self._settings)

    def apply(self, x: Node) -> Node:
        """g(X ∗ W + b)."""
        check_axes(self, x, self.axes)
        z = self.convolved(x)
        if self.use_bias:
            z = z + self["b"]
        return self._activation(z.named("Z", self.scope))

    @property
    def _settings(self) -> dict[str, Any]:
        return {
            "strides": self.strides,
            "padding": self.padding,
            "dilation": self.dilation_rate,
            "groups": self.groups,
        }

    def __repr__(self) -> str:
        words = [str(self.filters), by(self.kernel_size), repr(activation_name(self.activation))]
        words += [f"strides {by(self.strides)}"] if max(self.strides) > 1 else []
        words += [f"padding {self.padding!r}"] if self.padding != "valid" else []
        words += [f"dilation {by(self.dilation_rate)}"] if max(self.dilation_rate) > 1 else []
        words += [f"{self.groups} groups"] if self.groups > 1 else []
        return f"{type(self).__name__}({', '.join(words)})"


class Conv1D(Convolution):
    """A = g(Z), Z = X ∗ W + b over sequences: every filter slides along the one axis between examples and channels.

    Args:
        filters: the number of filters n, and so of channels of the result.
        kernel_size: how long the kernel is.
        strides: how far it moves at each step.
        padding: ``"valid"``, ``"same"``, ``"causal"`` (nothing sees what comes after it), or numbers of zeros.
        dilation_rate: how far apart the numbers are that the kernel meets.
        groups: so many convolutions side by side, each of its share of channels.
        activation: g, by name, or any function of a node; linear by default.
        use_bias: whether there is a b.
        kernel_initializer: how W starts, by name, number or function.
        bias_initializer: how b starts.
        name: the layer's name; by default layers are numbered.

    Shapes: X (m, length, c), W (kernel_size, c / groups, n), b (n,), Z and A (m, places, n).

    >>> import chainrule as cr
    >>> a = cr.Conv1D(8, 3, padding="causal", activation="relu")(cr.input("X", ("m", 100, 2)))
    >>> print(a, a.shape)
    ReLU(Z1) (m, 100, 8)

    Source: van den Oord et al., WaveNet, 2016, for causal and dilated ones.
    """

    axes = 1


class Conv2D(Convolution):
    """A = g(Z), Z = X ∗ W + b over images: every filter slides over height and width and sees all channels.

    Args:
        filters: the number of filters n, and so of channels of the result.
        kernel_size: height and width of the kernel, as one number or two.
        strides: how far it moves at each step.
        padding: ``"valid"``, ``"same"``, or numbers of zeros: one, or for each axis a number or (before, after).
        dilation_rate: how far apart the numbers are that the kernel meets.
        groups: so many convolutions side by side, each of its share of channels; c of them is depthwise.
        activation: g, by name, or any function of a node; linear by default.
        use_bias: whether there is a b.
        kernel_initializer: how W starts, by name, number or function.
        bias_initializer: how b starts.
        name: the layer's name; by default layers are numbered.

    Shapes: X (m, height, width, c), W (kernel height, kernel width, c / groups, n), b (n,), Z and A (m, places, n).

    >>> import chainrule as cr
    >>> x = cr.input("X", ("m", 28, 28, 1))
    >>> layer = cr.Conv2D(32, 3, padding="same", activation="relu")
    >>> layer(x).shape, layer["W"].shape
    ((m, 28, 28, 32), (3, 3, 1, 32))

    Source: LeCun et al., Gradient-based learning applied to document recognition, 1998.
    """

    axes = 2


class ConvolutionTranspose(Convolution):
    """A = g(Z), Z = X ∗ Wᵀ + b: what transposed convolutional layers share. Abstract."""

    transposed = True

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        *,
        output_padding: Any = None,
        **settings: Any,
    ) -> None:
        super().__init__(filters, kernel_size, strides, padding, **settings)
        self.output_padding = output_padding

    def convolved(self, x: Node) -> Node:
        """X ∗ Wᵀ."""
        return convolution_transpose(x, self["W"], output_padding=self.output_padding, **self._settings)


class Conv1DTranspose(ConvolutionTranspose):
    """A = g(Z), Z = X ∗ Wᵀ + b: from short sequences to longer ones, every number puts the kernel into its window.

    Args:
        filters: the number of channels of the result.
        kernel_size: how long the kernel is.
        strides: how many places of the result there are for one of X.
        padding: ``"valid"``, ``"same"`` (then the result is ``strides`` times as long), or numbers that are cut off.
        output_padding: places to add at the end, fewer than a stride.
        settings: ``dilation_rate``, ``groups``, ``activation``, ``use_bias``, initializers, name: as of Conv1D.

    Shapes: X (m, length, c), W (kernel_size, filters / groups, c), b (filters,), Z and A (m, places, filters).

    >>> import chainrule as cr
    >>> z = cr.Conv1DTranspose(4, 3, strides=2, padding="same")(cr.input("X", ("m", 25, 8)))
    >>> print(z, z.shape)
    X ∗[stride 1/2] W1ᵀ + b1 (m, 50, 4)
    """

    axes = 1


class Conv2DTranspose(ConvolutionTranspose):
    """A = g(Z), Z = X ∗ Wᵀ + b: from small images to larger ones, every number puts the kernel into its window.

    Args:
        filters: the number of channels of the result.
        kernel_size: height and width of the kernel, as one number or two.
        strides: how many places of the result there are for one of X.
        padding: ``"valid"``, ``"same"`` (then the result has ``strides`` times the size), or numbers that are cut off.
        output_padding: rows and columns to add at the end, fewer than a stride.
        settings: ``dilation_rate``, ``groups``, ``activation``, ``use_bias``, initializers, name: as of Conv2D.

    Shapes: X (m, height, width, c), W (kernel height, kernel width, filters / groups, c), b (filters,), Z and A
    (m, places, filters).

    >>> import chainrule as cr
    >>> cr.Conv2DTranspose(16, 3, strides=2, padding="same")(cr.input("X", ("m", 7, 7, 32))).shape
    (m, 14, 14, 16)

    Source: Zeiler et al., Deconvolutional networks, 2010.
    """

    axes = 2
