"""Logistic regression written as mathematics: from the formula of a cost to a trained model.

What one learns: the gradients are derived once, as formulas that one can read and check; then the same formulas are
compiled, and gradient descent is a loop of three lines. Whether a tumour is malignant is predicted from 30
measurements of its cells (569 patients, Wisconsin), and scikit-learn finds the same weights in its own way.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale

import chainrule as cr

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="fewer steps, for a quick look")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the picture of the graph goes")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)
steps = 1_000 if options.short else 2_000

# 1. Write: m examples in rows, 30 measurements of each; λ keeps the weights small.
x, y = cr.input("x", ("m", 30)), cr.input("y", ("m", 1))
W, b = cr.parameter("W", (30, 1)), cr.parameter("b", (1,))
λ = cr.constant(0.02, name="λ")

y_hat = cr.sigmoid(x @ W + b).named("ŷ")
J = cr.mean(cr.binary_cross_entropy(y_hat, y)) + λ / 2 * cr.sum(W**2)

# 2. Derive: nobody wrote these two lines down.
dW, db = cr.gradient(J, [W, b])
print("J     =", J)
print("ŷ     =", y_hat)
print("∂J/∂W =", dW)
print("∂J/∂b =", db)
print("the graph of J is drawn in", J.svg().save(options.out / "as_mathematics.svg"))

# 3. Check: the derived gradient against (J(w + h) − J(w − h)) / 2h, at random weights.
measurements, benign = load_breast_cancer(return_X_y=True)
examples, labels = scale(measurements), 1.0 - benign[:, None]
rng = np.random.default_rng(0)
at = {x: examples, y: labels, W: rng.normal(size=(30, 1)), b: rng.normal(size=1)}
print("\nsymbolic against numerical derivative, at random weights")
print(cr.check_gradient(J, [W, b], at))

# 4. Train: one program computes the cost and both gradients; gradient descent goes downhill.
step = cr.compile([J, dW, db], dtype="float64")
weights, bias, learning_rate = np.zeros((30, 1)), np.zeros(1), 0.5
print(f"\ngradient descent, α = {learning_rate}")
for t in range(steps + 1):
    cost, slope_W, slope_b = step({x: examples, y: labels, W: weights, b: bias})
    if t in (0, 1, 10, 100, steps):
        print(f"  step {t:6,}   J = {cost:.6f}   |∂J/∂W| = {np.linalg.norm(slope_W):.1e}")
    weights, bias = weights - learning_rate * slope_W, bias - learning_rate * slope_b

# 5. Compare: the same cost, minimised by scikit-learn (its C is 1/λm).
other = LogisticRegression(C=1 / (0.02 * len(examples)), tol=1e-10, max_iter=10_000).fit(examples, labels[:, 0])
off_W, off_b = np.abs(weights[:, 0] - other.coef_[0]).max(), abs(bias - other.intercept_)[0]
right = np.mean((examples @ weights + bias > 0) == labels)
print(f"\nlargest difference to scikit-learn's weights: {off_W:.1e}, to its bias: {off_b:.1e}")
print(f"right on {right:.1%} of these patients; always saying 'benign' would be right on {benign.mean():.1%}")
