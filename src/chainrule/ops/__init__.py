"""The vocabulary: one declaration per op, one file per family."""

from chainrule.ops.activations import (
    elu,
    gelu,
    gelu_tanh,
    hard_sigmoid,
    hard_tanh,
    leaky_relu,
    linear,
    log_softmax,
    mish,
    parametric_relu,
    relu,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    swish,
    thresholded_relu,
)
from chainrule.ops.arithmetic import abs_ as abs
from chainrule.ops.arithmetic import add, divide, floor, multiply, negative, sign, subtract
from chainrule.ops.casting import cast
from chainrule.ops.choice import (
    clip,
    equal,
    greater,
    greater_equal,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    maximum,
    minimum,
    not_equal,
    where,
)
from chainrule.ops.contractions import dot, einsum, matmul, outer
from chainrule.ops.functions import (
    cos,
    erf,
    exp,
    expm1,
    log,
    log1p,
    log_cosh,
    power,
    sin,
    sqrt,
    tanh,
    xlogy,
)
from chainrule.ops.indexing import distribution, gather, one_hot
from chainrule.ops.leaves import MARK as mark
from chainrule.ops.leaves import STOP_GRADIENT as stop_gradient
from chainrule.ops.leaves import constant, eye, input, parameter, size, state
from chainrule.ops.reductions import argmax, argmin, cumsum, logsumexp, max, mean, min, prod, sum
from chainrule.ops.shaping import (
    broadcast_to,
    concatenate,
    flip,
    getitem,
    pad,
    reshape,
    stack,
    transpose,
)

__all__ = [name for name in dir() if not name.startswith("_") and name not in (
    "activations", "arithmetic", "casting", "choice", "contractions", "elementwise", "functions", "indexing",
    "leaves", "reductions", "shaping")]
