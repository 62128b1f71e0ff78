"""Gates: what passes is a product with a number between 0 and 1, learned, and a quantity of the formula to look at.

How far a gate is open is named (G, T, z, f …), so that ``run.watched``, traces and formula sheets show it by name;
``layer.openness`` is the node of it, as of the last call. Other gates have files of their own: attention
(``attention.py``), dropout (``noise.py``), sampling, switching (``experts.py``), routing (``capsules.py``), and the
heads of a memory (``memory.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.errors import ConfigurationError, GraphError, ShapeError
from chainrule.graph.dim import show
from chainrule.graph.node import Node, inside
from chainrule.nn.activations import activation as activation_by_name
from chainrule.nn.activations import activation_name
from chainrule.nn.initializers import initializer
from chainrule.nn.layer import Layer, as_float, positive
from chainrule.ops import indicator, sigmoid, stop_gradient, tanh


def forget_gate(f: Any, c: Any) -> Node:
    """f ∘ c: the share f of the memory c is kept.  Source: Gers, Schmidhuber and Cummins 2000 (LSTM)."""
    return as_float(f) * as_float(c)


def input_gate(i: Any, g: Any) -> Node:
    """i ∘ g: the share i of the candidate g is taken in.  Source: Hochreiter and Schmidhuber 1997 (LSTM)."""
    return as_float(i) * as_float(g)


def output_gate(o: Any, c: Any) -> Node:
    """o ∘ tanh(c): the share o of the memory c is shown.  Source: Hochreiter and Schmidhuber 1997 (LSTM)."""
    return as_float(o) * tanh(c)


def reset_gate(r: Any, h: Any) -> Node:
    """r ∘ h: the share r of the state h is seen by the candidate.  Source: Cho et al. 2014 (GRU)."""
    return as_float(r) * as_float(h)


def update_gate(z: Any, h: Any, n: Any) -> Node:
    """z ∘ h + (1 − z) ∘ n: the share z of the state h is kept, the rest is the candidate n.

    It is a forget gate and an input gate that share one opening: f = z, i = 1 − z.

    Source: Cho et al. 2014 (GRU).

    >>> import chainrule as cr
    >>> float(cr.evaluate(cr.update_gate(0.75, 4.0, 8.0)))
    5.0
    """
    z = as_float(z)
    new: Node = z * as_float(h) + (1 - z) * as_float(n)
    return new


class Gate(Layer):
    """G = σ(x W + h U + b): how far a gate is open, from one or several quantities.

    Args:
        units: how many numbers; by default as many as the last operand has.
        activation: σ.
        kernel_initializer, bias_initializer: how W, U and b start; a large b starts with an open gate.
        letter: what the openness is called: G, or f, i, o, z, r.
        name: the layer's name.

    Called as ``gate(x)`` or ``gate(x, h)``; shapes x (…, k), h (…, n), G (…, units).

    >>> import chainrule as cr
    >>> f = cr.Gate(letter="f", bias_initializer=1.0)
    >>> x, c = cr.input("x", ("m", 3)), cr.input("c", ("m", 4))
    >>> print(cr.forget_gate(f(x, c), c))
    f1 ∘ c
    """

    letters = "WUVABC"

    def __init__(
        self,
        units: int | None = None,
        activation: Any = "sigmoid",
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        letter: str = "G",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.units = positive(units, "the number of units") if units is not None else None
        self.activation = activation
        self.kernel_initializer = initializer(kernel_initializer)
        self.bias_initializer = initializer(bias_initializer)
        self.letter = letter
        self.openness: Node | None = None
        self._function = activation_by_name(activation)

    def __call__(self, *operands: Any) -> Node:
        """G."""
        nodes = [as_float(x) for x in operands]
        if not 1 <= len(nodes) <= len(self.letters):
            raise ConfigurationError("a gate looks at one to six quantities", given=len(nodes))
        widths = tuple(self.width_of(n) for n in nodes)
        if self._built is None:
            units = self.units or widths[-1]
            for letter, width in zip(self.letters, widths, strict=False):
                self.parameter(letter, (width, units), self.kernel_initializer)
            self.parameter("b", (units,), self.bias_initializer)
            self._built = widths
        elif widths != self._built:
            raise ShapeError(
                f"the gate {self!r} has been called with other widths before",
                given=show(widths),
                expected=show(self._built),
            )
        with inside(self.scope):
            total = nodes[0] @ self["W"]
            for letter, node in zip(self.letters[1:], nodes[1:], strict=False):
                total = total + node @ self[letter]
            self.openness = self._function(total + self["b"]).named(self.letter, self.scope)
        return self.openness

    def __repr__(self) -> str:
        return f"Gate({self.units or ''})"


class UpdateOnly(Layer):
    """h' = z ∘ h + (1 − z) ∘ n with z = σ(x W + h U + b), n = tanh(x W_n + h U_n + b_n): a state with one gate.

    Args:
        activation: tanh, of the candidate.
        bias_initializer: how the gate's b starts; the paper starts at 1, so that the state is kept at first.
        name: the layer's name.

    Called as ``cell(x, h)``, the step of a recurrent network. Shapes: x (m, k), h and h' (m, n).

    Source: Collins, Sohl-Dickstein and Sussillo, Capacity and trainability in recurrent neural networks, 2017 (UGRNN).
    """

    def __init__(self, activation: Any = "tanh", bias_initializer: Any = 1.0, name: str | None = None) -> None:
        super().__init__(name)
        self.gate = Gate(bias_initializer=bias_initializer, letter="z", name=name)
        self.candidate = Gate(activation=activation, letter="n", name=f"{name}_candidate" if name else None)

    @property
    def parts(self) -> tuple[Any, ...]:
        """The gate and the candidate."""
        return self.gate, self.candidate

    @property
    def openness(self) -> Node | None:
        """z."""
        return self.gate.openness

    def __call__(self, x: Any, h: Any) -> Node:  # type: ignore[override]
        """h'."""
        h = as_float(h)
        return update_gate(self.gate(x, h), h, self.candidate(x, h)).named("h", self.scope)


class Feedback(Layer):
    """G ∘ (h U) with G = σ(x w + h u + b), one number for an example: how much a layer above tells the one below.

    Args:
        units: the width of what is told.
        name: the layer's name.

    Called as ``feedback(x, h)``: x is the input of the lower layer, h the state above, of the step before.
    Shapes: x (m, k), h (m, n), G (m, 1), result (m, units).

    Source: Chung et al., Gated feedback recurrent neural networks, 2015.
    """

    def __init__(self, units: int, name: str | None = None) -> None:
        super().__init__(name)
        self.units = positive(units, "the number of units")
        self.gate = Gate(1, name=name)

    @property
    def parts(self) -> tuple[Any, ...]:
        """The gate."""
        return (self.gate,)

    @property
    def openness(self) -> Node | None:
        """G."""
        return self.gate.openness

    def build(self, x: Node) -> None:
        """Make U for states of the width of x."""
        self.parameter("U_h", (self.width_of(x), self.units), "glorot_uniform")

    def __call__(self, x: Any, h: Any) -> Node:  # type: ignore[override]
        """G ∘ (h U)."""
        state = self.ready(h)
        return (self.gate(x, state) * (state @ self["U_h"])).named("A", self.scope)


class GLU(Layer):
    """A = Z ∘ G with Z = x W + b and G = σ(x V + c): the gated linear unit, half of it the gate of the other half.

    Args:
        units: the number of units.
        activation: σ, of the gate; ``"silu"`` makes it a SwiGLU.
        name: the layer's name.

    Shapes: x (…, k), W and V (k, n), b and c (n,), G and A (…, n).

    Sources: Dauphin et al. 2017; Shazeer, GLU variants improve transformer, 2020.

    >>> import chainrule as cr
    >>> print(cr.GLU(3)(cr.input("x", ("m", 2))))
    Z1 ∘ G1
    """

    def __init__(self, units: int, activation: Any = "sigmoid", name: str | None = None) -> None:
        super().__init__(name)
        self.units = positive(units, "the number of units")
        self.activation = activation
        self.openness: Node | None = None
        self._function = activation_by_name(activation)

    def build(self, x: Node) -> None:
        """Make both halves."""
        width = self.width_of(x)
        for matrix, vector in (("W", "b"), ("V", "c")):
            self.parameter(matrix, (width, self.units), "glorot_uniform")
            self.parameter(vector, (self.units,), "zeros")

    def apply(self, x: Node) -> Node:
        """Z ∘ G."""
        z = (x @ self["W"] + self["b"]).named("Z", self.scope)
        self.openness = self._function(x @ self["V"] + self["c"]).named("G", self.scope)
        return (z * self.openness).named("A", self.scope)

    def __repr__(self) -> str:
        return f"GLU({self.units}, {activation_name(self.activation)!r})"


class Highway(Layer):
    """A = T ∘ g(Z) + (1 − T) ∘ x with Z = x W + b and T = σ(x W_T + b_T): how much of the layer, how much of x.

    Args:
        activation: g.
        bias: where b_T starts; below 0, so that x passes at first.
        name: the layer's name.

    Shapes: x and A (…, n), W and W_T (n, n), T (…, n).

    Source: Srivastava, Greff and Schmidhuber 2015.
    """

    def __init__(self, activation: Any = "relu", bias: float = -2.0, name: str | None = None) -> None:
        super().__init__(name)
        self.activation = activation
        self.bias = float(bias)
        self.openness: Node | None = None
        self._function = activation_by_name(activation)

    def build(self, x: Node) -> None:
        """Make W, b and those of the gate."""
        n = self.width_of(x)
        for letter, start in (("", 0.0), ("_T", self.bias)):
            self.parameter(f"W{letter}", (n, n), "glorot_uniform")
            self.parameter(f"b{letter}", (n,), start)

    def apply(self, x: Node) -> Node:
        """T ∘ g(Z) + (1 − T) ∘ x."""
        z = (x @ self["W"] + self["b"]).named("Z", self.scope)
        self.openness = t = sigmoid(x @ self["W_T"] + self["b_T"]).named("T", self.scope)
        return (t * self._function(z) + (1 - t) * x).named("A", self.scope)

    def __repr__(self) -> str:
        return f"Highway({activation_name(self.activation)!r})"


class Residual(Layer):
    """R = x + f(x): what f computes is added to x, so that a derivative reaches x without passing f.

    Args:
        f: a layer, or any function from node to node that keeps the shape.
        gated: R = x + α f(x) with one learned number α that starts at 0: the gate is shut at first (ReZero).
        name: the layer's name.

    Errors: f does not keep the shape.

    Sources: He et al. 2016; Bachlechner et al., ReZero is all you need, 2021.

    >>> import chainrule as cr
    >>> print(cr.Residual(cr.Dense(4, "tanh"))(cr.input("x", ("m", 4))))
    x + A1
    """

    def __init__(self, f: Callable[[Node], Node], gated: bool = False, name: str | None = None) -> None:
        super().__init__(name)
        if not callable(f):
            raise ConfigurationError("a residual connection goes around a function of a node", given=repr(f))
        self.f, self.gated = f, bool(gated)
        self.openness: Node | None = None

    @property
    def parts(self) -> tuple[Any, ...]:
        """f, which may be a layer."""
        return (self.f,)

    def build(self, x: Node) -> None:
        """Make α, where it is gated."""
        if self.gated:
            self.openness = self.parameter("α", (), 0.0)

    def apply(self, x: Node) -> Node:
        """x + f(x)."""
        y = self.f(x)
        if not isinstance(y, Node):
            raise GraphError(f"{self.f!r} does not return a node", given=type(y).__name__)
        if y.shape != x.shape:
            raise ShapeError(
                "a residual connection adds x to what is made of it",
                given=f"x {show(x.shape)}, {self.f!r} gives {show(y.shape)}",
                expected="equal shapes",
                hint="bring x to the other width by a Dense layer, and add it by hand",
            )
        return (x + (self["α"] * y if self.gated else y)).named("R", self.scope)

    def __repr__(self) -> str:
        return f"Residual({self.f!r}{', gated=True' if self.gated else ''})"


class ThresholdGate(Layer):
    """A = G ∘ x with G = [x > θ]: what is above the threshold passes, the rest does not; θ is learned for each unit.

    A step has no useful derivative: backwards G is taken for σ((x − θ)/τ), which it is for τ → 0 (straight-through).

    Args:
        initial: where each θ starts.
        softness: τ, the width of the zone around θ in which it learns.
        hard: False opens gradually, G = σ((x − θ)/τ), forwards as well.
        name: the layer's name.

    Sources: Konda et al. 2015 for the thresholded unit; Bengio, Léonard and Courville 2013 for straight-through.
    """

    def __init__(self, initial: float = 1.0, softness: float = 0.1, hard: bool = True, name: str | None = None) -> None:
        super().__init__(name)
        if not softness > 0:
            raise ConfigurationError("the softness τ is a positive number", given=softness)
        self.initial, self.softness, self.hard = float(initial), float(softness), bool(hard)
        self.openness: Node | None = None

    def build(self, x: Node) -> None:
        """Make θ."""
        self.parameter("θ", (self.width_of(x),), self.initial)

    def apply(self, x: Node) -> Node:
        """G ∘ x."""
        soft = sigmoid((x - self["θ"]) / self.softness)
        g = straight_through(indicator(x > self["θ"]), soft) if self.hard else soft
        self.openness = g.named("G", self.scope)
        return (self.openness * x).named("A", self.scope)


def straight_through(hard: Node, soft: Node) -> Node:
    """The value of ``hard`` with the derivative of ``soft``: soft + stop(hard − soft).

    Source: Bengio, Léonard and Courville 2013.
    """
    return soft + stop_gradient(hard - soft)
