"""Learning-rate schedules: six of them drawn, and the same network trained with each.

What one learns: a constant rate has to be small enough for the first step and for the last one. Near the end the noise
of the small batches keeps the weights moving unless the rate falls; at the beginning large steps drive tanh units into
their flat parts, from where they hardly return, unless the rate first warms up. A schedule is a formula of the step t
and a part of the graph. The network learns a wave from noisy points; the baseline beside the constant rate is a
polynomial.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import chainrule as cr

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="one seed and two rates instead of three and four")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the figure goes")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)
rates = (0.01, 0.1) if options.short else (0.003, 0.01, 0.03, 0.1)
seeds = range(1 if options.short else 3)

# 1. A wave, and 600 points around it.
rng = np.random.default_rng(0)
X = rng.uniform(-2, 2, 600)
noise = rng.normal(scale=0.3, size=600)


def wave(x):
    return np.sin(4 * x) * np.exp(-(x**2) / 2)


Y, grid = wave(X) + noise, np.linspace(-2, 2, 401)

# 2. The schedules, for 100 epochs of 60 steps. WarmUp leads to another schedule.
epochs, steps = 100, 6_000
schedules = {
    "constant": cr.optimize.Constant,
    "step": lambda rate: cr.StepDecay(rate, steps // 4, 0.3),
    "exponential": lambda rate: cr.ExponentialDecay(rate, steps, 0.01),
    "cosine": lambda rate: cr.CosineDecay(rate, steps),
    "warm-up, then cosine": lambda rate: cr.WarmUp(cr.CosineDecay(rate, steps * 9 // 10), steps // 10),
    "one cycle": lambda rate: cr.OneCycle(rate, steps),
}
t = cr.input("t", ())
for name, schedule in schedules.items():
    print(f"{name:<22}α_t = {cr.simplify(schedule(0.1)(t)).outputs[0]}")


# 3. The same network with each of them.
def error(predict):
    """The root mean square distance from the wave itself, without the noise."""
    return np.sqrt(np.mean((predict(grid) - wave(grid)) ** 2))


def train(rate, seed):
    network = cr.Sequential(cr.Dense(32, "tanh"), cr.Dense(32, "tanh"), cr.Dense(1))
    return cr.fit(network, X, Y, optimizer=cr.Momentum(rate), epochs=epochs, batch_size=10, seed=seed)


print(f"\ndistance from the wave, mean of {len(seeds)}; largest rate:" + "".join(f"{rate:>8g}" for rate in rates))
errors, losses = {}, {}
for name, schedule in schedules.items():
    for rate in rates:
        runs = [train(schedule(rate), seed) for seed in seeds]
        errors[name, rate] = np.mean([error(lambda x, run=run: run.predict(x)[:, 0]) for run in runs])
        losses[name, rate] = runs[0].history["loss"]
    print(f"{name:<48}" + "".join(f"{errors[name, rate]:>8.3f}" for rate in rates))
print(f"{'baseline: polynomial of degree 11':<48}{error(np.poly1d(np.polyfit(X, Y, 11))):>8.3f}")
print(f"{'always 0':<48}{error(np.zeros_like):>8.3f}")

looks = {
    "constant": {"color": "#000000", "linestyle": "-"},
    "step": {"color": "#e69f00", "linestyle": "-"},
    "exponential": {"color": "#56b4e9", "linestyle": "--"},
    "cosine": {"color": "#009e73", "linestyle": "-."},
    "warm-up, then cosine": {"color": "#d55e00", "linestyle": "--"},
    "one cycle": {"color": "#0072b2", "linestyle": "-"},
}
markers = dict(zip(schedules, "sv^Do*", strict=True))
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 4.4), layout="constrained")
every = np.arange(0, steps, 20)
for name, schedule in schedules.items():
    best = min(rates, key=lambda rate, name=name: errors[name, rate])
    left.plot(every, [schedule(0.1).at(int(t)) for t in every], **looks[name], label=name)
    middle.plot(np.arange(1, epochs + 1), losses[name, best], **looks[name], linewidth=1.2, label=f"{name}, {best:g}")
    right.plot(rates, [errors[name, rate] for rate in rates], **looks[name], marker=markers[name], label=name)
middle.axhline(np.mean(noise**2), color="#999999", linestyle=":", label="the noise alone")
left.set(xlabel="step t", ylabel="learning rate α", title="schedules with a largest rate of 0.1")
middle.set(xlabel="epoch", ylabel="J, mean squared error", yscale="log", title="training, each with its best rate")
right.set(xlabel="largest learning rate", ylabel="distance from the wave", xscale="log", title="what was learned")
middle.set_yticks([0.08, 0.1, 0.2, 0.4], ["0.08", "0.1", "0.2", "0.4"])
middle.minorticks_off()
middle.legend(frameon=False, fontsize="small")
handles, names = right.get_legend_handles_labels()
figure.legend(handles, names, loc="outside lower center", ncols=6, frameon=False)
figure.savefig(options.out / "schedules.png", dpi=150)
