"""Powers, exponentials, logarithms and the other functions of a real variable."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy

from chainrule.graph.node import Node
from chainrule.graph.op import ABSENT, ATOM, CALL, POWER, Facts, Op, Piece, Writer, function
from chainrule.ops.arithmetic import write_add, write_divide, write_multiply
from chainrule.ops.elementwise import elementwise

INF = math.inf

_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def _write_power(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    base, exponent = args
    if latex:
        return Piece(f"{base.at_least(ATOM, latex)}^{{{exponent.text}}}", POWER)
    text = exponent.text.replace("−", "-")
    if text.lstrip("-").isdigit():
        return Piece(base.at_least(CALL, latex) + text.translate(_SUPERSCRIPTS), POWER)
    return Piece(f"{base.at_least(CALL, latex)}^{exponent.at_least(CALL, latex)}", POWER)


def _power_base(y: Node, x: Node, p: Node) -> Node:
    if p.op.name == "constant" and p.shape == () and p.name is None:
        exponent = float(p.attrs["value"])
        return exponent * x ** (exponent - 1) if exponent != 2 else 2 * x
    return p * x ** (p - 1)


power = elementwise(
    "power",
    "y = x^p",
    lambda xp, x, p: xp.power(x, p),
    (_power_base, lambda y, x, p: xlogy(y, x)),
    _write_power,
    lambda x, p: x**p,
    not_differentiable="at x = 0 for p < 1; for x < 0 only in x, with a whole p",
    domain=(0.5, 2.0),
    extremes=ABSENT,
)


def _prefix(text: str, latex: str) -> Writer:
    r"""Written before its operand: ``log(x)``, in LaTeX ``\log x``."""

    def write(node: Node, args: Sequence[Piece], in_latex: bool) -> Piece:
        if in_latex:
            return Piece(f"{latex} {args[0].at_least(CALL, True)}", CALL)
        return Piece(f"{text}({args[0].text})", CALL)

    return write


def _write_log1p(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    inner = write_add(node, (Piece("1"), args[0]), latex).text
    return Piece(f"\\log\\left({inner}\\right)" if latex else f"log({inner})", CALL)


exp = elementwise(
    "exp",
    "y = e^x",
    lambda xp, x: xp.exp(x),
    lambda y, x: y,
    lambda node, args, latex: Piece(f"e^{{{args[0].text}}}", POWER) if latex else Piece(f"exp({args[0].text})", CALL),
    np.exp,
    facts=Facts((0, INF), True, "left", True),
    extremes=(-1e4, -30.0, 0.0, 30.0),
)
log = elementwise(
    "log",
    "y = ln x",
    lambda xp, x: xp.log(x),
    lambda y, x: 1 / x,
    _prefix("log", r"\log"),
    np.log,
    facts=Facts((-INF, INF), True, "right", True),
    not_differentiable="at 0 and below",
    domain=(0.2, 3.0),
    extremes=(1e-30, 1.0, 1e30),
)
log1p = elementwise(
    "log1p",
    "y = ln(1 + x), accurate near 0",
    lambda xp, x: xp.log1p(x),
    lambda y, x: 1 / (1 + x),
    _write_log1p,
    np.log1p,
    facts=Facts((-INF, INF), True, "right", True),
    not_differentiable="at −1 and below",
    domain=(-0.5, 3.0),
    extremes=(0.0, 1e-30, 1e30),
)
expm1 = elementwise(
    "expm1",
    "y = e^x − 1, accurate near 0",
    lambda xp, x: xp.expm1(x),
    lambda y, x: y + 1,
    lambda node, args, latex: Piece(f"e^{{{args[0].text}}} - 1" if latex else f"exp({args[0].text}) − 1", 10),
    np.expm1,
    facts=Facts((-1, INF), True, "left", True),
    extremes=(-1e4, -30.0, 0.0, 30.0),
)
sqrt = elementwise(
    "sqrt",
    "y = √x",
    lambda xp, x: xp.sqrt(x),
    lambda y, x: 1 / (2 * y),
    lambda node, args, latex: Piece(
        f"\\sqrt{{{args[0].text}}}" if latex else f"√{args[0].at_least(CALL, False)}", POWER
    ),
    np.sqrt,
    facts=Facts((0, INF), True, "right", True),
    not_differentiable="at 0 and below",
    domain=(0.2, 3.0),
    extremes=(1e-30, 1.0, 1e30),
)
sin = elementwise(
    "sin",
    "y = sin x",
    lambda xp, x: xp.sin(x),
    lambda y, x: cos(x),
    _prefix("sin", r"\sin"),
    np.sin,
    facts=Facts((-1, 1), False, "nowhere", True),
)
cos: Op = elementwise(
    "cos",
    "y = cos x",
    lambda xp, x: xp.cos(x),
    lambda y, x: -sin(x),
    _prefix("cos", r"\cos"),
    np.cos,
    facts=Facts((-1, 1), False, "nowhere", True),
)
erf = elementwise(
    "erf",
    "y = 2/√π ∫₀ˣ exp(−t²) dt",
    lambda xp, x: xp.erf(x),
    lambda y, x: 2 / math.sqrt(math.pi) * exp(-(x * x)),
    function("erf"),
    lambda x: scipy.special.erf(x),
    facts=Facts((-1, 1), True, "both", True),
)
log_cosh = elementwise(
    "log_cosh",
    "y = ln cosh x, without overflow",
    lambda xp, x: xp.abs(x) + xp.log1p(xp.exp(-2 * xp.abs(x))) - math.log(2.0),
    lambda y, x: tanh(x),
    lambda node, args, latex: Piece(
        f"\\log\\cosh\\left({args[0].text}\\right)" if latex else f"log cosh({args[0].text})", CALL
    ),
    lambda x: np.log(np.cosh(x)),
    facts=Facts((0, INF), False, "nowhere", True),
)
tanh: Op = elementwise(
    "tanh",
    "y = (e^x − e^−x) / (e^x + e^−x)",
    lambda xp, x: xp.tanh(x),
    lambda y, x: 1 - y * y,
    function("tanh", r"\tanh"),
    np.tanh,
    facts=Facts((-1, 1), True, "both", True),
)


def _write_xlogy(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    logarithm = Piece(f"\\log {args[1].at_least(CALL, True)}" if latex else f"log({args[1].text})", CALL)
    return write_multiply(node, (args[0], logarithm), latex)


xlogy: Op = elementwise(
    "xlogy",
    "y = a log b, and 0 where a = 0 (the limit)",
    lambda xp, a, b: xp.where(a == 0, xp.zeros_like(a), a * xp.log(xp.where(a == 0, xp.ones_like(b), b))),
    (lambda y, a, b: log(b), lambda y, a, b: ratio(a, b)),
    _write_xlogy,
    lambda a, b: np.where(a == 0, 0, a * np.log(b)),
    not_differentiable="at b = 0 for a ≠ 0",
    domain=(0.5, 2.0),
    extremes=ABSENT,
)
ratio: Op = elementwise(
    "ratio",
    "y = a / b, and 0 where a = 0",
    lambda xp, a, b: xp.where(a == 0, xp.zeros_like(a), a / xp.where(a == 0, xp.ones_like(b), b)),
    (lambda y, a, b: 1 / b, lambda y, a, b: -ratio(y, b)),
    write_divide,
    lambda a, b: np.where(a == 0, 0, a / b),
    not_differentiable="at b = 0 for a ≠ 0",
    domain=(0.5, 2.0),
    extremes=ABSENT,
)
