"""Formulas as text and LaTeX: textbook forms, brackets by reading the text back, names, LaTeX that TeX accepts."""

import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.graph import Graph
from chainrule.graph.node import Scope, ancestors, inside
from chainrule.graph.op import ABSENT, REGISTRY
from chainrule.notation import Symbol, latex, text, unique_names, write
from chainrule.notation.text import LARGE

A, B, C = (cr.input(name, ()) for name in "abc")
X, Y = cr.input("x", ("m", 2)), cr.input("y", ("m", 2))
U, V = cr.input("u", (2,)), cr.input("v", (2,))
W = cr.parameter("W", (2, 2))


# --- textbook forms -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "form"),
    [
        ((A - B) - C, "a − b − c"),
        (A - (B - C), "a − (b − c)"),
        (A - (B + C), "a − (b + c)"),
        (A + (B + C), "a + b + c"),
        (A + (-B) * C, "a − b · c"),
        (A - (-B), "a − (−b)"),
        (A - 3, "a − 3"),
        (A + cr.constant(-3.0), "a − 3"),
        (-(A + B), "−(a + b)"),
        (cr.log_softmax(X)[:, 1], "(log softmax(x))[:, 1]"),
        (cr.log_softmax(X) * 2, "log softmax(x) · 2"),
        (cr.pad(X, ((1, 2), (0, 0))), "pad(x, ((1, 2), (0, 0)))"),
        (cr.negative(-A), "−(−a)"),
        (-(A**2), "−a²"),
        ((-A) ** 2, "(−a)²"),
        ((A + B) ** 3, "(a + b)³"),
        (A * (B + C), "a · (b + c)"),
        (A * (-B), "a · (−b)"),
        (-A * B, "−a · b"),
        (A / (B * C), "a/(b · c)"),
        (A / B / C, "a/b/c"),
        (A / (B / C), "a/(b/c)"),
        ((A + B) / (A - B), "(a + b)/(a − b)"),
        (A**-1, "a⁻¹"),
        (A**0.5, "a^0.5"),
        (A**-0.5, "a^(−0.5)"),
        ((A**B) ** C, "(a^b)^c"),
        (A ** (B**C), "a^(b^c)"),
        (A ** (B + C), "a^(b + c)"),
        (cr.constant(-2.0) ** A, "(−2)^a"),
        (cr.constant(2 / 3) ** A, "(2/3)^a"),
        (cr.constant(2 / 3) * A, "2/3 · a"),
        (1e-8 * A, "1e−8 · a"),
        (cr.tanh(A) ** 2, "tanh(a)²"),
        (cr.exp(A) ** 2, "exp(a)²"),
        (cr.exp(-(A**2)), "exp(−a²)"),
        (cr.log(1 + A), "log(1 + a)"),
        (cr.log1p(-A), "log(1 − a)"),
        ((cr.exp(A) - 1) * B, "(exp(a) − 1) · b"),
        (cr.sqrt(A**2 + B**2), "√(a² + b²)"),
        (cr.sqrt(A) ** 3, "(√a)³"),
        (abs(A - B), "|a − b|"),
        (X @ W + V, "x W + v"),
        ((X + Y) @ W, "(x + y) W"),
        (X @ (W @ W), "x (W W)"),
        (X @ W @ W, "x W W"),
        (X.T @ Y, "xᵀ y"),
        ((X @ W).T, "(x W)ᵀ"),
        ((X.T @ Y).T, "(xᵀ y)ᵀ"),
        (2 * X.T, "2 · xᵀ"),
        ((2 * X).T, "(2 · x)ᵀ"),
        (X * Y, "x ∘ y"),
        (A * X, "a · x"),
        ((X * Y) @ W, "(x ∘ y) W"),
        (U @ V, "uᵀ v"),
        (cr.outer(U, V), "u vᵀ"),
        (cr.sum(X), "Σ x"),
        (cr.sum(X, 0), "Σ x"),
        (cr.sum(X, 1), "Σ₁ x"),
        (cr.sum(X * Y, 1), "Σ₁ x ∘ y"),
        (cr.sum(X, 1, keepdims=True) * Y, "(Σ₁ x) ∘ y"),
        (Y * cr.sum(X, 1, keepdims=True), "y ∘ Σ₁ x"),
        (cr.sum(X) / A, "(Σ x)/a"),
        (A / cr.sum(X), "a/(Σ x)"),
        (-cr.sum(X) * A, "(−Σ x) · a"),
        ((A * cr.sum(X)) * B, "(a · Σ x) · b"),
        (cr.sum(X) + A, "Σ x + a"),
        (cr.sum(X + Y), "Σ (x + y)"),
        (cr.sum(-X), "Σ (−x)"),
        (cr.sum(X) ** 2, "(Σ x)²"),
        (cr.sqrt(cr.sum(X**2)), "√(Σ x²)"),
        (cr.mean((X - Y) ** 2, 0), "1/m · Σ (x − y)²"),
        (cr.max(X, 1), "max₁(x)"),
        (cr.maximum(A, 0.0), "max(a, 0)"),
        (cr.where(A > B, A, -B), "where(a > b, a, −b)"),
        (cr.cast(A > 0, "float") * B, "[a > 0] · b"),
        (X[:, 0], "x[:, 0]"),
        (X[1] ** 2, "x[1]²"),
        (cr.softmax(X @ W), "softmax(x W)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_formulas_are_written_with_the_brackets_that_they_need(formula, form):
    assert str(formula) == form


@pytest.mark.parametrize(
    ("formula", "form"),
    [
        (A / B / C, r"\frac{\frac{a}{b}}{c}"),
        (A ** (B + C), "a^{b + c}"),
        ((A**B) ** C, r"\left(a^{b}\right)^{c}"),
        (-(A**2), "-a^{2}"),
        ((-A) ** 2, r"\left(-a\right)^{2}"),
        (cr.exp(-A) ** 2, r"\left(e^{-a}\right)^{2}"),
        (cr.sqrt(A + B), r"\sqrt{a + b}"),
        (cr.log(A) * B, r"\log a \cdot b"),
        (cr.log(A * B), r"\log \left(a \cdot b\right)"),
        (cr.sigmoid(X @ W + V), r"\sigma\left(x W + v\right)"),
        (X.T @ (Y - X), r"x^{\top} \left(y - x\right)"),
        (cr.mean(X**2, 0), r"\frac{1}{m} \cdot \sum_{i=1}^{m} x^{2}"),
        (cr.sum(X, 1, keepdims=True) * Y, r"\left(\sum_{1} x\right) \circ y"),
        (abs(A), r"\left|a\right|"),
        (1e-8 * A, r"10^{-8} \cdot a"),
        (cr.constant(1e-8) ** A, r"\left(10^{-8}\right)^{a}"),
        (cr.constant(1 / 3) ** A, r"\left(\frac{1}{3}\right)^{a}"),
        (cr.constant(-np.inf) + A, r"-\infty + a"),
        (cr.where(A > B, A, B), r"\begin{cases}a & a > b \\ b & \text{otherwise}\end{cases}"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_formulas_in_latex(formula, form):
    assert formula.latex() == form


def test_the_gradient_of_logistic_regression():
    y, w, b = cr.input("y", ("m", 1)), cr.parameter("W", (2, 1)), cr.parameter("b", (1,))
    J = cr.mean(cr.binary_cross_entropy(cr.sigmoid(X @ w + b), y))
    dW, db = cr.gradient(J, [w, b])
    assert str(dW) == "1/m · xᵀ (σ(x W + b) − y)"
    assert str(db) == "1/m · Σ (σ(x W + b) − y)"
    assert dW.latex() == r"\frac{1}{m} \cdot x^{\top} \left(\sigma\left(x W + b\right) - y\right)"


def test_the_gradient_of_softmax_regression():
    y = cr.input("y", ("m", 2), distribution=True)
    J = cr.mean(cr.categorical_cross_entropy(cr.softmax(X @ W), y))
    assert str(cr.gradient(J, W)) == "1/m · xᵀ (softmax(x W) − y)"


def test_the_gradient_of_linear_regression():
    y, w = cr.input("y", ("m",)), cr.parameter("w", (2,))
    assert str(cr.gradient(cr.mean((X @ w - y) ** 2), w)) == "2/m · xᵀ (x w − y)"
    assert str(cr.gradient(cr.sum((X @ w - y) ** 2) / 2, w)) == "xᵀ (x w − y)"


def test_the_gradient_through_a_layer_of_tanh():
    y, w = cr.input("y", ("m", 2)), cr.parameter("V", (2, 2))
    A1 = cr.tanh(X @ W).named("A1")
    dZ = (A1 @ w - y).named("dZ")
    J = cr.sum(dZ**2) / 2
    dW, dV = cr.gradient(J, [W, w])
    assert str(dV) == "A1ᵀ dZ"
    assert str(dW) == "xᵀ (dZ Vᵀ ∘ (1 − A1²))"


@pytest.mark.parametrize(
    ("formula", "derivative"),
    [
        (A**3, "3 · a²"),
        (3 * A**2 + 2 * A + 1, "6 · a + 2"),
        (cr.sin(A), "cos(a)"),
        (cr.log(A), "1/a"),
        (cr.exp(2 * A), "2 · exp(2 · a)"),
        (cr.tanh(A), "1 − tanh(a)²"),
        (cr.sqrt(A), "1/(2 · √a)"),
        (cr.softplus(A), "σ(a)"),
        (1 / A, "−1/a²"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_derivatives_read_as_in_the_table(formula, derivative):
    assert str(cr.gradient(formula, A)) == derivative


# --- reading it back ----------------------------------------------------------------------------------
# The printed text is read by a small parser that knows nothing of chainrule: products bind tighter than sums,
# Σ takes in the product that follows it, a power binds tighter than a sign.

TOKEN = re.compile(r"\s*(\d+(?:\.\d+)?(?:e[−]?\d+)?|[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+|[a-zA-Zσ][a-zA-Z0-9]*|Σ[₀₁]?|.)")
DIGITS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹₀₁", "-012345678901")
FUNCTIONS = {
    "tanh": np.tanh,
    "exp": np.exp,
    "log": np.log,
    "sin": np.sin,
    "cos": np.cos,
    "softplus": lambda z: np.logaddexp(0, z),
    "σ": lambda z: 1 / (1 + np.exp(-z)),
    "sign": np.sign,
    "max": np.maximum,
    "where": np.where,
}
COMPARISONS = {">": np.greater, "<": np.less, "≥": np.greater_equal, "≤": np.less_equal}


class Reader:
    """Recursive descent over the printed text, one method for each strength of binding."""

    def __init__(self, text, values):
        self.tokens = [*TOKEN.findall(text), "end"]
        self.values = values

    def peek(self):
        return self.tokens[0]

    def take(self, *expected):
        token = self.tokens.pop(0)
        assert not expected or token in expected, f"{token} where {expected} should stand"
        return token

    def read(self):
        value = self.comparison()
        self.take("end")
        return value

    def comparison(self):
        value = self.sum()
        return COMPARISONS[self.take()](value, self.sum()) if self.peek() in COMPARISONS else value

    def sum(self):
        value = self.signed()
        while self.peek() in "+−":
            value = value + self.product() if self.take() == "+" else value - self.product()
        return value

    def signed(self):
        if self.peek() == "−":
            self.take()
            return -self.product()
        return self.product()

    def product(self):
        if self.peek()[0] == "Σ":
            axis = self.take()[1:].translate(DIGITS)
            return np.sum(self.product(), axis=int(axis) if axis else None, keepdims=bool(axis))
        value = self.power()
        while self.peek() in "·∘/":
            sign = self.take()
            right = self.product() if self.peek()[0] == "Σ" else self.power()
            value = value / right if sign == "/" else value * right
        return value

    def power(self):
        base = self.atom()
        if self.peek() == "^":
            self.take()
            return base ** self.atom()
        if self.peek().translate(DIGITS).lstrip("-").isdigit() and self.peek()[0] in "⁻⁰¹²³⁴⁵⁶⁷⁸⁹":
            return base ** float(self.take().translate(DIGITS))
        return base

    def atom(self):
        token = self.take()
        if token == "√":
            return np.sqrt(self.atom())
        if token in ("|", "(", "["):
            value = self.comparison()
            self.take({"|": "|", "(": ")", "[": "]"}[token])
            return {"|": np.abs, "(": lambda v: v, "[": lambda v: v.astype(float)}[token](value)
        if token in FUNCTIONS:
            self.take("(")
            operands = [self.comparison()]
            while self.take(",", ")") == ",":
                operands.append(self.comparison())
            return FUNCTIONS[token](*operands)
        return self.values[token] if token in self.values else np.float64(token.replace("−", "-"))


LEAVES = [A, B, C, cr.input("p", (2, 3)), cr.input("q", (2, 3)), cr.input("r", (2, 1))]
NUMBERS = [cr.constant(v) for v in (2.0, -1.0, -3.0, 0.5, 1 / 3, -2 / 3, 1e-8, 0.0)]
GROW = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "power": lambda a, b: a**b,
    "max": cr.maximum,
    "where": lambda a, b: cr.where(a > b, b, a),
    "negative": lambda a, b: -a,
    "square": lambda a, b: a**2,
    "inverse": lambda a, b: a**-1,
    "root": lambda a, b: cr.sqrt(a),
    "abs": lambda a, b: abs(a),
    "mask": lambda a, b: cr.cast(a > b, "float"),
    "exp": lambda a, b: cr.exp(a),
    "expm1": lambda a, b: cr.expm1(a),
    "log": lambda a, b: cr.log(a),
    "log1p": lambda a, b: cr.log1p(a),
    "sin": lambda a, b: cr.sin(a),
    "tanh": lambda a, b: cr.tanh(a),
    "sigmoid": lambda a, b: cr.sigmoid(a),
    "total": lambda a, b: cr.sum(a),
    "row sums": lambda a, b: cr.sum(a, 1, keepdims=True) if a.shape == (2, 3) else a,
}

INFIX = ["add", "subtract", "multiply", "divide", "negative", "power", "row sums"]


@st.composite
def formulas(draw, leaves=tuple(LEAVES + NUMBERS)):
    """A formula of up to ten ops, most of them infix, whose parts are used in each other again and again."""
    pool = list(leaves)
    recent = st.deferred(lambda: st.sampled_from(pool[-3:]) | st.sampled_from(leaves))
    ops = st.sampled_from(INFIX) | st.sampled_from(list(GROW))
    for _ in range(draw(st.integers(2, 10))):
        pool.append(GROW[draw(ops)](draw(recent), draw(recent)))
    return pool[-1]


def read_back(node, values):
    """The value of the printed text, its shared parts read first."""
    (formula,), shared = write([node])
    values = dict(values)
    for name, part in shared:
        values[name] = Reader(part, values).read()
    return Reader(formula, values).read()


@settings(max_examples=500)
@given(formulas(), st.integers(0, 5))
def test_the_printed_text_read_back_has_the_value_of_the_formula(formula, seed):
    rng = np.random.default_rng(seed)
    numbers = {leaf: rng.uniform(-2, 2, leaf.shape) for leaf in Graph(formula).leaves()}
    with np.errstate(all="ignore"):
        values = {leaf.name: value for leaf, value in numbers.items()}
        found = np.broadcast_to(read_back(formula, values), formula.shape)
    expected = cr.evaluate(formula, numbers, as_written=True)
    assume(np.all(np.isfinite(expected)))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9 * max(1.0, np.max(np.abs(expected))))


@given(formulas(leaves=(A, B, LEAVES[3])))
def test_so_has_the_printed_gradient(formula):
    rng = np.random.default_rng(0)
    numbers = {leaf: rng.uniform(0.2, 2, leaf.shape) for leaf in (A, B, LEAVES[3])}
    dA = cr.gradient(cr.sum(formula), A)
    assume({n.op.name for n in ancestors(dA)} & {"einsum", "reshape", "ratio", "size"} == set())
    expected = cr.evaluate(dA, numbers, as_written=True)
    assume(np.all(np.isfinite(expected)))
    with np.errstate(all="ignore"):
        found = read_back(dA, {leaf.name: value for leaf, value in numbers.items()})
    assume(np.abs(expected) < 1e6)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


# --- LaTeX that TeX accepts ---------------------------------------------------------------------------


def check_latex(formula):
    """Balanced braces and delimiters, and at most one subscript and one superscript at any base."""
    assert len(re.findall(r"\\left(?![a-z])", formula)) == len(re.findall(r"\\right(?![a-z])", formula))
    for kind in ("aligned", "cases"):
        assert formula.count(f"\\begin{{{kind}}}") == formula.count(f"\\end{{{kind}}}")
    rest = re.sub(r"\\([a-zA-Z]+|.)", "x", formula)  # a command, an escaped character too, is a thing by itself
    assert not set("#$%") & set(rest), f"not escaped: {formula}"
    while group := re.search(r"\{([^{}]*)\}", rest):  # the innermost groups become things by themselves
        check_scripts(group[1], formula)
        rest = rest[: group.start()] + "x" + rest[group.end() :]
    assert not set("{}") & set(rest), f"a brace is open: {formula}"
    check_scripts(rest, formula)


def check_scripts(part, formula):
    for scripts in re.findall(r"(?:[_^]\s*[^\s_^])+", part):
        assert scripts.count("_") <= 1, f"a double subscript: {formula}"
        assert scripts.count("^") <= 1, f"a double superscript: {formula}"
    assert not re.search(r"[_^]\s*(?:[_^]|$)", part), f"an empty script: {formula}"


@pytest.mark.parametrize("broken", ["x_{1}_{2}", "x^2^3", "{x", "x}", r"\left(x", "x^", "50%", r"\frac{a}{b^{c}^d}"])
def test_the_check_of_latex_sees_what_tex_refuses(broken):
    with pytest.raises(AssertionError):
        check_latex(broken)


def cases_of_every_op():
    for op in REGISTRY.values():
        for k, case in enumerate(op.cases if op.cases is not ABSENT else ()):
            operands = [
                cr.input(f"x{i}", o, dtype="float") if isinstance(o, tuple) else cr.constant(o)
                for i, o in enumerate(case.operands)
            ]
            if op.arity == 0:
                yield pytest.param(op.make((), case.attrs), id=f"{op.name} {k}")
            else:
                yield pytest.param(op(*operands, **case.attrs), id=f"{op.name} {k}")


@pytest.mark.parametrize("node", [*cases_of_every_op()])
def test_every_op_writes_latex_alone_and_inside_others(node):
    check_latex(node.latex())
    assert text(node)
    if node.dtype == "float" and node.shape:
        for outer in (node**2, -node, 1 / node, node[0], cr.exp(node) ** node, node.T, (node**2)[0] ** 3, abs(node)):
            check_latex(outer.latex())


@given(formulas())
def test_latex_of_random_formulas_is_accepted_by_tex(formula):
    check_latex(latex(formula))


@given(st.text(st.sampled_from("aWxZ19_^{}%&#$\\~ ŷα"), min_size=1, max_size=8))
def test_latex_of_any_name_is_accepted_by_tex(name):
    check_latex((cr.input(name, ()) ** 2).latex())
    check_latex(Symbol("Z", layer=name, rank=2).latex)


# --- names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("symbol", "as_text", "as_latex"),
    [
        (Symbol("x"), "x", "x"),
        (Symbol("W", "1"), "W1", "{W^{[1]}}"),
        (Symbol("dW", "2"), "dW2", "{dW^{[2]}}"),
        (Symbol("W", "encoder"), "W_encoder", r"{W^{[\mathrm{encoder}]}}"),
        (Symbol("W1"), "W1", "W_{1}"),
        (Symbol("x_12"), "x_12", "x_{12}"),
        (Symbol("E_W", "1"), "E_W1", "{E_{W}^{[1]}}"),
        (Symbol("α"), "α", r"\alpha"),
        (Symbol("theta"), "theta", r"\theta"),
        (Symbol("θ2"), "θ2", r"\theta_{2}"),
        (Symbol("ŷ"), "ŷ", r"\hat{y}"),
        (Symbol("y_hat"), "y_hat", r"\hat{y}"),
        (Symbol("J"), "J", "J"),
        (Symbol("price"), "price", r"\mathit{price}"),
        (Symbol("50%"), "50%", r"\mathit{50\%}"),
    ],
    ids=lambda value: value.text if isinstance(value, Symbol) else "",
)
def test_names_as_the_course_writes_them(symbol, as_text, as_latex):
    assert (symbol.text, symbol.latex) == (as_text, as_latex)


def dense(x, scope, units=2):
    with inside(scope):
        w = cr.parameter("W", (2, units))
        z = (x @ w).named("Z")
        return cr.tanh(z).named("A")


def test_layers_are_numbered_in_the_order_of_the_computation():
    late, early = Scope("Dense"), Scope("Dense")
    y = dense(dense(X, early), late)
    names = unique_names(ancestors(y))
    assert {s.text for s in names.values()} == {"x", "W1", "Z1", "A1", "W2", "Z2", "A2"}
    assert str(y) == "tanh(Z2)"


def test_a_layer_with_a_name_of_its_own_keeps_it():
    y = dense(dense(X, Scope("Dense", "encoder")), Scope("Dense"))
    assert [s.text for s in unique_names(ancestors(y)).values()] == [
        "x", "W_encoder", "Z_encoder", "A_encoder", "W1", "Z1", "A1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "leaves",
    [
        [cr.input("w", ()), cr.parameter("w", ())],
        [cr.input("w", ()), cr.input("w", ()), cr.input("w.2", ())],
        [cr.input("w.2", ()), cr.input("w", ()), cr.input("w", ())],
    ],
    ids=["twice", "a name like a rank behind", "a name like a rank before"],
)
def test_two_quantities_are_never_written_alike(leaves):
    names = unique_names(leaves)
    assert len({s.text for s in names.values()}) == len({s.latex for s in names.values()}) == len(leaves)


def test_a_name_of_the_users_own_is_kept_apart_from_the_name_of_a_layer():
    y = dense(X, Scope("Dense"))
    other = cr.input("Z1", ("m", 2))
    names = unique_names(ancestors(y + other))
    assert len({s.text for s in names.values()}) == len(names)


# --- shared parts -------------------------------------------------------------------------------------


def test_a_large_part_that_is_used_twice_is_written_once():
    part = cr.tanh(A * B + B * C + C * A)
    assert len(str(part)) >= LARGE
    assert str(cr.exp(part) / part) == "exp(t1)/t1\n  where\n  t1 = tanh(a · b + b · c + c · a)"
    assert (cr.exp(part) / part).latex() == (
        r"\begin{aligned}& \frac{e^{t_{1}}}{t_{1}} \\ "
        r"& \text{where } t_{1} = \tanh\left(a \cdot b + b \cdot c + c \cdot a\right)\end{aligned}"
    )


def test_a_small_part_or_a_part_used_once_is_written_where_it_stands():
    small, large = cr.tanh(A), cr.tanh(A * B + B * C + C * A)
    assert "where" not in str(small * cr.exp(small)) + str(large + 1)


def test_a_shared_part_takes_no_name_that_the_user_has_given():
    part = cr.tanh(A * B + B * C + C * A + cr.input("t1", ()))
    assert str(part * cr.exp(part)).startswith("t2 · exp(t2)\n")


def test_a_named_quantity_is_written_by_its_name_and_out_when_asked_for():
    Z = (X @ W).named("Z")
    assert str(cr.tanh(Z)) == "tanh(Z)"
    assert str(Z) == "x W"
