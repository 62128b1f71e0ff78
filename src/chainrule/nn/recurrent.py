"""Recurrent layers: RNN, LSTM, GRU, and Bidirectional. Names and arguments follow Keras where it has them.

A layer says what one step computes; ``chainrule.loop`` repeats it. Each gate has weights of its own, so that formulas
read as in the papers; when a network runs, the products of one operand are done at once (``rewrite/hoist.py``).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from chainrule.errors import ConfigurationError, ShapeError, near
from chainrule.graph.dim import Size, show
from chainrule.graph.node import Node, Scope, describe, inside
from chainrule.graph.op import lift
from chainrule.nn.activations import activation as activation_by_name
from chainrule.nn.activations import activation_name
from chainrule.nn.initializers import initializer
from chainrule.nn.layer import Layer, positive
from chainrule.nn.masking import counted, numbered, with_mask_of
from chainrule.ops import (
    broadcast_to,
    concatenate,
    constant,
    equal,
    flip,
    floor,
    loop,
    stop_gradient,
    transpose,
    where,
)

States = dict[str, Node]
Hold = Callable[[Node, Node], Node]


class Recurrent(Layer):
    """What recurrent layers share: a step repeated over the second axis of x (m, T, k). Abstract.

    Args:
        units: the size n of the state.
        activation: what the new state or candidate goes through, by name, or any function of a node.
        recurrent_activation: what gates go through.
        use_bias: whether there are biases.
        kernel_initializer, recurrent_initializer, bias_initializer: how W, U and b start.
        return_sequences: the states at all times (m, T, n) instead of the last (m, n).
        return_state: the last state or states as well: ``output, h`` or ``output, h, c``.
        go_backwards: from the last time to the first; the states of all times are then in that order, as in Keras.
        truncate: the gradient goes back through at most so many steps: at every ``truncate``-th step it is stopped
            (truncated backpropagation through time). Values stay the same. None goes back to the first step.
        name: the layer's name; by default layers are numbered.

    Called as ``layer(x, mask=None, lengths=None, initial_state=None)``:

    - ``mask`` (m, T): where it is 0, the state is held: it stays what it was.
      Where neither mask nor lengths are given, padding that an embedding has noted counts as such (:func:`mask_of`).
    - ``lengths`` (m,), whole numbers: the same as a mask that is 1 at the first so many times.
    - ``initial_state``: what the state starts from, (m, n) or a tuple of such; zeros by default.
    """

    states: tuple[str, ...] = ("h",)
    gates: tuple[str, ...] = ("",)

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        truncate: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.units = positive(units, "the number of units")
        self.activation, self.recurrent_activation = activation, recurrent_activation
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializer(kernel_initializer)
        self.recurrent_initializer = initializer(recurrent_initializer)
        self.bias_initializer = initializer(bias_initializer)
        self.return_sequences, self.return_state = bool(return_sequences), bool(return_state)
        self.go_backwards = bool(go_backwards)
        self.truncate = positive(truncate, "truncate") if truncate is not None else None
        self._function = activation_by_name(activation)
        self._gate = activation_by_name(recurrent_activation)
        for function in (self._function, self._gate):  # what an activation learns belongs to this layer
            if isinstance(function, Layer):
                function.scope = self.scope

    @property
    def parts(self) -> tuple[Any, ...]:
        """The activations, which may be layers themselves."""
        return self._function, self._gate

    def build(self, x: Node) -> None:
        """Make W, U and b of every gate for inputs of the size of x's last axis."""
        width = self.width_of(x)
        for letter, shape, start in (
            ("W", (width, self.units), self.kernel_initializer),
            ("U", (self.units, self.units), self.recurrent_initializer),
            ("b", (self.units,), self.bias_initializer),
        ):
            for gate in self.gates if letter != "b" or self.use_bias else ():
                self.parameter(f"{letter}_{gate}" if gate else letter, shape, self.start(letter, gate, start))

    def start(self, letter: str, gate: str, usual: Any) -> Any:
        """How a parameter starts."""
        return usual

    def step(self, x: Node, *state: Node, hold: Hold) -> tuple[Node, ...]:
        """One step: the state after it, from the inputs (m, k) and the state before it, each (m, n).

        ``hold(after, before)`` is the new state where the example still counts, the old one elsewhere.
        """
        raise NotImplementedError

    def sums(self, gate: str, x: Node, h: Node) -> Node:
        """x W + h U + b of a gate."""
        end = f"_{gate}" if gate else ""
        z = x @ self["W" + end] + h @ self["U" + end]
        return z + self["b" + end] if self.use_bias else z

    def gate(self, gate: str, x: Node, h: Node) -> Node:
        """How far a gate is open, from 0 to 1, by the name of the gate."""
        return self._gate(self.sums(gate, x, h)).named(gate, self.scope)

    def __call__(self, x: Any, mask: Any = None, *, lengths: Any = None, initial_state: Any = None) -> Any:
        """The state at the last time, or at all times; with ``return_state`` a tuple."""
        x = lift(x)
        if x.ndim != 3:
            raise ShapeError(
                f"{type(self).__name__} reads sequences",
                given=describe(x),
                expected="(m, T, k): examples, times, numbers",
                hint="x[:, :, None] for sequences of single numbers" if x.ndim == 2 else None,
            )
        x = self.ready(x)
        with inside(self.scope):
            output, final = self.run(x, mask, lengths, initial_state, self.go_backwards)
            if self.return_sequences:
                output = flip(output, 1) if self.go_backwards else with_mask_of(x, output)
        return (output, *final) if self.return_state else output

    def run(
        self, x: Node, mask: Any, lengths: Any, initial_state: Any, backwards: bool
    ) -> tuple[Node, tuple[Node, ...]]:
        """The output, at the times of x where it is of all times, and the last state."""
        m, times = x.shape[:2]
        there = counted(x, mask, lengths)
        sequences = {"x": transpose(x, (1, 0, 2))}
        if there is not None:
            sequences["mask"] = transpose(there)
        if self.truncate is not None:
            sequences["cut"] = _cuts(times, self.truncate, backwards)

        def step(state: States, read: States) -> tuple[States, Node]:
            before = tuple(state[s] for s in self.states)
            if "cut" in read:
                before = tuple(where(read["cut"], stop_gradient(s), s) for s in before)

            def hold(after: Node, before: Node) -> Node:
                return where(read["mask"].reshape((m, 1)), after, before) if "mask" in read else after

            after = self.step(read["x"], *before, hold=hold)
            new = dict(zip(self.states, after, strict=True))
            return {s: new[s] for s in state}, new["h"]

        initial = dict(reversed(self._initial(initial_state, m).items()))  # c before h, which is made of it
        final, every = loop(step, initial, sequences, reverse=backwards)
        output = transpose(every, (1, 0, 2)) if self.return_sequences else final["h"]
        return output, tuple(final[s] for s in self.states)

    def _initial(self, given: Any, m: Size) -> States:
        shape = (m, self.units)
        if given is None:
            return {s: broadcast_to(constant(0.0), shape) for s in self.states}
        nodes = [lift(n) for n in given] if isinstance(given, (tuple, list)) else [lift(given)]
        if [n.shape for n in nodes] != [shape] * len(self.states):
            raise ShapeError(
                f"the initial state of {self!r} does not fit",
                given=", ".join(show(n.shape) for n in nodes),
                expected=", ".join(f"{s} {show(shape)}" for s in self.states),
            )
        return dict(zip(self.states, nodes, strict=True))

    def __repr__(self) -> str:
        name = activation_name(self.activation)
        settings = [str(self.units), *([repr(name)] if name != "tanh" else [])]
        settings += ["return_sequences=True"] if self.return_sequences else []
        return f"{type(self).__name__}({', '.join(settings)})"


def _cuts(times: Size, every: int, backwards: bool) -> Node:
    """(T,), true at the times before which the gradient is stopped: the first of each stretch of so many."""
    count = flip(numbered(times)) - 1 if backwards else numbered(times) - 1
    return equal(count - every * floor(count / every), 0.0)


class RNN(Recurrent):
    """h_t = g(x_t W + h_{t−1} U + b): the simple recurrent layer.  Source: Elman 1990.

    Arguments and calls as in :class:`Recurrent`; ``SimpleRNN`` in Keras. Shapes: W (k, n), U (n, n), b (n,).

    >>> import chainrule as cr
    >>> cr.RNN(8)(cr.input("X", ("m", "T", 3))).shape
    (m, 8)
    """

    def step(self, x: Node, *state: Node, hold: Hold) -> tuple[Node, ...]:
        """g(x W + h U + b)."""
        (h,) = state
        return (hold(self._function(self.sums("", x, h)), h).named("h", self.scope),)


class LSTM(Recurrent):
    """Long short-term memory with a forget gate.

    i_t = σ(x_t W_i + h_{t−1} U_i + b_i), and so the forget gate f_t and the output gate o_t;
    g_t = tanh(x_t W_g + h_{t−1} U_g + b_g);  c_t = f_t ∘ c_{t−1} + i_t ∘ g_t;  h_t = o_t ∘ tanh(c_t).

    Args:
        units: the size n of h and c.
        activation: tanh, of candidate and cell.
        recurrent_activation: σ, of the gates.
        unit_forget_bias: b_f starts at 1, so that nothing is forgotten at first.
        settings: the other arguments of :class:`Recurrent`.

    Shapes: each W (k, n), U (n, n), b (n,); h and c (m, n). ``return_state`` gives ``output, h, c``.

    Sources: Hochreiter and Schmidhuber 1997; Gers et al. 2000; Jozefowicz et al. 2015 for the bias.

    Differs from Keras and PyTorch in that each gate's matrix is a parameter of its own, and starts as such: the
    Glorot start of Keras counts all four gates' units as outputs of one matrix.

    >>> import chainrule as cr
    >>> output, h, c = cr.LSTM(8, return_sequences=True, return_state=True)(cr.input("X", ("m", "T", 3)))
    >>> output.shape, c.shape
    ((m, T, 8), (m, 8))
    """

    states = ("h", "c")
    gates = ("i", "f", "g", "o")

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        *,
        unit_forget_bias: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__(units, activation, recurrent_activation, **settings)
        self.unit_forget_bias = bool(unit_forget_bias)

    def start(self, letter: str, gate: str, usual: Any) -> Any:
        """How a parameter starts: the forget gate's bias at 1."""
        return initializer("ones") if (letter, gate) == ("b", "f") and self.unit_forget_bias else usual

    def step(self, x: Node, *state: Node, hold: Hold) -> tuple[Node, ...]:
        """h and c after the step."""
        h, c_before = state
        i, f = self.gate("i", x, h), self.gate("f", x, h)
        g = self._function(self.sums("g", x, h)).named("g", self.scope)
        o = self.gate("o", x, h)
        c = hold(f * c_before + i * g, c_before).named("c", self.scope)
        return hold(o * self._function(c), h).named("h", self.scope), c


class GRU(Recurrent):
    """Gated recurrent unit: an update gate z and a reset gate r.

    z_t = σ(x_t W_z + h_{t−1} U_z + b_z), and so r_t;  n_t = tanh(x_t W_n + b_n + r_t ∘ (h_{t−1} U_n + b_u));
    h_t = (1 − z_t) ∘ n_t + z_t ∘ h_{t−1}.

    Args:
        units: the size n of h.
        activation: tanh, of the candidate n.
        recurrent_activation: σ, of the gates.
        reset_after: False resets the state before the product, n_t = tanh(x_t W_n + (r_t ∘ h_{t−1}) U_n + b_n),
            as the first paper does; True after it, as in PyTorch and as is the default of Keras.
        settings: the other arguments of :class:`Recurrent`.

    Sources: Cho et al. 2014 (there z is what is renewed, here what is kept, as in Keras and PyTorch).

    Differs from Keras and PyTorch in that z and r have one bias each: their two are only ever added.

    >>> import chainrule as cr
    >>> cr.GRU(8)(cr.input("X", ("m", "T", 3))).shape
    (m, 8)
    """

    gates = ("z", "r", "n")

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        *,
        reset_after: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__(units, activation, recurrent_activation, **settings)
        self.reset_after = bool(reset_after)

    def build(self, x: Node) -> None:
        """Make W, U and b of every gate, and the candidate's second bias."""
        super().build(x)
        if self.reset_after and self.use_bias:
            self.parameter("b_u", (self.units,), self.bias_initializer)

    def step(self, x: Node, *state: Node, hold: Hold) -> tuple[Node, ...]:
        """h after the step."""
        (h,) = state
        z, r = self.gate("z", x, h), self.gate("r", x, h)
        if self.reset_after:
            inner = h @ self["U_n"] + self["b_u"] if self.use_bias else h @ self["U_n"]
            sums = x @ self["W_n"] + self["b_n"] if self.use_bias else x @ self["W_n"]
            sums = sums + r * inner
        else:
            sums = self.sums("n", x, r * h)
        n = self._function(sums).named("n", self.scope)
        return (hold((1 - z) * n + z * h, h).named("h", self.scope),)


MERGES = ("concat", "sum", "mul", "ave", None)


class Bidirectional(Layer):
    """A recurrent layer that reads forwards, and a second one that reads backwards, side by side.

    Args:
        layer: the one that reads forwards; the other is made like it, with weights of its own.
        merge_mode: how their outputs are joined: ``"concat"`` (2n numbers), ``"sum"``, ``"mul"``, ``"ave"``, or None
            for a pair.
        backward_layer: the one that reads backwards, where it should differ.

    Outputs of all times stand at the times of x. With ``return_state`` the last states of both follow the output.

    Source: Schuster and Paliwal 1997.

    >>> import chainrule as cr
    >>> cr.Bidirectional(cr.LSTM(8, return_sequences=True))(cr.input("X", ("m", "T", 3))).shape
    (m, T, 16)
    """

    def __init__(
        self,
        layer: Recurrent,
        merge_mode: str | None = "concat",
        backward_layer: Recurrent | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        for part in (layer, *([backward_layer] if backward_layer is not None else [])):
            if not isinstance(part, Recurrent):
                raise ConfigurationError(
                    "Bidirectional takes a recurrent layer", given=repr(part), expected="such as LSTM(10)"
                )
        if merge_mode not in MERGES:
            raise ConfigurationError(
                "no such way to join both directions",
                given=repr(merge_mode),
                expected=", ".join(map(repr, MERGES)),
                hint=near(str(merge_mode), [m for m in MERGES if m]),
            )
        self.forward_layer = layer
        self.backward_layer = backward_layer if backward_layer is not None else _like(layer)
        if self.backward_layer.return_sequences != layer.return_sequences:
            raise ConfigurationError(
                "both directions return the states of all times, or both the last",
                given=f"return_sequences={layer.return_sequences} and {self.backward_layer.return_sequences}",
                hint="give both the same return_sequences",
            )
        self.merge_mode = merge_mode

    @property
    def parts(self) -> tuple[Any, ...]:
        """Both directions."""
        return self.forward_layer, self.backward_layer

    def __call__(self, x: Any, mask: Any = None, *, lengths: Any = None, initial_state: Any = None) -> Any:
        """The joined outputs; with ``return_state`` a tuple."""
        ways = (self.forward_layer, self.backward_layer)
        starts: tuple[Any, Any] = (None, None)
        if initial_state is not None:
            half = len(ways[0].states)
            starts = tuple(initial_state[:half]), tuple(initial_state[half:])
        outputs: list[Node] = []
        finals: list[Node] = []
        for way, start, turned in zip(ways, starts, (False, True), strict=True):
            node = way.ready(x)
            with inside(way.scope):
                output, final = way.run(node, mask, lengths, start, way.go_backwards != turned)
            outputs.append(output)
            finals += final
        with inside(self.scope):
            joined = self._joined(*outputs)
            joined = with_mask_of(node, joined) if isinstance(joined, Node) else joined
        if not self.forward_layer.return_state:
            return joined
        return (*(joined if isinstance(joined, tuple) else (joined,)), *finals)

    def _joined(self, a: Node, b: Node) -> Any:
        if self.merge_mode is None:
            return a, b
        if self.merge_mode == "concat":
            return concatenate([a, b], axis=a.ndim - 1)
        return {"sum": a + b, "mul": a * b, "ave": (a + b) / 2}[self.merge_mode]

    def __repr__(self) -> str:
        return f"Bidirectional({self.forward_layer!r})"


def _like(layer: Recurrent) -> Recurrent:
    """A layer with the same settings and weights of its own."""
    other = copy.copy(layer)
    other.scope = Scope(layer.scope.kind, f"{layer.name}_backward" if layer.name else None)
    other._parameters, other._built = {}, None
    other._function, other._gate = activation_by_name(layer.activation), activation_by_name(layer.recurrent_activation)
    return other
