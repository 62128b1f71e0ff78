"""Draw the pictures of the documentation: `python scripts/make_pictures.py`."""

from pathlib import Path

import chainrule as cr

IMAGES = Path(__file__).parent.parent / "docs" / "images"


def logistic() -> str:
    """Logistic regression: the cost and its two gradients, as the README writes them."""
    x, y = cr.input("x", ("m", 2)), cr.input("y", ("m", 1))
    W, b = cr.parameter("W", (2, 1)), cr.parameter("b", (1,))
    J = cr.mean(cr.binary_cross_entropy(cr.sigmoid(x @ W + b), y))
    return cr.svg([J, *cr.gradient(J, [W, b])])


if __name__ == "__main__":
    (IMAGES / "logistic.svg").write_text(logistic(), encoding="utf-8")
