"""In what two described trainings differ, in few words: the shapes of parameters, else operations, else settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

MOST = 6
"""So many parameters or operations are told."""


def unlike(key: str, now: Mapping[str, Any], stored: Mapping[str, Any]) -> tuple[Any, Any]:
    """What an entry is in one described training and in the other, as far as it differs.

    >>> graphs = [{"graph": {"nodes": [{"op": "input"}, {"op": op, "inputs": [0]}]}} for op in ("relu", "tanh")]
    >>> unlike("graph", *graphs)
    ('relu', 'tanh')
    """
    if key == "objectives":
        told = [", ".join(d["settings"][k] for k in ("loss", "optimizer")) for d in (now, stored)]
        return (told[0], told[1]) if told[0] != told[1] else _entries(now[key], stored[key])
    if key != "graph":
        return now[key], stored[key]
    a, b = now[key]["nodes"], stored[key]["nodes"]
    shapes, others = _parameters(a), _parameters(b)
    if shapes != others:
        first = next(k for k, (one, other) in enumerate(zip_longest(shapes, others)) if one != other)
        return _few(shapes[first:]), _few(others[first:])
    ops, theirs = Counter(n["op"] for n in a), Counter(n["op"] for n in b)
    if ops != theirs:
        return _few([*(ops - theirs)]), _few([*(theirs - ops)])
    return _entries(a, b) if a != b else _entries(now[key]["layers"], stored[key]["layers"])


def _parameters(nodes: Sequence[Mapping[str, Any]]) -> list[str]:
    """``W (3, 4)`` for each."""
    shapes = [(n.get("name", "parameter"), n["settings"]["shape"]["tuple"]) for n in nodes if n["op"] == "parameter"]
    return [f"{name} ({', '.join(map(str, shape))})" for name, shape in shapes]


def _few(texts: Sequence[str]) -> str:
    return ", ".join(texts[:MOST]) + (" …" if len(texts) > MOST else "") or "nothing more"


def _entries(now: Sequence[Mapping[str, Any]], stored: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """The entries that differ, of the first two that do."""
    nothing: Mapping[str, Any] = {}
    pairs = zip_longest(now, stored, fillvalue=nothing)
    a, b = next((p for p in pairs if p[0] != p[1]), (nothing, nothing))
    keys = [k for k in {**b, **a} if a.get(k) != b.get(k)]
    told = ["; ".join(f"{k}: {d[k]}" for k in keys if k in d) or "other results" for d in (a, b)]
    return told[0], told[1]
