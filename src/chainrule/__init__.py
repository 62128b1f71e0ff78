"""chainrule."""
from chainrule import notation
from chainrule.ops import *
from chainrule.ops import input, abs, max, min, sum
from chainrule.verbs import check_gradient, compile, directional, evaluate, gradient, simplify
from chainrule.graph import Dim, Node
