"""Graph → graph: derivatives in reverse and forward mode, and numerical differences to check them."""

from chainrule.calculus import loops
from chainrule.calculus.forward import forward, push
from chainrule.calculus.numeric import central_difference, compare
from chainrule.calculus.reverse import Backward, Edge, check_differentiable, pull, reverse, zeros_like

__all__ = [
    "Backward",
    "Edge",
    "central_difference",
    "check_differentiable",
    "compare",
    "forward",
    "loops",
    "pull",
    "push",
    "reverse",
    "zeros_like",
]
