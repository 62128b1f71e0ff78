"""Three derivatives on every edge of a graph, and two ways to compute a derivative.

What one learns: going backward, every node hands each of its operands ``downstream = upstream × local``. An addition
passes the upstream derivative on, a multiplication swaps its operands, a maximum lets one through, and where a
quantity is used twice its downstream derivatives are added. And: why a numerical difference is good enough to check a
derivative with. With a large step the formula is wrong, with a small one the rounding (figure).
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import chainrule as cr

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="the same: nothing here takes long")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the figure goes")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)


def difference(output, leaf, at, h):
    """The central difference (f(x + h) − f(x − h)) / 2h."""
    up, down = (cr.evaluate(output, at | {leaf: at[leaf] + step}) for step in (h, -h))
    return (up - down) / (2 * h)


def print_edges(output, at):
    """A line for every edge between quantities that have a name, from the output back to the leaves."""
    graph = [node for node in cr.Graph(output) if node.name]
    print(f"  {'edge':<8}{'upstream':>8}   {'local':>7}   {'downstream':>10}   {'local derivative':<23}gate")
    for node in reversed(graph):
        for operand in [i for i in node.inputs if i.name]:
            u, local = cr.gradient(output, node), cr.gradient(node, operand)
            up, slope = cr.evaluate([u, local], at)
            formula = f"∂{node.name}/∂{operand.name} = {local.name or local}"
            numbers = f"{up:>8.4f} × {slope:>7.4f} = {up * slope:>10.4f}"
            print(f"  {node.name} ← {operand.name:<4}{numbers}   {formula:<23}{node.op.gate}")
    print("  all paths to a leaf together, beside the central difference:")
    for leaf in [node for node in graph if not node.inputs]:
        total = cr.gradient(output, leaf)
        value, numerical = cr.evaluate(total, at), difference(output, leaf, at, h=1e-5)
        print(f"  ∂{output.name}/∂{leaf.name} {value:9.5f} {numerical:9.5f}   {total}")


print("Four gates: f = (x + y) · max(y, z) at x = 1, y = 2, z = 0; y is used twice")
x, y, z = (cr.input(name, ()) for name in "xyz")
q = (x + y).named("q")
r = cr.maximum(y, z).named("r")
f = (q * r).named("f")
print_edges(f, {x: 1.0, y: 2.0, z: 0.0})

print("\nA neuron and its loss: L = (σ(w x + b) − t)² at w = 2, x = −1, b = 0.5, label t = 1")
w, b, t = cr.parameter("w", ()), cr.parameter("b", ()), cr.input("t", ())
u = (w * x).named("u")
v = (u + b).named("v")
a = cr.sigmoid(v).named("a")
e = (a - t).named("e")
L = (e**2).named("L")
neuron = {w: 2.0, x: -1.0, b: 0.5, t: 1.0}
print_edges(L, neuron)

p = 3 * x**2 + 2 * x + 1
print(f"\nA polynomial: p = {p}")
print(f"  symbolic    dp/dx = {cr.gradient(p, x)}, at x = 1: {cr.evaluate(cr.gradient(p, x), {x: 1.0})}")
print(f"  numerical   with h = 0.001, at x = 1: {difference(p, x, {x: 1.0}, 0.001):.12f}")

steps = np.logspace(-13, 0, 53)
exact = float(cr.evaluate(cr.gradient(L, w), neuron))
here = float(cr.evaluate(L, neuron))
central = [abs(difference(L, w, neuron, h) - exact) for h in steps]
forward = [abs((cr.evaluate(L, neuron | {w: neuron[w] + h}) - here) / h - exact) for h in steps]
best = steps[np.argmin(central)]
digits = -np.log10(min(central) / abs(exact))
print(f"\n∂L/∂w of the neuron is {exact:.12f} by the derived formula; a central difference agrees in at most")
print(f"{digits:.0f} digits, with a step of {best:.0e}")

figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
axes.loglog(steps, forward, "o--", color="#d55e00", markersize=4, label="forward: (L(w + h) − L(w)) / h")
axes.loglog(steps, central, "s-", color="#0072b2", markersize=4, label="central: (L(w + h) − L(w − h)) / 2h")
axes.text(1e-12, 1e-3, "rounding, ∝ 1/h")
axes.text(1e-4, 1e-4, "∝ h", ha="right")
axes.text(3e-2, 1e-6, "∝ h²")
axes.set(xlabel="step h", ylabel="error of the numerical ∂L/∂w")
axes.set_title("Numerical differences: too large a step, too small a step", loc="left", fontsize="medium")
axes.legend(frameon=False, loc="lower left", fontsize="small")
figure.savefig(options.out / "three_derivatives.png", dpi=150)
