"""Networks: ``Sequential`` for layers in a row, ``Model`` for any graph between inputs and outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chainrule.errors import ConfigurationError, GraphError, ShapeError, near
from chainrule.graph.dim import as_shape, definite, show
from chainrule.graph.graph import Graph
from chainrule.graph.node import Node, ancestors
from chainrule.graph.op import lift
from chainrule.graph.pickling import nodes_of, rows_of
from chainrule.nn.layer import Layer
from chainrule.nn.masking import with_mask_of
from chainrule.nn.summary import Summary, summarise
from chainrule.notation import unique_names
from chainrule.ops import input as input_
from chainrule.rewrite import in_phase


@dataclass(frozen=True, eq=False)
class Model:
    """A network as a graph: what goes in, what comes out.

    >>> import chainrule as cr
    >>> x = cr.input("x", ("m", 4))
    >>> h = cr.Dense(8, "relu")(x)
    >>> Model(x, cr.Dense(4)(h) + x).parameter_count
    76
    """

    inputs: Any
    outputs: Any

    def __post_init__(self) -> None:
        for field in ("inputs", "outputs"):
            value = getattr(self, field)
            several = isinstance(value, Iterable) and not isinstance(value, Node)
            nodes = tuple(value) if several else (value,)
            if not nodes or not all(isinstance(n, Node) for n in nodes):
                raise GraphError(f"the {field} of a model are nodes", given=repr(value))
            object.__setattr__(self, field, nodes)
        missing = [n for n in self.graph.inputs if n not in self.inputs]
        if missing:
            raise GraphError(
                "the outputs need an input that the model does not name",
                given=", ".join(str(n.name) for n in self.inputs),
                expected="also " + ", ".join(str(n.name) for n in missing),
            )

    @cached_property
    def graph(self) -> Graph:
        """The graph of the outputs."""
        return Graph(self.outputs)

    @property
    def output(self) -> Node:
        """The one output."""
        if len(self.outputs) != 1:
            raise GraphError("the model has several outputs", given=len(self.outputs), expected="one")
        node: Node = self.outputs[0]
        return node

    @cached_property
    def training(self) -> Model:
        """The network as it is while it trains: with dropout's masks, with the statistics of the batch."""
        return Model(self.inputs, in_phase(self.outputs, training=True).outputs)

    @property
    def parameters(self) -> tuple[Node, ...]:
        """What is learned, in the order of the computation."""
        return self.graph.parameters

    @property
    def states(self) -> tuple[Node, ...]:
        """What a step hands on beside the parameters: running means and variances."""
        return self.graph.leaves("state")

    @property
    def parameter_count(self) -> int:
        """How many numbers are learned."""
        return sum(math.prod(definite(p.shape)) for p in self.parameters)

    def summary(self) -> Summary:
        """The layers with their outputs, parameters and multiply–adds for one example. Prints as a table.

        >>> import chainrule as cr
        >>> x = cr.input("x", ("m", 4))
        >>> print(Model(x, cr.Dense(2)(cr.Dense(8, "relu")(x))).summary())
        layer         output  parameters                      multiply–adds
        1      Dense  (m, 8)          40  W1 (4, 8), b1 (8,)             32
        2      Dense  (m, 2)          18  W2 (8, 2), b2 (2,)             16
        total                         58                                 48
        """
        return summarise(self.outputs)

    @cached_property
    def quantities(self) -> dict[str, Node]:
        """Every quantity that has a name, as formulas write it: W1, Z1, A1 …"""
        return {symbol.text: n for n, symbol in unique_names(self.graph.nodes).items()}

    def __reduce__(self) -> Any:
        return _unpickled, (rows_of((*self.inputs, *self.outputs)), len(self.inputs))

    def __deepcopy__(self, memo: Any) -> Model:
        return self  # nodes do not change, and nor does what they make up

    def __getitem__(self, name: str) -> Node:
        if name not in self.quantities:
            raise GraphError(
                "the network has no such quantity",
                given=repr(name),
                expected=", ".join(self.quantities),
                hint=near(str(name), self.quantities),
            )
        return self.quantities[name]

    def replace(self, old: Node | str, new: Node | Callable[[Node], Node]) -> Model:
        """The network with another quantity, or a function of the old one, in the place of one.

        Args:
            old: a quantity or its name.
            new: a node of the same shape, or a function of the old node.

        >>> import chainrule as cr
        >>> x = cr.input("x", ("m", 4))
        >>> network = Model(x, cr.Dense(2)(cr.Dense(8, "relu")(x)))
        >>> print(network.replace("A1", cr.tanh).output)
        tanh(A1) W2 + b2
        """
        at = self[old] if isinstance(old, str) else old
        if at not in self.graph.nodes:
            raise GraphError("what is replaced is not part of the network", given=repr(at))
        put = new if isinstance(new, Node) else new(at)
        if put.shape != at.shape:
            raise ShapeError("what takes its place has another shape", given=show(put.shape), expected=show(at.shape))
        stays = set(ancestors(put))
        table: dict[Node, Node] = {}
        for node in self.graph:
            inputs = tuple(table[i] for i in node.inputs)
            table[node] = put if node is at else node if node in stays else node.rebuilt(inputs)
        return Model(self.inputs, [table[n] for n in self.outputs])

    def __call__(self, *operands: Node) -> Node:
        """The same network, weights shared, on other operands."""
        if len(operands) != len(self.inputs):
            raise GraphError("one operand for every input", given=len(operands), expected=len(self.inputs))
        new: dict[Node, Node] = dict(zip(self.inputs, operands, strict=True))
        for node in ancestors(self.output):
            if node not in new:
                operands_ = tuple(new[i] for i in node.inputs)
                if all(a is b for a, b in zip(operands_, node.inputs, strict=True)):
                    new[node] = node
                else:
                    made = node.op.make(operands_, node.attrs)
                    new[node] = made.named(node.name, node.scope) if node.name else made
        return new[self.output]


def _unpickled(rows: Any, inputs: int) -> Model:
    nodes = nodes_of(rows)
    return Model(nodes[:inputs], nodes[inputs:])


class Sequential(Layer):
    """Layers in a row: each is called with what the one before it returned.

    Any function from node to node is a layer here: ``Sequential(Dense(10), cr.relu, Dense(1))``.
    """

    def __init__(self, *layers: Callable[[Node], Node]) -> None:
        super().__init__()
        self.layers: list[Callable[[Node], Node]] = []
        self._models: dict[tuple[Any, ...], Model] = {}
        first = layers[0] if len(layers) == 1 else None
        for layer in first if isinstance(first, (list, tuple)) else layers:
            self.add(layer)

    def add(self, layer: Callable[[Node], Node]) -> None:
        """Put a layer at the end."""
        if not callable(layer) or isinstance(layer, type):
            raise ConfigurationError(
                "a layer is a function from node to node",
                given=repr(layer),
                expected="such as Dense(10, 'relu')",
                hint="make one by calling its class" if isinstance(layer, type) else None,
            )
        self.layers.append(layer)
        self._models.clear()

    @property
    def parts(self) -> Sequence[Any]:
        """The layers."""
        return self.layers

    @property
    def takes(self) -> str:  # type: ignore[override]
        """The kind of number that the first layer takes."""
        return kind_taken(self.layers[0]) if self.layers else "float"

    def __call__(self, x: Any) -> Node:
        """The last layer's output for x."""
        if not self.layers:
            raise ConfigurationError("the network has no layers", hint="network.add(Dense(10, 'relu'))")
        node = lift(x)
        for layer in self.layers:
            made = layer(node)
            if not isinstance(made, Node):
                raise GraphError(f"the layer {layer!r} does not return a node", given=type(made).__name__)
            node = with_mask_of(node, made)
        return node

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_models": {}}  # they are made again, of the layers' own parameters

    def __iter__(self) -> Iterator[Callable[[Node], Node]]:
        return iter(self.layers)

    def __getitem__(self, key: Any) -> Any:
        """A layer by its place or its name; a slice is a network of its own that shares their weights."""
        if isinstance(key, slice):
            return Sequential(*self.layers[key])
        return self.layers[self._place(key)]

    def __setitem__(self, key: int | str, layer: Callable[[Node], Node]) -> None:
        """Put another layer in the place of one."""
        place = self._place(key)
        self.add(layer)
        self.layers[place] = self.layers.pop()

    def pop(self, key: int | str = -1) -> Callable[[Node], Node]:
        """Take a layer out, the last by default."""
        self._models.clear()
        return self.layers.pop(self._place(key))

    def _place(self, key: Any) -> int:
        names = [getattr(layer, "name", None) for layer in self.layers]
        if key in names and key is not None:
            return names.index(key)
        if isinstance(key, int) and -len(self.layers) <= key < len(self.layers):
            return key % len(self.layers)
        known = [str(n) for n in names if n]
        raise ConfigurationError(
            "the network has no such layer",
            given=repr(key),
            expected=f"0 to {len(self.layers) - 1}" + (f", or {', '.join(known)}" if known else ""),
            hint=near(key, known) if isinstance(key, str) else None,
        )

    def summary(self, shape: Sequence[Any] | None = None) -> Summary:
        """The layers with their outputs, parameters and multiply–adds for one example; see ``Model.summary``.

        Args:
            shape: of one example, where the first layer does not say it.
        """
        known = next(reversed(self._models.values()), None) if shape is None else None
        return (known or self.model(shape)).summary()

    def __len__(self) -> int:
        return len(self.layers)

    def __repr__(self) -> str:
        return "Sequential(" + ", ".join(repr(layer) for layer in self.layers) + ")"

    def model(self, shape: Sequence[Any] | None = None) -> Model:
        """The network as a graph, for examples of this shape (without the first axis, the examples)."""
        if shape is None:
            width = getattr(self.layers[0], "input_dim", None) if self.layers else None
            if width is None:
                raise ShapeError(
                    "the number of inputs is not known yet", hint="name it: Dense(10, input_dim=4), or fit"
                )
            shape = (width,)
        key = tuple(shape)
        if key not in self._models:
            x = input_("X", as_shape(("m", *shape)), dtype=self.takes)
            self._models[key] = Model(x, self(x))
        return self._models[key]


def kind_taken(network: Any) -> str:
    """The kind of number that a function from node to node takes: whole numbers where it says so, else floats."""
    return str(getattr(network, "takes", "float"))


def as_model(network: Any, shape: Sequence[Any]) -> Model:
    """A model from a Sequential, a Model, a node, or any function from node to node.

    Args:
        network: what computes the outputs.
        shape: the shape of one example, for networks that do not have an input yet.
    """
    if isinstance(network, Model):
        return network
    if isinstance(network, Sequential):
        return network.model(shape)
    if isinstance(network, Node):
        inputs = Graph(network).inputs
        if len(inputs) != 1:
            raise GraphError(
                "a formula to train has one input, its examples",
                given=", ".join(str(n.name) for n in inputs) or "none",
                hint="cr.Model(inputs, output) for several",
            )
        return Model(inputs[0], network)
    if isinstance(network, type):
        raise ConfigurationError(
            "not a network, but a kind of network",
            given=network.__name__,
            expected=f"{network.__name__}(…), with what it is made of",
        )
    if callable(network):
        x = input_("X", as_shape(("m", *shape)), dtype=kind_taken(network))
        return Model(x, network(x))
    raise ConfigurationError(
        "not a network",
        given=type(network).__name__,
        expected="Sequential(…), Model(inputs, outputs), a node, or a function from node to node",
    )
