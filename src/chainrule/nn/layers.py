"""The layers: Dense, Activation, Flatten, Reshape. Names and arguments follow Keras where it has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chainrule.errors import ConfigurationError, GraphError
from chainrule.graph.dim import product
from chainrule.graph.node import Node, Scope
from chainrule.nn.activations import activation as activation_by_name
from chainrule.nn.activations import activation_name
from chainrule.nn.initializers import initializer
from chainrule.nn.layer import Layer, positive
from chainrule.ops import reshape


class Dense(Layer):
    """A = g(Z), Z = X W + b: every unit sees every input.

    Args:
        units: the number of units n.
        activation: g, by name, or any function of a node; linear by default.
        use_bias: whether there is a b.
        kernel_initializer: how W starts, by name, number or function.
        bias_initializer: how b starts.
        input_dim: the number of inputs, where the network should be complete before it sees data.
        name: the layer's name; by default layers are numbered.

    Shapes: X (m, k), W (k, n), b (n,), Z and A (m, n).

    >>> import chainrule as cr
    >>> print(cr.Dense(3, "tanh")(cr.input("X", ("m", 2))))
    tanh(Z1)
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        input_dim: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.units = positive(units, "the number of units")
        self.use_bias = bool(use_bias)
        self.activation = activation
        self.kernel_initializer = initializer(kernel_initializer)
        self.bias_initializer = initializer(bias_initializer)
        self.input_dim = positive(input_dim, "input_dim") if input_dim is not None else None
        self._function = activation_by_name(activation)
        if isinstance(self._function, Layer):  # what the activation learns belongs to this layer
            self._function.scope = self.scope

    @property
    def parts(self) -> tuple[Any, ...]:
        """The activation, which may be a layer itself."""
        return (self._function,)

    def build(self, x: Node) -> None:
        """Make W and b for inputs of the size of x's last axis."""
        width = self.width_of(x)
        if self.input_dim not in (None, width):
            raise ConfigurationError("input_dim is not the width of the input", given=self.input_dim, expected=width)
        self.parameter("W", (width, self.units), self.kernel_initializer)
        if self.use_bias:
            self.parameter("b", (self.units,), self.bias_initializer)

    def apply(self, x: Node) -> Node:
        """g(x W + b)."""
        z = x @ self["W"]
        if self.use_bias:
            z = z + self["b"]
        return _activated(self._function, z.named("Z", self.scope), self.scope)

    def __repr__(self) -> str:
        return f"Dense({self.units}, {activation_name(self.activation)!r})"


class Activation(Layer):
    """A = g(x), an activation as a layer of its own."""

    def __init__(self, activation: Any, name: str | None = None) -> None:
        super().__init__(name)
        self.activation = activation
        self._function = activation_by_name(activation)

    @property
    def parts(self) -> tuple[Any, ...]:
        """The activation, which may be a layer itself."""
        return (self._function,)

    def apply(self, x: Node) -> Node:
        """g(x)."""
        return _activated(self._function, x, self.scope)

    def __repr__(self) -> str:
        return f"Activation({activation_name(self.activation)!r})"


def _activated(function: Callable[[Node], Node], z: Node, scope: Scope) -> Node:
    """A = g(z), or z itself where g is linear."""
    a = function(z)
    if not isinstance(a, Node):
        raise GraphError(f"the activation {activation_name(function)} does not return a node", given=type(a).__name__)
    return a if a is z else a.named("A", scope)


class Flatten(Layer):
    """Every example as one row: (m, h, w) becomes (m, h w)."""

    def apply(self, x: Node) -> Node:
        """The rows."""
        return reshape(x, (x.shape[0], product(x.shape[1:])))


class Reshape(Layer):
    """Every example in another shape: (m, 784) becomes (m, 28, 28, 1).

    Args:
        target_shape: the shape of one example; one size may be -1, which is what remains.
        name: the layer's name.

    >>> import chainrule as cr
    >>> cr.Reshape((2, -1))(cr.input("X", ("m", 6))).shape
    (m, 2, 3)
    """

    def __init__(self, target_shape: Sequence[int], name: str | None = None) -> None:
        super().__init__(name)
        self.target_shape = tuple(target_shape)

    def apply(self, x: Node) -> Node:
        """The same numbers in the other shape."""
        return reshape(x, (x.shape[0], *self.target_shape))

    def __repr__(self) -> str:
        return f"Reshape({self.target_shape})"
