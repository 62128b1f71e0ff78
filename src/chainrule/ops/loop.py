"""The loop: a body graph repeated over time, carrying state.

``h_t, … = body(h_{t−1}, x_t)`` for t = 1 … T. Its derivative is a loop too, backwards in time; so is the derivative
of that. What does not depend on the state is not part of the body, or leaves it (``rewrite/hoist.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chainrule.errors import ConfigurationError, GraphError, ShapeError
from chainrule.graph.body import EVERY, FINAL, Body, Result, asked
from chainrule.graph.dim import Shape, Size, as_size, broadcast, show
from chainrule.graph.graph import LEAVES, depends_on
from chainrule.graph.node import Node, Scope, ancestors
from chainrule.graph.op import ABSENT, ATOM, Op, Piece, ThroughBody, declare, is_float, lift, misfit, vocabulary
from chainrule.ops.casting import cast
from chainrule.ops.leaves import INPUT
from chainrule.ops.shaping import broadcast_to

Nodes = Mapping[str, Any] | Sequence[Any] | Node | float


def hole(name: str, like: Node, shape: Shape | None = None, scope: Scope | None = None) -> Node:
    """A leaf of a body that stands for a node, or for a part of it in another shape."""
    shape = like.shape if shape is None else shape
    attrs = {"shape": shape, "dtype": like.dtype, "distribution": False}
    return Node(INPUT, (), attrs, shape, like.dtype, name, scope)


def _shape(inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> Shape:
    body: Body = attrs["body"]
    length: Size = attrs["length"]
    if len(inputs) != len(body.holes):
        raise ConfigurationError("a loop has an operand for each hole of its body", given=len(inputs))
    for leaf, operand in zip(body.holes, inputs, strict=True):
        wanted = (length, *leaf.shape) if leaf in body.slices else leaf.shape
        if operand.shape != wanted:
            raise ShapeError(
                f"the loop's {leaf.name} does not fit its body",
                given=f"{operand.name or operand.op.name} {show(operand.shape)}",
                expected=show(wanted),
                hint="a body is made for the sizes it was traced with; call cr.loop again for others",
            )
    kind, place = attrs["result"]
    return body.new[place].shape if kind == FINAL else (length, *body.nodes[place].shape)


def _dtype(inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> str:
    body: Body = attrs["body"]
    kind, place = attrs["result"]
    node: Node = body.new[place] if kind == FINAL else body.nodes[place]
    return node.dtype


def _results(
    xp: Any, arrays: Sequence[Any], wanted: Sequence[Result], body: Body, length: int, run: Callable[..., Any]
) -> list[Any]:
    """The results that are wanted, of one run through time; what nobody wants is not kept."""
    initial, sequences, constants = body.initial(arrays), body.sequences(arrays), body.fixed(arrays)
    places = [k for kind, k in dict.fromkeys(wanted) if kind == EVERY]
    step = run((*body.new, *(body.nodes[k] for k in places)))

    def one(state: Any, slices: Any) -> Any:
        found = step(zip(body.holes, (*state, *slices, *constants), strict=True))
        return tuple(found[: len(state)]), tuple(found[len(state) :])

    final, stacked = xp.scan(one, initial, sequences, length, body.backwards)
    every = dict(zip(places, stacked, strict=True))
    return [final[k] if kind == FINAL else every[k] for kind, k in wanted]


def _write(node: Node, args: Sequence[Piece], latex: bool) -> Piece:
    """A state after the last step as h_T; a quantity of every step as what it is at step t."""
    name = asked(node).name or "·"
    if node.attrs["result"][0] == EVERY:
        return Piece(f"{{{name}}}_t" if latex else f"{name}ₜ", ATOM)
    backwards = node.attrs["body"].backwards
    if latex:
        return Piece(f"{{{name}}}_{1 if backwards else 'T'}", ATOM)
    return Piece(name + ("₁" if backwards else "_T"), ATOM)


def _multiply_adds(node: Node) -> Size:
    """Those of a step, at every step."""
    total: Size = 0
    for n in node.attrs["body"].nodes:
        total = n.op.multiply_adds(n) + total
    length: Size = node.attrs["length"]
    return length * total


LOOP = declare(
    Op(
        name="loop",
        arity=None,
        doc="h_t = f(h_(t−1), x_t, θ) for t = 1 … T: a body repeated over time",
        shape=_shape,
        dtype=_dtype,
        forward=lambda xp, *arrays, result, **attrs: _results(xp, arrays, (result,), **attrs)[0],
        calculus=ThroughBody(),
        write=_write,
        gate="loop: flows back through time",
        structure="lower triangular in time",
        facts=ABSENT,
        not_differentiable="where its body is not",
        reference=ABSENT,
        cases=ABSENT,
        extremes=ABSENT,
        needs=("run",),
        results=_results,
        multiply_adds=_multiply_adds,
    ),
    public=False,
)


def results_of(body: Body, operands: Sequence[Node], length: Size, wanted: Sequence[Result]) -> list[Node]:
    """The nodes that give these results of one loop."""
    return [LOOP.make(tuple(operands), {"body": body, "result": r, "length": length}) for r in wanted]


def sibling(node: Node, result: Result) -> Node:
    """Another result of the same work."""
    return LOOP.make(node.inputs, {**node.attrs, "result": result})


@vocabulary
def loop(
    step: Callable[..., Any],
    state: Nodes,
    sequences: Nodes = (),
    *,
    length: Any = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """A step repeated over time: ``state, outputs = step(state, slices)`` for t = 1 … T.

    Args:
        step: called once, with nodes that stand for the state before the step and for the slices of the sequences at
            time t; returns the state after it and the outputs of the step. It may use any other node (parameters):
            they are the same at every step.
        state: what the state starts from: nodes or numbers; a mapping gives the states their names.
        sequences: nodes whose first axis is time, (T, …), all of one length; a mapping gives the slices names.
        length: T, where there is no sequence.
        reverse: from the last slice to the first. Outputs stay at the time of the slice they belong to.

    Returns:
        The state after the last step, and the outputs of all steps stacked along a first axis, (T, …); each as it
        was given and returned: one node, a tuple, or a mapping.

    Errors: a state that changes its shape or its kind of number, sequences of different lengths.

    >>> import chainrule as cr
    >>> x = cr.input("x", ("T",))
    >>> total, running = cr.loop(lambda s, x: (s + x, s + x), 0.0, x)
    >>> cr.evaluate([total, running], {x: [1.0, 2.0, 3.0]})
    [array(6.), array([1., 3., 6.])]

    Differs from ``jax.lax.scan`` in that what the step computes without the state is done for all times at once.
    """
    names, initial = _listed(state, "s")
    slice_names, read = _listed(sequences, "x")
    total = _length(read, length)
    given = (state, names), (sequences, slice_names, read)
    body, outputs = _traced(step, *given, initial, reverse)
    spread = [
        broadcast_to(a, b.shape) if broadcast(a.shape, b.shape) == b.shape else a
        for a, b in zip(initial, body.new, strict=True)
    ]
    first = body
    if any(a is not b for a, b in zip(initial, spread, strict=True)):  # it starts from a number that the step spreads
        initial = spread
        body, outputs = _traced(step, *given, initial, reverse)
    settled = [_kind(a) == _kind(b) for a, b in zip(body.states, body.new, strict=True)]
    for before, after in zip(first.states, first.new, strict=True):
        if not all(settled) and _kind(after) != _kind(before):
            raise ShapeError(
                f"the state {before.name} is not after the step what it was before",
                given=f"{after.dtype} {show(after.shape)}",
                expected=f"{before.dtype} {show(before.shape)}",
                hint="a loop's state keeps its shape and its kind of number",
            )
    closure = outputs.pop("closure")
    operands = (*initial, *read, *closure)
    final = results_of(body, operands, total, [(FINAL, i) for i in range(len(initial))])
    flat = outputs["nodes"]
    stacked = results_of(body, operands, total, [(EVERY, body.number[n]) for n in flat])
    return _like(state, final), _like(outputs["given"], stacked)


def _kind(node: Node) -> tuple[Shape, str]:
    return node.shape, node.dtype


def _traced(
    step: Callable[..., Any], state: Any, sequences: Any, initial: Sequence[Node], reverse: bool
) -> tuple[Body, dict[str, Any]]:
    """The body that a step is, and how its outputs were given, what they are in the body, and what it closes over."""
    (given, names), (read_as, slice_names, read) = state, sequences
    states = tuple(hole(name, n) for name, n in zip(names, initial, strict=True))
    slices = tuple(hole(name, n, n.shape[1:]) for name, n in zip(slice_names, read, strict=True))
    made = step(_like(given, states), _like(read_as, slices)) if read else step(_like(given, states))
    if not isinstance(made, tuple) or len(made) != 2:
        raise GraphError(
            "a loop's step returns the state after it, and its outputs",
            given=type(made).__name__,
            expected="a pair: (state, outputs)",
            hint="return state, () where there is no output",
        )
    after, outputs = (_listed(part, "y")[1] for part in made)
    if len(after) != len(states):
        raise GraphError("a loop's step returns each state", given=len(after), expected=len(states))
    after = [cast(n, s.dtype) if is_float(s.dtype) else n for n, s in zip(after, states, strict=True)]
    roots = [*after, *outputs]
    moving = depends_on(roots, {*states, *slices})
    order = ancestors(*roots)
    needs_numbers: set[Node] = set()
    for n in order:
        if n.op.name in (*LEAVES, "draw") or any(i in needs_numbers for i in n.inputs):
            needs_numbers.add(n)
    edge = dict.fromkeys(i for n in order if n in moving for i in n.inputs)
    edge |= dict.fromkeys(roots)
    outside = [n for n in edge if n not in moving and n in needs_numbers]
    constants = [hole(n.name or f"c{k}", n) for k, n in enumerate(outside, 1)]
    new: dict[Node, Node] = dict(zip(outside, constants, strict=True))
    called = {n: leaf.name for n, leaf in reversed([*zip(after, states, strict=True)]) if n.inputs and n.name is None}
    for n in ancestors(*roots, stop=new.__contains__):
        if n not in new:
            new[n] = n.rebuilt(tuple(new[i] for i in n.inputs))
            new[n] = new[n].named(called[n]) if n in called else new[n]
    holes = {*states, *slices}
    named = [new[n] for n in order if n in moving and new[n].name and n not in holes]
    results = tuple(dict.fromkeys([*(new[n] for n in outputs), *named]))
    body = Body(states, slices, tuple(constants), tuple(new[n] for n in after), results, bool(reverse))
    return body, {"nodes": [new[n] for n in outputs], "given": made[1], "closure": outside}


def _listed(given: Any, letter: str) -> tuple[list[str], list[Node]]:
    """Names and nodes of what may be a node, several, or a mapping from names."""
    if isinstance(given, Mapping):
        return list(map(str, given)), [lift(n) for n in given.values()]
    if isinstance(given, (tuple, list)):
        nodes = [lift(n) for n in given]
        return [n.name or f"{letter}{k}" for k, n in enumerate(nodes, 1)], nodes
    node = lift(given)
    return [node.name or letter], [node]


def _like(given: Any, nodes: Sequence[Node]) -> Any:
    """The nodes in the form in which others were given."""
    if isinstance(given, Mapping):
        return dict(zip(given, nodes, strict=True))
    return tuple(nodes) if isinstance(given, (tuple, list)) else nodes[0]


def _length(sequences: Sequence[Node], length: Any) -> Size:
    sizes = {n.shape[0] for n in sequences if n.shape}
    if any(not n.shape for n in sequences) or len(sizes) > 1:
        raise misfit("loop", sequences, expected="sequences with time as their first axis, all of one length")
    if length is not None:
        sizes.add(as_size(length))
    if len(sizes) != 1 or 0 in sizes:
        raise ShapeError(
            "a loop needs its number of steps",
            given=", ".join(map(str, sizes)) or "no sequence, no length",
            expected="sequences (T, …) of one length of at least 1, or length=",
        )
    return sizes.pop()
