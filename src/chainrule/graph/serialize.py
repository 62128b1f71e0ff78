"""A graph as plain data, and back. Reading it looks ops up by name and never executes code from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from chainrule.errors import ChainruleError, GraphError
from chainrule.graph.body import Body, with_bodies
from chainrule.graph.dim import Dim, Size, as_size
from chainrule.graph.node import Node, Scope, ancestors
from chainrule.graph.op import lookup

T = TypeVar("T")


def to_data(outputs: Sequence[Node]) -> dict[str, Any]:
    """The graph of some outputs as lists, dictionaries, numbers and strings."""
    table = _Table(list(dict.fromkeys(n.scope for n in with_bodies(ancestors(*outputs)) if n.scope is not None)))
    graph = _nodes_to_data(outputs, table)
    bodies = {"bodies": list(table.bodies.values())} if table.bodies else {}
    return {"layers": [{"kind": s.kind, "name": s.name} for s in table.scopes], **bodies, **graph}


def from_data(data: Mapping[str, Any]) -> list[Node]:
    """The outputs of a graph that was written by :func:`to_data`; every op's rules are checked again."""
    try:
        table = _Table([Scope(str(s["kind"]), s["name"]) for s in data["layers"]])
        for entry in data.get("bodies", ()):  # a body comes after those that it repeats itself
            table.bodies[_body_from_data(entry, table)] = entry
        return _nodes_from_data(data, table)
    except ChainruleError:
        raise
    except (AttributeError, KeyError, IndexError, StopIteration, TypeError, ValueError) as error:
        raise GraphError("not a graph that can be read", given=f"{type(error).__name__}: {error}") from None


@dataclass
class _Table:
    """What nodes refer to by number: layers, and bodies that are repeated."""

    scopes: list[Scope]
    bodies: dict[Body, dict[str, Any]] = field(default_factory=dict)


def _nodes_to_data(outputs: Sequence[Node], table: _Table) -> dict[str, Any]:
    nodes = ancestors(*outputs)
    number = {n: i for i, n in enumerate(nodes)}
    return {
        "nodes": [
            {
                "op": n.op.name,
                **({"inputs": [number[i] for i in n.inputs]} if n.inputs else {}),
                **({"settings": {k: _encode(v, table) for k, v in n.attrs.items() if _kept(k)}} if n.attrs else {}),
                **({"name": n.name} if n.name else {}),
                **({"layer": table.scopes.index(n.scope)} if n.scope is not None else {}),
            }
            for n in nodes
        ],
        "outputs": [number[n] for n in outputs],
    }


def _nodes_from_data(data: Mapping[str, Any], table: _Table) -> list[Node]:
    nodes: list[Node] = []
    for entry in data["nodes"]:
        op = lookup(entry["op"])
        attrs = {k: _decode(v, table) for k, v in entry.get("settings", {}).items()}
        inputs = tuple(_at(nodes, i) for i in entry.get("inputs", ()))
        scope = table.scopes[entry["layer"]] if "layer" in entry else None
        made = op.make(inputs, attrs)
        nodes.append(made.named(entry.get("name"), scope))
    return [_at(nodes, i) for i in data["outputs"]]


def _body_to_data(body: Body, table: _Table) -> int:
    if body not in table.bodies:
        parts = (body.states, body.slices, body.constants, body.new, body.results)
        graph = _nodes_to_data([n for part in parts for n in part], table)
        table.bodies[body] = {**graph, "parts": [len(p) for p in parts], "backwards": body.backwards}
    return list(table.bodies).index(body)


def _body_from_data(data: Mapping[str, Any], table: _Table) -> Body:
    nodes = iter(_nodes_from_data(data, table))
    states, slices, constants, new, results = (tuple(next(nodes) for _ in range(n)) for n in data["parts"])
    return Body(states, slices, constants, new, results, bool(data["backwards"]))


def _kept(key: str) -> bool:
    return key != "initializer"  # only needed before training


def _at(things: Sequence[T], number: int, what: str = "node") -> T:
    if number < 0:
        raise IndexError(f"there is no {what} {number}")
    return things[number]


def _encode(value: Any, table: _Table) -> Any:
    if isinstance(value, Dim):
        return {"size": [[list(names), c] for names, c in value.terms]}
    if isinstance(value, np.ndarray):
        kind = value.dtype.kind.replace("V", "f")  # bfloat16
        numbers = value.astype(float) if kind == "f" else value
        if kind == "f" and not np.isfinite(numbers).all():  # JSON has no number for these
            numbers = np.where(np.isfinite(numbers), numbers.astype(object), numbers.astype(str))
        return {"array": numbers.tolist(), "kind": kind} | ({} if value.size else {"shape": list(value.shape)})
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": str(value)}
    if isinstance(value, tuple):
        return {"tuple": [_encode(v, table) for v in value]}
    if isinstance(value, Body):
        return {"body": _body_to_data(value, table)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise GraphError("a setting cannot be written", given=repr(value), expected="a number, a text or a tuple of them")


def _decode(value: Any, table: _Table) -> Any:
    if not isinstance(value, Mapping):
        return value
    if "size" in value:
        total: Size = 0
        for names, c in value["size"]:
            term: Size = int(c)
            for name in names:
                term = as_size(name) * term
            total = term + total
        return total
    if "array" in value:
        kinds = {"f": np.float64, "i": np.int64, "u": np.int64, "b": np.bool_}
        array: np.ndarray[Any, Any] = np.array(value["array"], dtype=kinds[value["kind"]])
        array = array if array.size else array.reshape(value["shape"])
        array.setflags(write=False)
        return array
    if "number" in value:
        return float(value["number"])
    if "body" in value:
        return _at(list(table.bodies), value["body"], "body")
    return tuple(_decode(v, table) for v in value["tuple"])
