"""The layered drawing on graphs of every kind: nothing overlaps, nothing runs backwards."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.notation.layout import layered


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 25))
    sizes = draw(st.lists(st.tuples(st.floats(10, 90), st.floats(10, 40)), min_size=count, max_size=count))
    pairs = list(combinations(range(count), 2))
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=40)) if pairs else []
    return sizes, edges


def box(centre, size):
    return centre[0] - size[0] / 2, centre[1] - size[1] / 2, centre[0] + size[0] / 2, centre[1] + size[1] / 2


@given(graphs())
def test_boxes_do_not_touch_and_edges_run_to_the_right(graph):
    sizes, edges = graph
    layout = layered(sizes, edges)
    boxes = [box(c, s) for c, s in zip(layout.centres, sizes, strict=True)]
    for a, b in combinations(boxes, 2):
        assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]
    for left, top, right, bottom in boxes:
        assert -0.1 <= left <= right <= layout.width + 0.1
        assert -0.1 <= top <= bottom <= layout.height + 0.1
    for (a, b), route in zip(edges, layout.routes, strict=True):
        assert route[0][0] == pytest.approx(boxes[a][2])
        assert route[-1][0] == pytest.approx(boxes[b][0])
        assert all(p[0] <= q[0] + 1e-9 for p, q in pairwise(route))


@given(graphs())
def test_an_edge_passes_between_the_boxes_on_its_way(graph):
    sizes, edges = graph
    layout = layered(sizes, edges)
    boxes = [box(c, s) for c, s in zip(layout.centres, sizes, strict=True)]
    for (a, b), route in zip(edges, layout.routes, strict=True):
        for x, y in route[1:-1]:
            assert not any(
                left < x < right and top < y < bottom
                for k, (left, top, right, bottom) in enumerate(boxes)
                if k not in (a, b)
            )


def test_crossed_pairs_are_uncrossed():
    # Two sources each feed the sink that was named in the other order.
    layout = layered([(10, 10)] * 4, [(0, 3), (1, 2)])
    (_, y0), (_, y1), (_, y2), (_, y3) = layout.centres
    assert (y0 < y1) == (y3 < y2)


def test_a_source_stands_next_to_its_first_use():
    chain = [(i, i + 1) for i in range(5)]
    layout = layered([(10, 10)] * 7, [*[(a + 1, b + 1) for a, b in chain], (0, 6)])
    assert layout.centres[0][0] == layout.centres[5][0]


def test_an_empty_drawing_has_no_size():
    layout = layered([], [])
    assert (layout.width, layout.height) == (0.0, 0.0)
