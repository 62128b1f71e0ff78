"""The graph of a formula as an SVG picture, drawn from left to right without any other program.

What a box is shows in its form and in its colour: inputs are pills, parameters have a heavy frame, results
of ops are rounded boxes, parts of the backward pass are dashed. Each box says how it comes from its
operands, those without a name as a square; a tooltip says the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from heapq import heappop, heappush
from html import escape
from itertools import groupby
from pathlib import Path

from chainrule.graph.body import has_body
from chainrule.graph.dim import show
from chainrule.graph.graph import Graph
from chainrule.graph.node import Node, Scope, describe
from chainrule.notation.layout import layered
from chainrule.notation.text import Names, Symbol, columns, repeats, unique_names, write

LIMIT = 150
"""A graph of more nodes is folded: one box for each layer, then one for each unnamed part."""
SQUARE = "□"
"""What stands for an operand without a name."""
MOST_FOLDED = 80
"""Of more boxes of layers, those in the middle become one: their first and their last stand on it."""
LONGEST = 28
"""A label of more characters is cut."""

MARGIN, PADDING, LINE, CHARACTER, SMALL, NOTE, NOTE_SPACE = 16.0, 12.0, 17.0, 8.2, 6.6, 7.0, 32.0

_STYLE = """
text{font:14px ui-sans-serif,system-ui,'Segoe UI','DejaVu Sans',sans-serif;fill:#1f2937;text-anchor:middle}
text.shape{font-size:11px;fill:#6b7280}text.key{text-anchor:start;font-size:12px}
.box{fill:#f8fafc;stroke:#64748b;stroke-width:1.2}.input .box{fill:#dbeafe;stroke:#1d4ed8}
.parameter .box{fill:#fef3c7;stroke:#b45309;stroke-width:3}.state .box{fill:#ede9fe;stroke:#6d28d9;stroke-width:3}
.backward .box{fill:#fff1f2;stroke:#be123c;stroke-dasharray:5 3}.result .box{stroke-width:2.4;stroke:#0f172a}
.edge{fill:none;stroke:#94a3b8;stroke-width:1.4}.edge.backward{stroke:#be123c;stroke-dasharray:5 3}
"""
_NOTE_STYLE = "text.above,text.under{font-size:12px}text.above{fill:#1d4ed8}text.under{fill:#be123c}.back{fill:#fff}\n"

Notes = Callable[[Node, Sequence[Node]], tuple[str, str]]
"""What stands above and below the edge from an operand to its users, and (without users) of an output at its box."""


class Picture(str):
    """The text of an SVG picture; a notebook shows the picture."""

    def _repr_svg_(self) -> str:
        return str(self)

    def save(self, path: str | Path) -> Path:
        """Write the picture to a file, which browsers and drawing programs open."""
        path = Path(path)
        path.write_text(self, encoding="utf-8")
        return path


@dataclass
class Box:
    """What is drawn as one: a node, or the nodes of a folded part, the last of which is its result."""

    nodes: list[Node]
    role: str
    label: str = ""
    below: str = ""
    tips: list[str] = field(default_factory=list)
    noted: tuple[str, str] = ("", "")

    @property
    def size(self) -> tuple[float, float]:
        """Width and height that the label needs."""
        width = max(CHARACTER * columns(self.label), SMALL * columns(self.below))
        return max(width + 2 * PADDING, 36.0), LINE * (1 + bool(self.below)) + PADDING


def svg(
    outputs: Node | Iterable[Node],
    limit: int = LIMIT,
    *,
    names: Names | None = None,
    notes: Notes | None = None,
    opened: Collection[Node] = (),
) -> Picture:
    """The graph of one or several nodes as an SVG picture.

    Numbers and sizes are written into the boxes that use them. A graph of more than ``limit`` nodes is
    folded by layers, and of many layers those in the middle together; the nodes in ``opened`` keep a box of their
    own. ``names`` are the symbols of nodes, and ``notes`` gives what is written above and below each edge.
    """
    graph = Graph(outputs)
    names = unique_names(graph.nodes) if names is None else names
    written_in = _written_in(graph)
    drawn = [n for n in graph if n not in written_in]
    groups = _folded(drawn, graph, limit, set(opened))
    layers = {n.scope: symbol.layer for n, symbol in names.items() if n.scope and symbol.layer}
    boxes = [
        _box(nodes[0], graph, names, written_in) if len(nodes) == 1 else _folded_box(nodes, graph, layers)
        for nodes in groups
    ]
    box_of = {n: k for k, nodes in enumerate(groups) for n in nodes}
    edges: dict[tuple[int, int], dict[Node, list[Node]]] = {}
    for n in drawn:
        for operand in dict.fromkeys(n.inputs):
            if operand not in written_in and box_of[operand] != box_of[n]:
                edges.setdefault((box_of[operand], box_of[n]), {}).setdefault(operand, []).append(n)
    for output in graph.outputs if notes else ():
        boxes[box_of[output]].noted = notes(output, ())  # type: ignore[misc]
    ordered = {ends: _note(edges[ends], notes) for ends in sorted(edges)}
    return Picture(_draw(boxes, ordered, " and ".join(_title(n, names) for n in graph.outputs[:3])))


def _note(flows: Mapping[Node, Sequence[Node]], notes: Notes | None) -> tuple[str, str]:
    """What stands at an edge between two boxes; between folded ones several quantities may go the same way."""
    if notes is None:
        return "", ""
    if len(flows) > 1:
        return f"{len(flows)} quantities", ""
    ((operand, users),) = flows.items()
    return notes(operand, users)


def _written_in(graph: Graph) -> set[Node]:
    """Numbers, sizes, and what is computed of them alone: they stand in the formulas of their users."""
    out: set[Node] = set()
    for node in graph:
        plain = node.op.name in ("constant", "size") if not node.inputs else all(i in out for i in node.inputs)
        if plain and not node.name and not node.shape and node not in graph.outputs:
            out.add(node)
    return out


# --- which nodes share a box ------------------------------------------------------------------------


def _folded(nodes: list[Node], graph: Graph, limit: int, opened: set[Node]) -> list[list[Node]]:
    """The nodes of each box, in an order in which the boxes can be computed."""
    key: dict[Node, object] = {n: n for n in nodes}
    if len(nodes) <= limit:
        return _groups(nodes, key)
    key = _by_layer(nodes, graph) | {n: n for n in nodes if n in opened}
    groups = _groups(nodes, key)
    if len(groups) > limit:
        key = _by_use(groups, graph, key, opened)
        groups = _groups(nodes, key)
    if len(groups) > MOST_FOLDED:
        groups = _groups(nodes, _by_span(nodes, groups, key, opened))
    return groups


def _groups(nodes: list[Node], key: dict[Node, object]) -> list[list[Node]]:
    """The nodes of one key together, groups in the order of the computation."""
    groups: dict[object, list[Node]] = {}
    order: TopologicalSorter[object] = TopologicalSorter()
    for node in nodes:
        groups.setdefault(key[node], []).append(node)
        order.add(key[node], *(key[i] for i in node.inputs if i in key and key[i] != key[node]))
    return [groups[k] for k in order.static_order()]


def _by_layer(nodes: list[Node], graph: Graph) -> dict[Node, object]:
    """One key for what a layer computes in one go.

    A layer that is called twice gives two boxes: the key counts how often the way to a node has changed
    the layer. Along an edge between two boxes that count rises, so that the boxes form no circle.
    """
    changes: dict[Node, int] = {}
    for node in nodes:
        changes[node] = max((changes[i] + (_layer(i) != _layer(node)) for i in node.inputs if i in changes), default=0)
    for node in nodes:
        if not node.inputs:
            own = [changes[user] for user in graph.consumers[node] if _layer(user) == _layer(node)]
            changes[node] = min(own, default=0)
    return {n: (*layer, changes[n]) if (layer := _layer(n)) else n for n in nodes}


def _layer(node: Node) -> tuple[Scope, bool] | None:
    """The layer of a node, and whether it belongs to its backward part."""
    forward = node.origin.forward if node.origin else node
    scope = node.scope or forward.scope
    return (scope, node.origin is not None) if scope else None


def _by_span(
    nodes: list[Node], groups: list[list[Node]], key: dict[Node, object], opened: set[Node]
) -> dict[Node, object]:
    """One key for neighbouring boxes that are neither near the ends nor near what was opened.

    Neighbours stand side by side in an order in which the boxes can be computed, so that what is joined is a
    stretch of it, and the boxes form no circle.
    """
    place = {n: k for k, n in enumerate(nodes)}
    order: TopologicalSorter[object] = TopologicalSorter()
    for n in nodes:
        order.add(key[n], *(key[i] for i in n.inputs if i in key and key[i] != key[n]))
    last = {key[group[-1]]: max(place[n] for n in group) for group in groups}
    order.prepare()
    ready: list[tuple[int, int]] = []
    found: list[object] = []
    kinds = {last[k]: k for k in last}
    while order.is_active():
        for k in order.get_ready():
            heappush(ready, (last[k], last[k]))
        found.append(kinds[heappop(ready)[1]])
        order.done(found[-1])
    shown = {key[n] for n in opened}
    near = {j for i, k in enumerate(found) if k in shown for j in range(i - 2, i + 3)}
    near |= {*range(4), *range(len(found) - 4, len(found))}
    joined: dict[object, object] = {}
    for apart, span in groupby(enumerate(found), key=lambda pair: pair[0] in near):
        keys = [k for _, k in span]
        joined |= {k: k if apart else keys[0] for k in keys}
    return {n: joined[key[n]] for n in nodes}


def _by_use(groups: list[list[Node]], graph: Graph, key: dict[Node, object], opened: set[Node]) -> dict[Node, object]:
    """What is unnamed and used by one box alone joins that box."""
    joined = dict(key)
    for group in reversed(groups):
        users = {joined[u] for n in group for u in graph.consumers[n] if key[u] != key[n]}
        stays = any(n.name or not n.inputs or n in graph.outputs or n in opened for n in group)
        stays = stays or any(k in opened for k in users)
        if len(users) == 1 and not stays:
            joined.update(dict.fromkeys(group, users.pop()))
    return joined


# --- what a box says ----------------------------------------------------------------------------------


def _box(node: Node, graph: Graph, names: Names, written_in: set[Node]) -> Box:
    formula = _formula(node, names, written_in)
    named = f"{names[node].text} = {formula}" if node in names and node.inputs else formula
    tips = [named, describe(node), f"gate: {node.op.gate}"]
    if node.origin is not None:
        forward = node.origin.forward
        tips.append(f"derived from {_title(forward, names)}: {node.origin.part}")
    return Box([node], _role(node, graph), _cut(named), _shape(node), tips)


def _folded_box(nodes: list[Node], graph: Graph, layers: dict[Scope, str]) -> Box:
    result = nodes[-1]
    of = list(dict.fromkeys(layer for n in nodes if n.inputs and (layer := _layer(n))))
    titles = [("∂ " if backward else "") + (s.name or f"{s.kind} {layers.get(s, '')}".strip()) for s, backward in of]
    label = f"{len(nodes):,} nodes" if not of else titles[0] if len(of) == 1 else f"{titles[0]} … {titles[-1]}"
    return Box(
        nodes, _role(result, graph), label, _shape(result), [f"{len(nodes):,} nodes, the last: {describe(result)}"]
    )


def _role(node: Node, graph: Graph) -> str:
    role = node.op.name if node.op.name in ("input", "parameter", "state") else "backward" if node.origin else "op"
    return f"{role} result" if node in graph.outputs else role


def _shape(node: Node) -> str:
    return show(node.shape) if node.shape else ""


def _formula(node: Node, names: Names, written_in: set[Node]) -> str:
    """How a node comes from its operands, those without a name as an empty square."""
    if has_body(node):
        return repeats(node, names)
    known = {i: names.get(i, Symbol(SQUARE)) for i in (node, *node.inputs) if i not in written_in}
    (text,), _ = write([node], names=known)
    return _title(node, {}) if text == SQUARE else text


def _title(node: Node, names: Names) -> str:
    return names[node].text if node in names else node.op.name.replace("_", " ")


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


# --- how it is drawn ----------------------------------------------------------------------------------

_KEYS = {
    "input": "input",
    "parameter": "parameter",
    "state": "state",
    "op": "computed",
    "backward": "backward",
    "folded": "several nodes",
}
_NOTE_KEYS = {"above": "above: value", "under": "∂ below: what flows back"}


def _draw(boxes: list[Box], edges: dict[tuple[int, int], tuple[str, str]], title: str) -> str:
    widths = [NOTE * max(map(columns, notes)) for notes in edges.values()]
    layout = layered([b.size for b in boxes], list(edges), widths)
    roles = [r for r in _KEYS if any(r in b.role.split() or (r == "folded" and len(b.nodes) > 1) for b in boxes)]
    noted = any(map(any, edges.values()))
    key, key_width = _key(roles, layout.height + 2 * MARGIN, noted)
    width = max(layout.width, key_width) + 2 * MARGIN
    height = layout.height + 2 * MARGIN + 28
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(f"Graph of {title}")}">',
        f"<title>{escape(f'Graph of {title}')}</title><style>{_STYLE}{_NOTE_STYLE if noted else ''}</style>",
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0,0.5 8,4 0,7.5z" fill="#64748b"/></marker></defs>',
        '<rect width="100%" height="100%" rx="8" fill="#ffffff"/>',
        f'<g transform="translate({MARGIN:.0f},{MARGIN:.0f})">',
    ]
    for (_, target), route in zip(edges, layout.routes, strict=True):
        backward = " backward" if "backward" in boxes[target].role else ""
        parts.append(f'<path class="edge{backward}" marker-end="url(#arrow)" d="{_curve(route)}"/>')
    for notes, (x, y) in zip(edges.values(), _places(list(edges.values()), layout.routes), strict=True):
        parts += _noted(*notes, x, y)
    for box, (x, y) in zip(boxes, layout.centres, strict=True):
        parts += [_drawn(box, x, y), *_noted(*box.noted, x, y + box.size[1] / 2 + LINE)]
    return "\n".join([*parts, "</g>", key, "</svg>"])


def _drawn(box: Box, x: float, y: float) -> str:
    width, height = box.size
    text = y + (-1.5 if box.below else 5)
    below = f'<text class="shape" x="{x:.1f}" y="{text + LINE - 1:.1f}">{escape(box.below)}</text>' if box.below else ""
    return (
        f'<g class="{box.role}"><title>{escape(chr(10).join(box.tips))}</title>'
        + _outline(box.role, x, y, width, height, len(box.nodes) > 1)
        + f'<text x="{x:.1f}" y="{text:.1f}">{escape(box.label)}</text>{below}</g>'
    )


def _outline(role: str, x: float, y: float, width: float, height: float, folded: bool) -> str:
    radius = height / 2 if role.startswith("input") else 1.0 if role.startswith(("parameter", "state")) else 7.0

    def rectangle(shift: float) -> str:
        return (
            f'<rect class="box" x="{x - width / 2 + shift:.1f}" y="{y - height / 2 - shift:.1f}" '
            f'width="{width:.1f}" height="{height:.1f}" rx="{radius:.1f}"/>'
        )

    return (rectangle(4) if folded else "") + rectangle(0)


def _noted(above: str, below: str, x: float, y: float) -> list[str]:
    """Two lines of text around a point, on white, so that an edge under them does not strike them out."""
    out = []
    for word, role, at in ((above, "above", y - 4), (below, "under", y + 13)):
        if word:
            width = NOTE * columns(word)
            place = f'x="{x - width / 2:.1f}" y="{at - 11:.1f}"'
            out.append(f'<rect class="back" {place} width="{width:.1f}" height="14"/>')
            out.append(f'<text class="{role}" x="{x:.1f}" y="{at:.1f}">{escape(word)}</text>')
    return out


def _places(notes: Sequence[tuple[str, str]], routes: Sequence[list[tuple[float, float]]]) -> list[tuple[float, float]]:
    """Where the notes stand: on the first stretch of their edges, where they cover boxes and each other least."""
    taken: list[tuple[float, float, float]] = []

    def covered(place: tuple[float, float], wide: float, from_box: float) -> float:
        x, y = place
        others = (
            max(0.0, (wide + w) / 2 - abs(x - u)) * max(0.0, NOTE_SPACE - abs(y - v))
            for u, v, w in taken
            if abs(x - u) < wide + w
        )
        return sum(others) + NOTE_SPACE * max(0.0, from_box + wide / 2 + 6 - x)

    for (above, below), route in zip(notes, routes, strict=True):
        wide = NOTE * max(columns(above), columns(below))
        places = [_on_the_way(route, t) for t in (0.4, 0.5, 0.3, 0.6, 0.7)]
        x, y = min(places, key=lambda place: covered(place, wide, route[0][0]))
        taken.append((x, y, wide))
    return [(x, y) for x, y, _ in taken]


def _on_the_way(route: list[tuple[float, float]], t: float) -> tuple[float, float]:
    """A point on the first stretch of a route."""
    (x, y), (u, v), *_ = route
    return x + (u - x) * (1.5 * t * (1 - t) + t**3), y + (v - y) * (3 * t**2 - 2 * t**3)


def _curve(route: list[tuple[float, float]]) -> str:
    """A smooth way through the points: level at each of them."""
    (x, y), *rest = route
    path = f"M{x:.1f},{y:.1f}"
    for u, v in rest:
        bend = (u - x) / 2
        path += f"H{u:.1f}" if v == y else f"C{x + bend:.1f},{y:.1f} {u - bend:.1f},{v:.1f} {u:.1f},{v:.1f}"
        x, y = u, v
    return path


def _key(roles: list[str], y: float, noted: bool) -> tuple[str, float]:
    """What the forms mean, under the picture, and what stands at the edges."""
    parts, x = [], MARGIN
    for role in roles:
        label = _KEYS[role]
        parts.append(f'<g class="{role}">{_outline(role, x + 12, y, 24, 14, role == "folded")}</g>')
        parts.append(f'<text class="key" x="{x + 30:.1f}" y="{y + 4:.1f}">{label}</text>')
        x += 48 + 7 * len(label)
    for role, label in _NOTE_KEYS.items() if noted else ():
        parts.append(f'<text class="key {role}" x="{x:.1f}" y="{y + 4:.1f}">{label}</text>')
        x += 24 + 6.6 * len(label)
    return "".join(parts), x - MARGIN
