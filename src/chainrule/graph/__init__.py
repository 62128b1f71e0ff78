"""What a computation is: nodes, graphs, named sizes, and the declaration of ops."""

from chainrule.graph.dim import Dim, Shape, Size, as_shape, broadcast, show
from chainrule.graph.graph import Graph, check_legal, depends_on
from chainrule.graph.node import Node, Origin, Scope, ancestors, describe
from chainrule.graph.op import (
    ABSENT,
    NOWHERE,
    REGISTRY,
    Case,
    Constant,
    Elementwise,
    Facts,
    General,
    Linear,
    Op,
    declare,
    lift,
)

__all__ = [
    "ABSENT",
    "NOWHERE",
    "REGISTRY",
    "Case",
    "Constant",
    "Dim",
    "Elementwise",
    "Facts",
    "General",
    "Graph",
    "Linear",
    "Node",
    "Op",
    "Origin",
    "Scope",
    "Shape",
    "Size",
    "ancestors",
    "as_shape",
    "broadcast",
    "check_legal",
    "declare",
    "depends_on",
    "describe",
    "lift",
    "show",
]
