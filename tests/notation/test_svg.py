"""The picture of a graph: well-formed, complete, readable without colour, and there for any size of graph."""

import re
import xml.etree.ElementTree as ET

import pytest
from scripts import make_pictures

import chainrule as cr
from chainrule.graph.op import REGISTRY, Case
from chainrule.notation import svg

SVG = "{http://www.w3.org/2000/svg}"


def boxes(picture):
    """Label → (class, tooltip) of every box; labels seen twice keep the last."""
    root = ET.fromstring(picture)
    return {
        g.find(f"{SVG}text").text: (g.get("class"), g.find(f"{SVG}title").text)
        for g in root.iter(f"{SVG}g")
        if g.get("class") and g.find(f"{SVG}title") is not None
    }


def edges(picture):
    return picture.count('class="edge')


@pytest.fixture
def logistic():
    x, y = cr.input("x", ("m", 2)), cr.input("y", ("m", 1))
    W, b = cr.parameter("W", (2, 1)), cr.parameter("b", (1,))
    J = cr.mean(cr.binary_cross_entropy(cr.sigmoid(x @ W + b), y))
    return J, [W, b]


def test_leaves_and_results_are_told_apart_by_their_form(logistic):
    J, _ = logistic
    picture = J.svg()
    seen = boxes(picture)
    assert {seen["x"][0], seen["y"][0]} == {"input"}
    assert {seen["W"][0], seen["b"][0]} == {"parameter"}
    assert seen["σ(□)"][0] == "op"
    assert seen["1/m · □"][0] == "op result"
    assert "stroke-dasharray" not in picture.split("</style>")[1]


def test_every_use_of_a_quantity_is_an_edge():
    x = cr.input("x", ())
    # x → x², x → sin, both → +: four edges. The exponent is written in its box.
    assert edges((x**2 + cr.sin(x)).svg()) == 4


def test_the_backward_part_is_dashed_and_says_where_it_comes_from(logistic):
    J, parameters = logistic
    seen = boxes(cr.svg([J, *cr.gradient(J, parameters)]))
    role, tip = seen["□ − y"]
    assert role == "backward"
    assert "derived from" in tip


def test_a_tooltip_gives_formula_shape_gate_and_line():
    x = cr.input("x", ("m", 3))
    z = cr.tanh(x).named("z")
    tip = boxes(z.svg())["z = tanh(x)"][1]
    assert "(m, 3)" in tip
    assert "test_svg.py" in tip
    assert "gate: scale by the slope" in tip


@pytest.mark.parametrize("name", sorted(n for n, op in REGISTRY.items() if isinstance(op.cases, tuple | list)))
def test_every_op_can_be_drawn(name):
    op = REGISTRY[name]
    for case in op.cases:
        assert isinstance(case, Case)
        operands = [
            cr.input("abcdef"[i], o) if isinstance(o, tuple) and all(isinstance(s, int) for s in o) else o
            for i, o in enumerate(case.operands)
        ]
        picture = op(*operands, **case.attrs).svg()
        assert boxes(picture)


def test_signs_of_markup_are_escaped():
    x = cr.input("x<&>", ())
    assert "x<&>" in boxes((x < 1).svg())


def test_a_large_network_is_folded_by_layers():
    x = cr.input("x", ("m", 4))
    h = x
    for _ in range(60):
        h = cr.Dense(4, "tanh")(h)
    seen = boxes(h.svg())
    assert len(seen) == 61
    assert "Dense 60" in seen


def test_a_layer_called_twice_is_folded_into_two_boxes_without_a_circle():
    x = cr.input("x", ("m", 4))
    shared, between = cr.Dense(4, "tanh", name="shared"), cr.Dense(4, name="between")
    picture = svg(shared(between(shared(x))), limit=3)
    root = ET.fromstring(picture)
    labels = [g.find(f"{SVG}text").text for g in root.iter(f"{SVG}g") if g.find(f"{SVG}title") is not None]
    assert sorted(labels) == ["between", "shared", "shared", "x"]


def test_a_chain_of_ten_thousand_nodes_is_one_box_or_all_of_them():
    x = z = cr.input("x", ())
    for _ in range(10_000):
        z = cr.sin(z)
    assert list(boxes(z.svg())) == ["x", "10,000 nodes"]
    assert edges(svg(z, limit=20_000)) == 10_000
    assert x.svg()


def test_text_stays_inside_its_box(logistic):
    # Judged with the widths of a real font, which the picture itself does not have.
    textpath = pytest.importorskip("matplotlib.textpath")
    font = pytest.importorskip("matplotlib.font_manager").FontProperties(size=14)
    J, parameters = logistic
    root = ET.fromstring(cr.svg([J, *cr.gradient(J, parameters)]))
    for g in root.iter(f"{SVG}g"):
        rect = g.find(f"{SVG}rect")
        if rect is not None and (text := g.find(f"{SVG}text")) is not None:
            assert textpath.TextPath((0, 0), text.text, prop=font).get_extents().width < float(rect.get("width"))


def test_the_picture_can_be_saved_and_shown(tmp_path, logistic):
    picture = logistic[0].svg()
    assert picture._repr_svg_() == picture
    assert picture.save(tmp_path / "J.svg").read_text(encoding="utf-8") == picture


def test_the_picture_of_the_readme_is_what_its_formula_draws():
    file = make_pictures.IMAGES / "logistic.svg"
    lines = re.compile(r"made at \S+")  # line numbers may move
    assert lines.sub("", file.read_text(encoding="utf-8")) == lines.sub("", str(make_pictures.logistic()))
