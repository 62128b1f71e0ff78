"""What both engines share: the order of the work, the numbers fed, sizes and kinds of numbers made definite."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from chainrule.engine.draws import Key, sample
from chainrule.errors import DataError, DTypeError, GraphError, near
from chainrule.graph.body import with_bodies, work
from chainrule.graph.dim import Dim, as_size, bind, resolve
from chainrule.graph.graph import LEAVES, Graph
from chainrule.graph.node import Node, ancestors, describe
from chainrule.graph.op import FLOATS, is_float

Feeds = Mapping[Any, Any]
FLOAT_DTYPES = {"float16": np.float16, "float32": np.float32, "float64": np.float64}
FIRST: Key = (0, 0)
"""The key of draws where nobody chose another: seed 0, step 0."""


@dataclass(frozen=True)
class Kinds:
    """The machine's number types that stand for bool, int and float in one run."""

    float: Any
    int: Any

    def of(self, dtype: str) -> Any:
        """The machine type for a node's kind of number."""
        if dtype == "bool":
            return np.dtype(bool)
        if dtype == "int":
            return np.dtype(self.int)
        if dtype == "bfloat16":
            import ml_dtypes

            return np.dtype(ml_dtypes.bfloat16)
        return np.dtype(self.float if dtype == "float" else dtype)


def float_dtype(dtype: Any) -> np.dtype[Any]:
    """The working precision by its name or NumPy type."""
    try:
        name = "float32" if dtype is None else np.dtype(dtype).name if dtype != "bfloat16" else "bfloat16"
    except TypeError:
        name = str(dtype)
    if name not in FLOATS:
        raise DTypeError("not a float type", given=repr(dtype), expected=", ".join(FLOATS))
    return Kinds(np.float32, np.int64).of(name)  # type: ignore[no-any-return]


def check_mapping(value: object, what: str = "numbers are", to: str = "numbers") -> None:
    """Numbers are fed as a mapping from nodes or names."""
    if not isinstance(value, Mapping):
        raise GraphError(
            f"{what} given as a mapping",
            given=f"{type(value).__name__}: {str(value)[:60]}",
            expected=f"{{node: {to}, …}}",
        )


class Program:
    """Outputs and everything they need, ready to be run again and again in either engine.

    Args:
        outputs: what to compute.
        draws: the draws of the whole that this is a part of, so that each has the same numbers in all parts.
    """

    def __init__(self, outputs: Iterable[Node], draws: Sequence[Node] | None = None) -> None:
        self.graph = Graph(outputs)
        self.outputs = self.graph.outputs
        self.draws = draws_of(self.graph) if draws is None else tuple(draws)

    @cached_property
    def leaves(self) -> tuple[Node, ...]:
        """The nodes that numbers are fed to, or may be."""
        return self.graph.leaves(*LEAVES, "draw")

    @cached_property
    def has_float64(self) -> bool:
        """Whether a node is float64 in a run of any precision."""
        return any(n.dtype == "float64" for n in with_bodies(self.graph))

    def match(self, feeds: Feeds) -> dict[Node, Any]:
        """The fed numbers by node; keys may be nodes or names. Checks that nothing is missing."""
        check_mapping(feeds)
        matched: dict[Node, Any] = {}
        for key, value in feeds.items():
            node = key if isinstance(key, Node) else self._named(key)
            if node in matched:
                raise GraphError(f"{node.name} is fed twice", given="a node and its name", expected="one of them")
            matched[node] = value
        missing = [n for n in self.order(matched) if n.op.name in LEAVES and n not in matched]
        if missing:
            raise GraphError(
                "numbers are missing",
                given="feeds for " + (", ".join(str(n.name or n.op.name) for n in matched) or "nothing"),
                expected="also " + "; ".join(describe(n) for n in missing),
            )
        return matched

    def _named(self, key: object) -> Node:
        """The one leaf of this name."""
        found = [n for n in self.leaves if n.name == key]
        if len(found) > 1:
            raise GraphError(
                f"several leaves are named {key}",
                given="; ".join(describe(n) for n in found),
                hint="feed them by node: {node: numbers, …}",
            )
        if not found:
            known = [str(n.name) for n in self.leaves]
            raise GraphError(
                "numbers are fed to a node of the graph",
                given=repr(key),
                expected="one of " + ", ".join(dict.fromkeys(known)),
                hint=near(key, known) if isinstance(key, str) else None,
            )
        return found[0]

    def order(self, fed: Mapping[Node, Any]) -> Sequence[Node]:
        """The nodes in the order in which they are computed; what only a fed node needs is not."""
        if all(not n.inputs for n in fed):
            return self.graph.nodes
        return ancestors(*self.outputs, stop=fed.__contains__)

    def fringe(self, fed: Mapping[Node, Any]) -> tuple[Node, ...]:
        """Those of the fed nodes that are needed, if all of them are fed."""
        order = self.order(fed)
        needed = dict.fromkeys(i for n in order if n not in fed for i in n.inputs)
        return tuple(n for n in dict.fromkeys((*needed, *self.outputs)) if n in fed)

    def run(
        self, xp: Any, fed: Mapping[Node, Any], kinds: Kinds, sizes: Mapping[str, int], key: Key = FIRST
    ) -> dict[Node, Any]:
        """Compute every node that is not fed, with the functions of the array namespace ``xp``, draws under a key."""
        values: dict[Node, Any] = dict(fed)
        for node in self.order(fed):
            if node in values:
                continue
            operands = [values[i] for i in node.inputs]
            if node.op.name == "draw":
                values[node] = sample(xp, node, self.draws.index(node), key, kinds.of(node.dtype), sizes)
            elif node.op.results is None:
                values[node] = apply(xp, node, operands, kinds, sizes)
            else:
                values.update(apply_together(xp, self.together(node), operands, kinds, sizes))
        return values

    def together(self, node: Node) -> Sequence[Node]:
        """The nodes that want other results of the same work, and this one."""
        return self._works[work(node)]

    @cached_property
    def _works(self) -> dict[Any, list[Node]]:
        out: dict[Any, list[Node]] = {}
        for node in self.graph:
            if node.op.results is not None:
                out.setdefault(work(node), []).append(node)
        return out


def draws_of(graph: Graph) -> tuple[Node, ...]:
    """The draws of a graph in the order in which they were made: their place is part of what they draw."""
    return tuple(sorted(graph.leaves("draw"), key=lambda n: int(n.attrs["stream"])))


def apply(xp: Any, node: Node, operands: Sequence[Any], kinds: Kinds, sizes: Mapping[str, int]) -> Any:
    """One node's value from its operands' values, in the number type that the node says."""
    value = node.op.forward(xp, *operands, **_settings(xp, node, kinds, sizes))
    return _of_kind(xp, value, node, kinds)


def apply_together(
    xp: Any, nodes: Sequence[Node], operands: Sequence[Any], kinds: Kinds, sizes: Mapping[str, int]
) -> dict[Node, Any]:
    """The values of nodes that are results of one piece of work."""
    settings = _settings(xp, nodes[0], kinds, sizes)
    del settings["result"]
    assert nodes[0].op.results is not None
    values = nodes[0].op.results(xp, operands, [n.attrs["result"] for n in nodes], **settings)
    return {n: _of_kind(xp, v, n, kinds) for n, v in zip(nodes, values, strict=True)}


def _settings(xp: Any, node: Node, kinds: Kinds, sizes: Mapping[str, int]) -> dict[str, Any]:
    """A node's settings with numbers in place of named sizes, and what its op needs besides."""
    attrs = {k: definite(v, sizes) for k, v in node.attrs.items()}
    told: dict[str, Callable[[], Any]] = {
        "dtype": lambda: kinds.of(node.dtype),
        "shape": lambda: tuple(resolve(s, sizes) for s in node.shape),
        "run": lambda: partial(runner, xp, kinds, sizes),
    }
    return attrs | {need: told[need]() for need in node.op.needs}


def runner(xp: Any, kinds: Kinds, sizes: Mapping[str, int], outputs: Sequence[Node]) -> Callable[..., list[Any]]:
    """A function from the numbers fed, pairs of node and array, to those of the outputs: one step of a body."""
    program = Program(outputs)

    def run(fed: Iterable[tuple[Node, Any]]) -> list[Any]:
        values = program.run(xp, dict(fed), kinds, sizes)
        return [values[n] for n in outputs]

    return run


def _of_kind(xp: Any, value: Any, node: Node, kinds: Kinds) -> Any:
    dtype = kinds.of(node.dtype)
    return value if value.dtype == dtype else xp.astype(value, dtype)


def definite(value: Any, sizes: Mapping[str, int]) -> Any:
    """An attribute with numbers in place of named sizes."""
    if isinstance(value, Dim):
        return resolve(value, sizes)
    if isinstance(value, tuple):
        return tuple(definite(v, sizes) for v in value)
    return value


def fed_array(node: Node, value: Any) -> np.ndarray[Any, Any]:
    """Fed numbers as an array of whatever kind they have."""
    try:
        return np.asarray(value)
    except ValueError as error:
        raise DTypeError(f"the numbers for {node.name} are not an array", hint=str(error)) from None


def as_array(node: Node, value: Any, kinds: Kinds) -> np.ndarray[Any, Any]:
    """Fed numbers as an array of the node's kind."""
    array = fed_array(node, value)
    if array.dtype.kind not in "biufV":
        raise DTypeError(
            f"the numbers for {node.name} are not numbers",
            given=f"an array of {array.dtype}",
            expected=node.dtype,
            hint="turn labels into integer codes first",
        )
    if node.dtype in ("int", "bool") and array.dtype.kind == "f":
        broken = array != np.floor(array)
        if broken.any():
            raise DTypeError(f"{node.name} takes whole numbers", given=f"{array.flat[np.argmax(broken)]}")
    if node.dtype == "int" and array.size:
        limits = np.iinfo(kinds.int)
        far = next((n for n in (array.min(), array.max()) if not limits.min <= n <= limits.max), None)
        if far is not None:
            raise DTypeError(
                f"{node.name} takes whole numbers of {limits.bits} bits",
                given=far,
                expected=f"{limits.min} to {limits.max}",
                hint="a run in float64 takes whole numbers of 64 bits" if limits.bits < 64 else None,
            )
    out = array.astype(kinds.of(node.dtype), copy=False)
    if is_float(node.dtype) and node.attrs.get("distribution"):
        sums = out.astype(np.float64).sum(axis=-1)
        if sums.size and not np.allclose(sums, 1.0, atol=1e-3):
            worst = int(np.argmax(np.abs(np.ravel(sums) - 1)))
            raise DataError(
                f"{node.name} is declared a distribution, but a row does not sum to one",
                given=f"row {worst} sums to {np.ravel(sums)[worst]:.6g}",
                hint="give one-hot rows or probabilities, or integer labels with cr.one_hot",
            )
    return out


def learn_sizes(fed: Mapping[Node, Any], sizes: Mapping[str, int] | None = None) -> dict[str, int]:
    """The number for every named size, from the shapes of what is fed."""
    known = {str(name): resolve(as_size(number), {}) for name, number in (sizes or {}).items()}
    plain_first = sorted(fed.items(), key=lambda kv: any(isinstance(s, Dim) and not s.is_name for s in kv[0].shape))
    for node, array in plain_first:
        bind(node.shape, tuple(array.shape), known, node.name or node.op.name)
    return known
