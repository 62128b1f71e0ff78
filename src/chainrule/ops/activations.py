"""Activation functions, each declared once: value, derivative, notation and facts.

The derivative is written in graph terms and free to reuse the output ``y``. Formulas are arranged so that
value and derivative stay finite at logits of ±10⁴ in float32.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy

from chainrule.errors import ConfigurationError
from chainrule.graph.dim import Shape, broadcast, show
from chainrule.graph.node import Node
from chainrule.graph.op import (
    ABSENT,
    CALL,
    NOWHERE,
    Case,
    Facts,
    General,
    Op,
    Piece,
    Writer,
    declare,
    function,
    lift,
    misfit,
    vocabulary,
)
from chainrule.ops.choice import indicator, not_equal, where
from chainrule.ops.elementwise import BIG, elementwise, first_dtype, same_float
from chainrule.ops.functions import erf, exp, tanh
from chainrule.ops.reductions import sum as sum_

INF = math.inf
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
GELU_SLOPE = math.sqrt(2 / math.pi)


def _sigmoid(xp: Any, x: Any) -> Any:
    return 1 / (1 + xp.exp(-x))


def _softplus(xp: Any, x: Any) -> Any:
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))


def _named(text: str) -> Writer:
    """Written upright with its usual name: ``ReLU(z)``."""
    return function(text, f"\\operatorname{{{text}}}")


@vocabulary
def linear(x: Any) -> Node:
    """y = x, the identity: the activation of a layer that has none."""
    return lift(x)


sigmoid = elementwise(
    "sigmoid",
    "y = 1 / (1 + e^−x)",
    _sigmoid,
    lambda y, x: y * (1 - y),
    function("σ", r"\sigma"),
    lambda x: scipy.special.expit(x),
    facts=Facts((0, 1), True, "both", True),
)
softplus = elementwise(
    "softplus",
    "y = ln(1 + e^x)  (Dugas et al. 2001)",
    _softplus,
    lambda y, x: sigmoid(x),
    function("softplus"),
    lambda x: np.logaddexp(x, 0),
    facts=Facts((0, INF), True, "left", True),
)
relu = elementwise(
    "relu",
    "y = max(0, x)  (Nair and Hinton 2010)",
    lambda xp, x: xp.maximum(x, 0),
    lambda y, x: indicator(x > 0),
    _named("ReLU"),
    lambda x: np.where(x > 0, x, 0),
    facts=Facts((0, INF), True, "left", False),
    not_differentiable="at 0; 0 is taken",
    gate="max: routes",
)
leaky_relu = elementwise(
    "leaky_relu",
    "y = x for x > 0, a x below, a = negative_slope  (Maas et al. 2013)",
    lambda xp, x, negative_slope=0.01: xp.where(x > 0, x, negative_slope * x),
    lambda y, x, negative_slope=0.01: where(x > 0, 1.0, negative_slope),
    _named("LeakyReLU"),
    lambda x, negative_slope=0.01: np.maximum(x, 0) + negative_slope * np.minimum(x, 0),
    facts=Facts((-INF, INF), True, "nowhere", False),
    not_differentiable="at 0; the left slope is taken",
)
parametric_relu = elementwise(
    "parametric_relu",
    "y = x for x > 0, α x below, with α learned  (He et al. 2015)",
    lambda xp, x, alpha: xp.where(x > 0, x, alpha * x),
    (lambda y, x, alpha: where(x > 0, 1.0, alpha), lambda y, x, alpha: where(x > 0, 0.0, x)),
    _named("PReLU"),
    lambda x, alpha: np.maximum(x, 0) + alpha * np.minimum(x, 0),
    facts=Facts((-INF, INF), False, "nowhere", False),
    not_differentiable="at 0; the left slope is taken",
)
thresholded_relu = elementwise(
    "thresholded_relu",
    "y = x for x > θ, 0 below, θ = theta  (Konda et al. 2014)",
    lambda xp, x, theta=1.0: xp.where(x > theta, x, xp.zeros_like(x)),
    lambda y, x, theta=1.0: indicator(x > theta),
    _named("ThresholdedReLU"),
    lambda x, theta=1.0: x * (x > theta),
    facts=Facts((0, INF), True, "left", False),
    not_differentiable="at θ, where it jumps; 0 is taken",
)
elu = elementwise(
    "elu",
    "y = x for x > 0, a (e^x − 1) below, a = alpha  (Clevert et al. 2016)",
    lambda xp, x, alpha=1.0: xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0))),
    lambda y, x, alpha=1.0: where(x > 0, 1.0, y + alpha),
    _named("ELU"),
    lambda x, alpha=1.0: np.where(x > 0, x, alpha * (np.exp(np.minimum(x, 0)) - 1)),
    facts=Facts((-1, INF), True, "left", False),
    not_differentiable="at 0 for a ≠ 1; the left slope is taken",
)
selu = elementwise(
    "selu",
    "y = 1.0507 · ELU(x) with a = 1.6733  (Klambauer et al. 2017)",
    lambda xp, x: SELU_SCALE * xp.where(x > 0, x, SELU_ALPHA * xp.expm1(xp.minimum(x, 0))),
    lambda y, x: where(x > 0, SELU_SCALE, y + SELU_SCALE * SELU_ALPHA),
    _named("SELU"),
    lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * (np.exp(np.minimum(x, 0)) - 1)),
    facts=Facts((-SELU_SCALE * SELU_ALPHA, INF), True, "left", False),
    not_differentiable="at 0; the left slope is taken",
)
gelu = elementwise(
    "gelu",
    "y = x Φ(x), Φ the normal distribution function  (Hendrycks and Gimpel 2016)",
    lambda xp, x: 0.5 * x * (1 + xp.erf(x * math.sqrt(0.5))),
    lambda y, x: 0.5 * (1 + erf(x * math.sqrt(0.5))) + x * exp(-0.5 * x * x) / math.sqrt(2 * math.pi),
    _named("GELU"),
    lambda x: x * scipy.special.ndtr(x),
    facts=Facts((-0.16997, INF), False, "left", True),
)
gelu_tanh = elementwise(
    "gelu_tanh",
    "y = ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))), the usual approximation of GELU",
    lambda xp, x: 0.5 * x * (1 + xp.tanh(GELU_SLOPE * (x + 0.044715 * x * x * x))),
    lambda y, x: _gelu_tanh_slope(x),
    _named("GELUtanh"),
    lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    facts=Facts((-0.17004, INF), False, "left", True),
)
silu = elementwise(
    "silu",
    "y = x σ(x), also called swish  (Elfwing et al. 2018; Ramachandran et al. 2017)",
    lambda xp, x: x * _sigmoid(xp, x),
    lambda y, x: sigmoid(x) * (1 + x * (1 - sigmoid(x))),
    _named("SiLU"),
    lambda x: x * scipy.special.expit(x),
    facts=Facts((-0.27847, INF), False, "left", True),
)
mish = elementwise(
    "mish",
    "y = x tanh(softplus(x))  (Misra 2019)",
    lambda xp, x: x * xp.tanh(_softplus(xp, x)),
    lambda y, x: tanh(softplus(x)) + x * sigmoid(x) * (1 - tanh(softplus(x)) * tanh(softplus(x))),
    _named("Mish"),
    lambda x: x * np.tanh(np.logaddexp(x, 0)),
    facts=Facts((-0.30885, INF), False, "left", True),
)
softsign = elementwise(
    "softsign",
    "y = x / (1 + |x|)  (Turian et al. 2009)",
    lambda xp, x: x / (1 + xp.abs(x)),
    lambda y, x: 1 / (1 + abs(x)) ** 2,
    function("softsign"),
    lambda x: np.sign(x) * (1 - 1 / (1 + np.abs(x))),
    facts=Facts((-1, 1), True, "both", False),
)
hard_sigmoid = elementwise(
    "hard_sigmoid",
    "y = (x + 3)/6, limited to [0, 1]  (as in Keras 3 and PyTorch)",
    lambda xp, x: xp.minimum(xp.maximum(x / 6 + 0.5, 0), 1),
    lambda y, x: indicator(abs(x) < 3) / 6,
    _named("HardSigmoid"),
    lambda x: np.clip((x + 3) / 6, 0, 1),
    facts=Facts((0, 1), True, "both", False),
    not_differentiable="at ±3; 0 is taken",
)
hard_tanh = elementwise(
    "hard_tanh",
    "y = x, limited to [−1, 1]",
    lambda xp, x: xp.minimum(xp.maximum(x, -1), 1),
    lambda y, x: indicator(abs(x) < 1),
    _named("HardTanh"),
    lambda x: np.clip(x, -1, 1),
    facts=Facts((-1, 1), True, "both", False),
    not_differentiable="at ±1; 0 is taken",
)


def _gelu_tanh_slope(x: Node) -> Node:
    t = tanh(GELU_SLOPE * (x + 0.044715 * x * x * x))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * (GELU_SLOPE * (1 + 3 * 0.044715 * x * x))


# --- over an axis ---------------------------------------------------------------------------------


def _softmax(xp: Any, x: Any, axis: int) -> Any:
    x = xp.side_by_side(x, axis)
    e = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    return e / xp.sum(e, axis=axis, keepdims=True)


def _log_softmax(xp: Any, x: Any, axis: int) -> Any:
    x = xp.side_by_side(x, axis)
    shifted = x - xp.max(x, axis=axis, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


def _softmax_rule(g: Node, node: Node) -> Node:
    return node * (g - sum_(g * node, axis=node.attrs["axis"], keepdims=True))


def _log_softmax_reverse(g: Node, node: Node) -> Node:
    axis = node.attrs["axis"]
    return g - SOFTMAX(node.inputs[0], axis=axis) * sum_(g, axis=axis, keepdims=True)


def _log_softmax_forward(t: Node, node: Node) -> Node:
    axis = node.attrs["axis"]
    return t - sum_(SOFTMAX(node.inputs[0], axis=axis) * t, axis=axis, keepdims=True)


def _over_axis(name: str, doc: str, forward: Any, reverse: Any, tangent: Any, text: str, reference: Any) -> Op:
    return declare(
        Op(
            name=name,
            arity=1,
            doc=doc,
            shape=lambda inputs, attrs: inputs[0].shape,
            dtype=first_dtype,
            forward=forward,
            calculus=General(lambda g, node, k: reverse(g, node), lambda tangents, node: tangent(tangents[0], node)),
            write=function(text, f"\\operatorname{{{text}}}"),
            gate="scale by the slope, shared along the axis",
            structure="dense along the axis",
            facts=Facts((0, 1), False, "both", True) if name == "softmax" else Facts((-INF, 0), False, "right", True),
            not_differentiable=NOWHERE,
            reference=reference,
            cases=(Case(((2, 3),), {"axis": 1}), Case(((4, 2, 3),), {"axis": 0})),
            extremes=BIG,
            prepare=same_float,
        ),
        public=False,
    )


SOFTMAX = _over_axis(
    "softmax",
    "s_i = e^(z_i) / Σ_j e^(z_j)",
    _softmax,
    _softmax_rule,
    _softmax_rule,
    "softmax",
    lambda x, axis: scipy.special.softmax(x, axis=axis),
)
LOG_SOFTMAX = _over_axis(
    "log_softmax",
    "ln s_i = z_i − ln Σ_j e^(z_j)",
    _log_softmax,
    _log_softmax_reverse,
    _log_softmax_forward,
    "log softmax",
    lambda x, axis: scipy.special.log_softmax(x, axis=axis),
)


def _masked_softmax(xp: Any, x: Any, mask: Any, axis: int) -> Any:
    counted = xp.where(mask, x, xp.full_like(x, -INF))
    top = xp.max(counted, axis=axis, keepdims=True)
    e = xp.exp(counted - xp.where(xp.isfinite(top), top, xp.zeros_like(top)))
    return e / xp.maximum(xp.sum(e, axis=axis, keepdims=True), 1)  # the largest is e⁰ = 1, if there is one


def _masked_softmax_shape(inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> Shape:
    x, mask = inputs
    if broadcast(x.shape, mask.shape) != x.shape:
        raise misfit("masked_softmax", inputs, expected=f"a mask that fits {show(x.shape)} from the last axis, or 1")
    return x.shape


def _reference_masked_softmax(x: Any, mask: Any, axis: int) -> Any:
    weights = np.where(mask, np.exp(x), 0)
    total = weights.sum(axis=axis, keepdims=True)
    return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)


def _masked_softmax_prepare(inputs: Sequence[Node]) -> tuple[Node, ...]:
    x, mask = inputs
    return (*same_float([x]), mask if mask.dtype == "bool" else not_equal(mask, 0))


def _masked_softmax_forward(tangents: Sequence[Node | None], node: Node) -> Node:
    assert tangents[0] is not None  # the mask does not move
    return _softmax_rule(tangents[0], node)


def _write_masked_softmax(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    x, mask = (a.text for a in args)
    if latex:
        return Piece(f"\\operatorname{{softmax}}\\left({x} \\text{{ where }} {mask}\\right)", CALL)
    return Piece(f"softmax({x} where {mask})", CALL)


MASKED_SOFTMAX = declare(
    Op(
        name="masked_softmax",
        arity=2,
        doc="s_i = M_i e^(z_i) / Σ_j M_j e^(z_j); zeros where nothing is left",
        shape=_masked_softmax_shape,
        dtype=first_dtype,
        forward=_masked_softmax,
        calculus=General(
            lambda g, node, k: _softmax_rule(g, node),
            _masked_softmax_forward,
        ),
        write=_write_masked_softmax,
        gate="scale by the slope, shared along the axis",
        structure="dense along the axis, where the mask is true",
        facts=ABSENT,
        not_differentiable=NOWHERE,
        reference=_reference_masked_softmax,
        cases=(
            Case(((2, 3), np.array([[True, False, True], [False, False, False]])), {"axis": 1}),
            Case(((4, 2, 3), np.array([[True], [False]])), {"axis": 0}),
        ),
        extremes=ABSENT,
        prepare=_masked_softmax_prepare,
    ),
    public=False,
)


def _axis_of(x: Node, axis: int, name: str) -> int:
    if not x.shape:
        raise ConfigurationError(
            f"{name} needs an axis to run over",
            given=f"a single number, {x!r}",
            hint="over one number the result would always be 1",
        )
    if not -x.ndim <= axis < x.ndim:
        raise ConfigurationError(f"{name}: there is no axis {axis}", given=f"{x!r}")
    return axis % x.ndim


@vocabulary
def softmax(x: Any, axis: int = -1) -> Node:
    """s_i = e^(z_i) / Σ_j e^(z_j) along an axis: positive, and summing to one.

    >>> import chainrule as cr
    >>> cr.evaluate(cr.softmax(cr.constant([0.0, 0.0])), {})
    array([0.5, 0.5])
    """
    x = lift(x)
    return SOFTMAX(x, axis=_axis_of(x, axis, "softmax"))


@vocabulary
def masked_softmax(x: Any, mask: Any, axis: int = -1) -> Node:
    """softmax along an axis over the places where ``mask`` is true; the others are 0.

    Where nothing is left to choose from, all are 0, and so is the gradient: never NaN.

    Args:
        x: the scores z.
        mask: true (or not 0) where a score counts, of the shape of x or one that repeats to it.
        axis: the axis along which they sum to one.

    >>> import chainrule as cr
    >>> cr.evaluate(masked_softmax([[0.0, 0.0, 5.0], [1.0, 2.0, 3.0]], [[1, 1, 0], [0, 0, 0]]))
    array([[0.5, 0.5, 0. ],
           [0. , 0. , 0. ]])
    """
    x = lift(x)
    return MASKED_SOFTMAX(x, mask, axis=_axis_of(x, axis, "masked_softmax"))


@vocabulary
def log_softmax(x: Any, axis: int = -1) -> Node:
    """ln softmax(z) along an axis, z_i − ln Σ_j e^(z_j), without overflow."""
    x = lift(x)
    return LOG_SOFTMAX(x, axis=_axis_of(x, axis, "log_softmax"))


swish = silu
