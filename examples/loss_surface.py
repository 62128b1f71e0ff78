"""The cost of a network as a surface, and the ways of four optimizers over it.

What one learns: J is a function of all the weights, and a picture shows it over a plane of only two directions. Over
the two directions in which the paths move most, most of each way lies in the picture; over two random ones the same
paths can hardly be seen, since among 33 weights a random plane is almost at right angles to everything. All optimizers
begin at the same weights, and the straight line from there to the end, the baseline, shows that no hill had to be
crossed.
"""

import argparse
from pathlib import Path

import numpy as np

import chainrule as cr
from chainrule import Dense, Sequential

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="fewer epochs and a coarser grid")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the figures go")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)
epochs, points = (60, 31) if options.short else (300, 81)

# 1. Two rings that no straight line can part.
rng = np.random.default_rng(0)
angle, outer = rng.uniform(0, 2 * np.pi, 200), np.arange(200) % 2
X = (0.8 + 1.2 * outer + 0.15 * rng.normal(size=200))[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
network = Sequential(Dense(8, "tanh"), Dense(1, "sigmoid"))

# 2. Four optimizers from the same start; a path is a callback.
rules = [cr.GradientDescent(0.5), cr.Momentum(0.1), cr.RMSprop(0.01), cr.Adam(0.03)]
paths = [cr.Path() for _ in rules]
runs = [
    cr.fit(network, X, outer, optimizer=rule, epochs=epochs, batch_size=None, callbacks=[path])
    for rule, path in zip(rules, paths, strict=True)
]
best = min(runs, key=lambda run: run.history["loss"][-1])

# 3. The surface through the best of them, along the paths and along two random directions.
planes = {along: best.surface(X, outer, along, paths=paths, points=points) for along in ("path", "random")}
print(f"{'':<18}{'J at the end':>14}{'way shown along paths':>24}{'along random ones':>20}")
for along_paths, along_random in zip(planes["path"].tracks, planes["random"].tracks, strict=True):
    shares = f"{along_paths.share:>24.0%}{along_random.share:>20.0%}"
    print(f"{along_paths.name:<18}{along_paths.loss[-1]:>14.4f}{shares}")
print(f"\n{planes['path']}")

# 4. The straight line from the start to the end.
end = best.parameters
start = {name: paths[0][name][0] for name in end}
back = {name: start[name] - end[name] for name in end}
aside = {"b2": np.ones(1)}
line = best.surface(X, outer, (back, aside), span=((0, 1), (-1, 1)), points=41)
heights = line.loss[20, ::-1]
print("\nJ on the straight line from the start to the end")
print(*(f"{height:.3f}" for height in heights[::5]))
print("it rises nowhere" if (np.diff(heights) <= 0).all() else f"its highest point is {heights.max():.3f}")

planes["path"].figure().savefig(options.out / "loss_surface.png", dpi=150)
planes["path"].figure(relief=True).savefig(options.out / "loss_surface_relief.png", dpi=150)
planes["random"].figure().savefig(options.out / "loss_surface_random.png", dpi=150)
