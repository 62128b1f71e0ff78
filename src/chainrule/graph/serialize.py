"""A graph as plain data, and back. Reading it looks ops up by name and never executes code from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ChainruleError, GraphError
from chainrule.graph.body import Body, with_bodies
from chainrule.graph.dim import Dim, Size, as_size
from chainrule.graph.node import Node, Scope, ancestors
from chainrule.graph.op import lookup


def to_data(outputs: Sequence[Node]) -> dict[str, Any]:
    """The graph of some outputs as lists, dictionaries, numbers and strings."""
    scopes = list(dict.fromkeys(n.scope for n in with_bodies(ancestors(*outputs)) if n.scope is not None))
    return {"layers": [{"kind": s.kind, "name": s.name} for s in scopes], **_nodes_to_data(outputs, scopes)}


def from_data(data: Mapping[str, Any]) -> list[Node]:
    """The outputs of a graph that was written by :func:`to_data`; every op's rules are checked again."""
    try:
        return _nodes_from_data(data, [Scope(str(s["kind"]), s["name"]) for s in data["layers"]])
    except ChainruleError:
        raise
    except (AttributeError, KeyError, IndexError, StopIteration, TypeError, ValueError) as error:
        raise GraphError("not a graph that can be read", given=f"{type(error).__name__}: {error}") from None


def _nodes_to_data(outputs: Sequence[Node], scopes: Sequence[Scope]) -> dict[str, Any]:
    nodes = ancestors(*outputs)
    number = {n: i for i, n in enumerate(nodes)}
    return {
        "nodes": [
            {
                "op": n.op.name,
                **({"inputs": [number[i] for i in n.inputs]} if n.inputs else {}),
                **({"settings": {k: _encode(v, scopes) for k, v in n.attrs.items() if _kept(k)}} if n.attrs else {}),
                **({"name": n.name} if n.name else {}),
                **({"layer": scopes.index(n.scope)} if n.scope is not None else {}),
            }
            for n in nodes
        ],
        "outputs": [number[n] for n in outputs],
    }


def _nodes_from_data(data: Mapping[str, Any], scopes: Sequence[Scope]) -> list[Node]:
    nodes: list[Node] = []
    for entry in data["nodes"]:
        op = lookup(entry["op"])
        attrs = {k: _decode(v, scopes) for k, v in entry.get("settings", {}).items()}
        inputs = tuple(_at(nodes, i) for i in entry.get("inputs", ()))
        scope = scopes[entry["layer"]] if "layer" in entry else None
        made = op.make(inputs, attrs)
        nodes.append(made.named(entry.get("name"), scope))
    return [_at(nodes, i) for i in data["outputs"]]


def _body_to_data(body: Body, scopes: Sequence[Scope]) -> dict[str, Any]:
    parts = (body.states, body.slices, body.constants, body.new, body.results)
    outputs = [n for part in parts for n in part]
    return {**_nodes_to_data(outputs, scopes), "parts": [len(p) for p in parts], "backwards": body.backwards}


def _body_from_data(data: Mapping[str, Any], scopes: Sequence[Scope]) -> Body:
    nodes = iter(_nodes_from_data(data, scopes))
    parts = [tuple(next(nodes) for _ in range(n)) for n in data["parts"]]
    return Body(*parts, backwards=bool(data["backwards"]))


def _kept(key: str) -> bool:
    return key != "initializer"  # only needed before training


def _at(nodes: Sequence[Node], number: int) -> Node:
    if number < 0:
        raise IndexError(f"there is no node {number}")
    return nodes[number]


def _encode(value: Any, scopes: Sequence[Scope]) -> Any:
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
        return {"tuple": [_encode(v, scopes) for v in value]}
    if isinstance(value, Body):
        return {"body": _body_to_data(value, scopes)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise GraphError("a setting cannot be written", given=repr(value), expected="a number, a text or a tuple of them")


def _decode(value: Any, scopes: Sequence[Scope]) -> Any:
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
        return _body_from_data(value["body"], scopes)
    return tuple(_decode(v, scopes) for v in value["tuple"])
