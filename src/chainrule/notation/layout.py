"""Where the boxes of a picture stand: a layered drawing from left to right, after Sugiyama.

Every box goes into the column behind its last operand; boxes of a column are ordered so that few edges
cross; then each is moved to the height of its neighbours as far as the others in its column leave room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

COLUMN_GAP, ROW_GAP, LANE = 44.0, 16.0, 10.0
"""Between two columns, between two boxes of a column, and the height that a passing edge takes."""
NOTE_HEIGHT = 28.0
"""More room around a box where something is written at the edges."""
SWEEPS = 12
MOST_LANES = 4000
"""A drawing that would need more lanes for its long edges draws those as plain curves."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """Centres of the boxes, the points each edge goes through, and the size of the whole."""

    centres: list[Point]
    routes: list[list[Point]]
    width: float
    height: float


def layered(
    sizes: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]], notes: Sequence[float] = ()
) -> Layout:
    """Place boxes of these (width, height), numbered so that every edge goes from a lower to a higher number.

    ``notes`` says how wide is what will be written at the beginning of each edge.

    >>> layered([(10, 10), (10, 10), (10, 10)], [(0, 2), (1, 2)]).centres
    [(5.0, 5.0), (5.0, 31.0), (59.0, 18.0)]
    """
    columns = _columns(len(sizes), edges)
    heights = [h + (NOTE_HEIGHT if any(notes) else 0.0) for _, h in sizes]
    chains: list[list[int]] = []
    lanes = sum(columns[b] - columns[a] - 1 for a, b in edges)
    for a, b in edges:  # an edge over several columns gets a lane through each of those between
        between = range(columns[a] + 1, columns[b] if lanes <= MOST_LANES else 0)
        chain = [a, *range(len(heights), len(heights) + len(between)), b]
        columns += between
        heights += [LANE] * len(between)
        chains.append(chain)
    links = [pair for chain in chains for pair in pairwise(chain)]
    order = _ordered(columns, links)
    y = _heights(order, heights, columns, links)

    widths = [max((sizes[i][0] for i in column if i < len(sizes)), default=0.0) for column in order]
    gaps = [COLUMN_GAP] * len(order)
    for (a, _), wide in zip(edges, notes, strict=False):
        gaps[columns[a]] = max(gaps[columns[a]], COLUMN_GAP + wide)
    x, left = [], 0.0
    for width, gap in zip(widths, gaps, strict=True):
        x.append(left + width / 2)
        left += width + gap
    points = [(x[columns[i]], y[i]) for i in range(len(heights))]

    def route(chain: Sequence[int]) -> list[Point]:
        a, b = chain[0], chain[-1]
        start = (points[a][0] + sizes[a][0] / 2, points[a][1])
        end = (points[b][0] - sizes[b][0] / 2, points[b][1])
        through = [(points[i][0] + side * widths[columns[i]] / 2, y[i]) for i in chain[1:-1] for side in (-1, 1)]
        return [start, *through, end]

    bottom = max((y[i] + heights[i] / 2 for i in range(len(heights))), default=0.0)
    return Layout(points[: len(sizes)], [route(c) for c in chains], max(left - gaps[-1], 0.0) if gaps else 0.0, bottom)


def _columns(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The longest way from a source; a source itself stands just before its first use."""
    column = [0] * count
    for a, b in sorted(edges, key=lambda e: e[1]):
        column[b] = max(column[b], column[a] + 1)
    fed = {b for _, b in edges}
    first: dict[int, int] = {}
    for a, b in edges:
        if a not in fed:
            first[a] = min(first.get(a, column[b]), column[b])
    for source, use in first.items():
        column[source] = use - 1
    return column


def _neighbours(count: int, links: Sequence[tuple[int, int]]) -> tuple[list[list[int]], list[list[int]]]:
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    for a, b in links:
        after[a].append(b)
        before[b].append(a)
    return before, after


def _ordered(columns: Sequence[int], links: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The columns from top to bottom, by repeated barycentres; of all orders seen the one with fewest crossings."""
    order: list[list[int]] = [[] for _ in range(max(columns, default=-1) + 1)]
    for i, c in enumerate(columns):
        order[c].append(i)
    before, after = _neighbours(len(columns), links)
    best, fewest = [list(column) for column in order], _crossings(order, after)
    place = {i: k for column in order for k, i in enumerate(column)}
    for sweep in range(SWEEPS):
        if not fewest:
            break
        neighbours, step = (before, 1) if sweep % 2 == 0 else (after, -1)
        for column in order[::step]:
            centre = {i: _mean([place[j] for j in neighbours[i]], place[i]) for i in column}
            column.sort(key=centre.__getitem__)
            place.update((i, k) for k, i in enumerate(column))
        crossings = _crossings(order, after)
        if crossings < fewest:
            best, fewest = [list(column) for column in order], crossings
    return best


def _crossings(order: Sequence[Sequence[int]], after: Sequence[Sequence[int]]) -> int:
    total = 0
    for left, right in pairwise(order):
        place = {i: k for k, i in enumerate(right)}
        ends = [e for i in left for e in sorted(place[j] for j in after[i])]
        total += sum(a > b for k, a in enumerate(ends) for b in ends[k + 1 :]) if len(ends) < 400 else 0
    return total


def _heights(
    order: Sequence[Sequence[int]],
    heights: Sequence[float],
    columns: Sequence[int],
    links: Sequence[tuple[int, int]],
) -> list[float]:
    """Every box at the mean height of its neighbours, as near as the order and the gaps allow."""
    before, after = _neighbours(len(columns), links)
    y = [0.0] * len(columns)
    for column in order:
        _spread(column, heights, y, [0.0] * len(column))
    for sweep in range(SWEEPS):
        sides, step = ((before, after), 1) if sweep % 2 == 0 else ((after, before), -1)
        for column in order[::step]:
            wish = [_mean([y[j] for j in sides[0][i] or sides[1][i]], y[i]) for i in column]
            _spread(column, heights, y, wish)
    top = min((y[i] - heights[i] / 2 for i in range(len(y))), default=0.0)
    return [round(v - top, 1) for v in y]


def _spread(column: Sequence[int], heights: Sequence[float], y: list[float], wish: Sequence[float]) -> None:
    """Set y nearest to the wishes in the sense of least squares, with no two boxes closer than the gap.

    Without the offsets that the gaps ask for this is an isotonic regression: pool adjacent violators.
    """
    offsets, offset = [], 0.0
    for k, i in enumerate(column):
        offset += (heights[column[k - 1]] + heights[i]) / 2 + ROW_GAP if k else 0.0
        offsets.append(offset)
    pools: list[list[float]] = []  # sum, count
    for wanted, offset in zip(wish, offsets, strict=True):
        pools.append([wanted - offset, 1])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            total, count = pools.pop()
            pools[-1][0] += total
            pools[-1][1] += count
    settled = [total / count for total, count in pools for _ in range(int(count))]
    for i, value, offset in zip(column, settled, offsets, strict=True):
        y[i] = value + offset


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
