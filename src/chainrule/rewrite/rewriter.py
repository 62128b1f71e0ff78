"""Graph → graph: apply named rules until none fires, sharing equal nodes on the way, and log every step.

A rule takes one node, whose operands are already in normal form, and returns an equal one that is stabler,
simpler or faster, or None. It never changes a value; each rule carries an example that the tests evaluate
before and after on random numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from chainrule.graph.body import EVERY, Body, has_body
from chainrule.graph.node import Node, Origin, Scope, ancestors, deriving
from chainrule.graph.op import is_float
from chainrule.ops import broadcast_to, cast

Apply = Callable[[Node], Node | None]


@dataclass(frozen=True)
class Rule:
    """A named law and the function that applies it to a node of one of the ``ops``."""

    name: str
    law: str
    reason: str
    ops: tuple[str, ...]
    apply: Apply
    example: Callable[[], Node]


RULES: dict[str, Rule] = {}
"""Every rule by name, in the order in which they are tried."""


def rule(name: str, law: str, reason: str, ops: str, example: Callable[[], Node]) -> Callable[[Apply], Apply]:
    """Enter a rule; ``reason`` is stability, simplicity or speed; ``ops`` names the ops it looks at."""

    def enter(apply: Apply) -> Apply:
        RULES[name] = Rule(name, law, reason, tuple(ops.split()), apply, example)
        return apply

    return enter


@dataclass(frozen=True)
class Step:
    """One application of a rule: what was rewritten, into what."""

    rule: Rule
    before: Node
    after: Node

    def __str__(self) -> str:
        return f"{self.rule.name}: {self.before}  →  {self.after}   ({self.rule.reason}: {self.rule.law})"


@dataclass
class Rewriting:
    """The rewritten outputs, and the log of what was done."""

    outputs: tuple[Node, ...]
    log: list[Step] = field(default_factory=list)

    def because(self, reason: str) -> list[Step]:
        """The steps taken for a reason: stability, simplicity or speed; each law and place once."""
        seen: dict[str, Step] = {}
        for step in self.log:
            if step.rule.reason == reason:
                seen.setdefault(str(step), step)
        return list(seen.values())

    def summary(self) -> str:
        """How often each rule was applied, a line each."""
        counts = Counter(step.rule.name for step in self.log)
        return "\n".join(f"{n:4d} × {name}: {RULES[name].law}" for name, n in counts.most_common())

    def __str__(self) -> str:
        return "\n".join(str(step) for step in self.log) or "nothing to rewrite"


class Rewriter:
    """Brings nodes into normal form under some rules, by their reasons or names. Equal nodes become one node."""

    def __init__(self, reasons: Iterable[str] | None = None, names: Iterable[str] | None = None) -> None:
        reasons, names = (None if wanted is None else tuple(wanted) for wanted in (reasons, names))
        chosen = [
            r for r in RULES.values() if (reasons is None or r.reason in reasons) and (names is None or r.name in names)
        ]
        self.by_op: dict[str, list[Rule]] = {}
        for r in chosen:
            for op in r.ops:
                self.by_op.setdefault(op, []).append(r)
        self.normal: dict[Node, Node] = {}
        self.interned: dict[Any, Node] = {}
        self.bodies: dict[Body, tuple[Body, Body]] = {}
        self.log: list[Step] = []
        self.depth = 0

    def __call__(self, outputs: Sequence[Node]) -> Rewriting:
        """The outputs in normal form; names of quantities are kept."""
        new = [self.normal_form(n) for n in outputs]
        return Rewriting(self._with_names(outputs, new), self.log)

    def normal_form(self, root: Node) -> Node:
        """The normal form of one node and of everything that it needs."""
        stack = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if node in self.normal:
                continue
            if not ready:
                stack.append((node, True))
                # Left to right: of equal constants the network's own stays, so that its quantities stay themselves.
                stack.extend((i, False) for i in reversed(node.inputs) if i not in self.normal)
                continue
            candidate = node.rebuilt(tuple(self.normal[i] for i in node.inputs))
            candidate = self._intern(self._with_body(candidate) if has_body(node) else candidate)
            if candidate not in self.normal:
                result = self._apply(candidate)
                self.normal[candidate] = self.normal[result] = result
            self.normal[node] = self.normal[candidate]
        return self.normal[root]

    def name(self, node: Node, name: str, scope: Scope | None = None) -> Node:
        """Give a node in normal form a name, by which all that is rewritten from now on refers to it."""
        named = node.named(name, scope)
        self.interned[structure(node)] = self.normal[node] = self.normal[named] = named
        return named

    def _apply(self, node: Node) -> Node:
        if self.depth > 60:  # rules shrink what they touch; this only stops a faulty pair that undoes each other
            return node
        for r in self.by_op.get(node.op.name, ()):
            with deriving(node.origin or Origin(node, r.name, "rewritten")):
                after = r.apply(node)
            if after is None or after is node:
                continue
            after = like(after, node)
            if node.name and after.name is None and after.inputs and after not in self.normal:
                after = after.named(node.name, node.scope)
            self.log.append(Step(r, node, after))
            self.depth += 1
            try:
                return self.normal_form(after)
            finally:
                self.depth -= 1
        return node

    def _with_body(self, node: Node) -> Node:
        """The node with its body in normal form, in which what is not used is not read either."""
        kind, place = node.attrs["result"]
        if node.attrs["body"] not in self.bodies:
            self._enter(node.attrs["body"])
        body, new = self.bodies[node.attrs["body"]]  # of equal bodies the first that was met
        if kind == EVERY:
            quantity = self.normal_form(body.nodes[place])
            if quantity not in new.number:  # nobody has asked for it before: it gets a body of its own
                new = replace(new, results=(*new.results, quantity))
            place = new.number[quantity]
        read = tuple(i for h, i in zip(body.holes, node.inputs, strict=True) if h in new.number)
        attrs = {**node.attrs, "body": new, "result": (kind, place)}
        return Node(node.op, read, attrs, node.shape, node.dtype, node.name, node.scope, node.source, node.origin)

    def _enter(self, body: Body) -> None:
        new = self._body(body)
        self.bodies[body] = body, new
        self.bodies.setdefault(new, (new, new))

    def _body(self, body: Body) -> Body:
        roots = (*body.new, *body.results)
        new = self._with_names(roots, [self.normal_form(n) for n in roots])
        for n in ancestors(*new):  # names have made new nodes of some
            self.normal[n] = n
            self.interned[structure(n)] = n
        after, results = new[: len(body.new)], tuple(dict.fromkeys(new[len(body.new) :]))
        used = {*after, *results, *(i for n in ancestors(*new) for i in n.inputs)}
        return replace(
            body,
            slices=tuple(h for h in body.slices if h in used),
            constants=tuple(h for h in body.constants if h in used),
            new=after,
            results=results,
        )

    def _intern(self, node: Node) -> Node:
        return self.interned.setdefault(structure(node), node)

    def _with_names(self, outputs: Sequence[Node], new: Sequence[Node]) -> tuple[Node, ...]:
        """Give the new nodes the names that the old ones, equal in value, had."""
        names: dict[Node, Node] = {}
        for old in ancestors(*outputs):
            now = self.normal.get(old)
            if old.name and now is not None and now.name is None and now.op.name not in ("constant", "size"):
                names.setdefault(now, old)
        table = {now: (str(old.name), old.scope) for now, old in names.items()}
        return renamed(new, table, self.normal)


def renamed(
    outputs: Sequence[Node],
    names: Mapping[Node, tuple[str, Scope | None]],
    track: dict[Node, Node] | None = None,
) -> tuple[Node, ...]:
    """The same graph with names for some of its nodes; ``track`` is a table of nodes to bring up to date."""
    if not names:
        return tuple(outputs)
    fresh: dict[Node, Node] = {}
    for node in ancestors(*outputs):
        fresh[node] = node.rebuilt(tuple(fresh[i] for i in node.inputs))
        if node in names:
            fresh[node] = fresh[node].named(*names[node])
    if track is not None:
        track.update({old: fresh.get(now, now) for old, now in track.items()})
    return tuple(fresh[n] for n in outputs)


def structure(node: Node) -> Any:
    """What makes two nodes equal: op, operands and settings; a leaf equals itself alone."""
    if not node.inputs:
        if node.op.name == "constant":
            value: np.ndarray[Any, Any] = node.attrs["value"]
            if value.size > 256:
                return node
            return ("constant", node.name, node.dtype, value.dtype.str, value.shape, value.tobytes())
        if node.op.name in ("size", "eye", "arange"):
            return (node.op.name, node.attrs["size"], node.name)
        return node
    return (node.op.name, tuple(map(id, node.inputs)), tuple(sorted(node.attrs.items())))


def like(node: Node, pattern: Node) -> Node:
    """The node in the shape and kind of number of the one that it replaces."""
    if node.dtype != pattern.dtype and is_float(pattern.dtype):
        node = cast(node, pattern.dtype)
    return node if node.shape == pattern.shape else broadcast_to(node, pattern.shape)


def rewrite(outputs: Sequence[Node], reasons: Iterable[str] | None = None) -> Rewriting:
    """Rewrite outputs by all rules, or by those for some reasons: stability, simplicity, speed."""
    return Rewriter(reasons)(outputs)
