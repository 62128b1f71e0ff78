"""``chainrule figure``: one command for each figure."""

import pytest


def test_without_a_name_they_are_listed(chainrule):
    answer = chainrule("figure")
    assert answer.code == 0
    for name in ("dosage", "iris", "exp", "activations", "loss_surface", "sigmoid", "leaky_relu"):
        assert name in answer.out


@pytest.mark.parametrize(("ending", "opening"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_an_activation_with_its_derivative(chainrule, tmp_path, ending, opening):
    answer = chainrule("figure", "sigmoid", "-o", tmp_path / f"g.{ending}")
    assert (answer.code, answer.err) == (0, "")
    assert "g′(z) = σ(z) · (1 − σ(z))" in answer.out
    assert (tmp_path / f"g.{ending}").read_bytes().startswith(opening)


def test_a_figure_from_a_network(chainrule, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = chainrule("figure", "unit", "--activation", "tanh")
    assert answer.code == 0, answer.err
    assert "the bare activation" in answer.out
    assert "drawn in unit.png" in answer.out
    assert (tmp_path / "unit.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["dosag"], ["no such figure", "did you mean 'dosage'"]),
        (["relo"], ["no such figure", "did you mean 'relu'"]),
        (["exp", "--activation", "relo"], ["no such activation", "did you mean 'relu'"]),
        (["sigmoid", "-o", "g.gif"], ["another format", ".png, .svg, .pdf"]),
        (["sigmoid", "-o", "nowhere/g.png"], ["cannot be written there"]),
    ],
)
def test_what_cannot_be_drawn(chainrule, tmp_path, monkeypatch, words, parts):
    monkeypatch.chdir(tmp_path)
    answer = chainrule("figure", *words)
    assert answer.code == 2
    for part in parts:
        assert part in answer.err
    assert list(tmp_path.iterdir()) == []
