"""A layer: a function from node to node that brings its own parameters."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from chainrule.errors import ConfigurationError, ShapeError
from chainrule.graph.dim import show
from chainrule.graph.node import Node, Scope, describe, inside
from chainrule.graph.op import is_float, lift
from chainrule.nn.masking import with_mask_of
from chainrule.ops import cast
from chainrule.ops import parameter as parameter_
from chainrule.ops import state as state_


class Layer:
    """A function from node to node that brings its own parameters. Abstract.

    The parameters are made at the first call, when the sizes are known; a second call uses the same ones, so
    that calling a layer twice shares its weights. A subclass says what to make (``build``) and what to
    compute (``apply``).
    """

    takes = "float"
    """The kind of number that the layer takes: ``"int"`` where it picks by whole numbers, as an embedding does."""

    def __init__(self, name: str | None = None) -> None:
        self.scope = Scope(type(self).__name__, name)
        self._parameters: dict[str, Node] = {}
        self._built: tuple[Any, ...] | None = None

    @property
    def name(self) -> str | None:
        """The name that the user gave."""
        return self.scope.name

    @property
    def parts(self) -> Sequence[Any]:
        """The functions that the layer is made of; those that are layers bring parameters of their own."""
        return ()

    @property
    def parameters(self) -> tuple[Node, ...]:
        """What the layer and its parts learn; empty before the first call."""
        inner = [p for part in self.parts if isinstance(part, Layer) for p in part.parameters]
        return tuple(dict.fromkeys([*self._parameters.values(), *inner]))

    def __getitem__(self, name: str) -> Node:
        return self._parameters[name]

    def __deepcopy__(self, memo: dict[int, Any]) -> Layer:
        """A layer that has made its parameters is its own copy: called again, it shares them; others are new ones."""
        if self._built is not None:
            return self
        made = type(self).__new__(type(self))
        memo[id(self)] = made
        state = self.__getstate__()
        assert isinstance(state, dict)
        made.__dict__.update(copy.deepcopy(state, memo))
        return made

    def parameter(self, name: str, shape: tuple[int, ...], initializer: Any) -> Node:
        """Make a parameter of the layer."""
        with inside(self.scope):
            node = parameter_(name, shape, initializer=initializer)
        self._parameters[name] = node
        return node

    def state(self, name: str, shape: tuple[int, ...], initial: float = 0.0) -> Node:
        """Make a state of the layer, which a step of training hands on to the next one; see ``cr.carry``."""
        with inside(self.scope):
            return state_(name, shape, initial=initial)

    def build(self, x: Node) -> None:
        """Make the parameters for operands like x."""

    def apply(self, x: Node) -> Node:
        """What the layer computes, once its parameters are there."""
        raise NotImplementedError

    def __call__(self, x: Any) -> Node:
        """The layer's output for x."""
        x = self.ready(x)
        with inside(self.scope):
            return with_mask_of(x, self.apply(x))

    def ready(self, x: Any) -> Node:
        """x as a node of the kind that the layer takes, once the parameters for it are there."""
        node = as_float(x) if self.takes == "float" else lift(x)
        width = node.shape[-1:] if self.takes == "float" else ()
        if self._built is None:
            self.build(node)
            self._built = width
        elif self._parameters and width != self._built:
            raise ShapeError(
                f"the layer {self!r} has been called with another width before",
                given=show(node.shape),
                expected=f"{self._built[0]} in the last axis",
                hint="make a second layer, or call it with the same width to share its weights",
            )
        return node

    def width_of(self, x: Node) -> int:
        """The size of the last axis, which has to be a number."""
        if not x.shape or not isinstance(x.shape[-1], int):
            raise ShapeError(
                f"{type(self).__name__} needs a last axis of known size",
                given=describe(x),
                expected="a shape such as (m, 4)",
            )
        return x.shape[-1]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name or ''})"


def as_float(x: Any) -> Node:
    """x as a node of floats."""
    node = lift(x)
    return node if is_float(node.dtype) else with_mask_of(node, cast(node, "float"))


def positive(value: Any, what: str) -> int:
    """A whole number of at least one."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        hint = "this is the examples: is an argument missing of the function that makes the network?"
        raise ConfigurationError(
            f"{what} is a whole number of at least 1",
            given=repr(value),
            hint=hint if isinstance(value, Node) else None,
        )
    return int(value)
