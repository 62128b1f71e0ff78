"""A variational autoencoder: digits as points of a plane, and new digits from points that nobody has drawn.

What one learns: the encoder gives every image a cloud, N(μ, σ²), instead of a point; the decoder draws an image from a
point of the cloud, z = μ + σ ∘ ε. Random numbers are a quantity ε beside the path of the gradient, so that ∂J/∂σ is an
ordinary derivative: the sampling gate. The cost is −ELBO, a bound of −ln p(image): what the image costs when it is
written with the decoder's help, and what the cloud says beyond the prior N(0, 1). In prediction the latent is μ. As the
images are black and white here, ln p is that of a real distribution, and can be compared: with pixels that are
independent, and with a mixture of 30 such distributions (EM). On 1,000 images held out, in nats per image (more is
better): independent pixels −208, the mixture −150, the VAE with 2 latent numbers −156, with 16 −106. From 16 numbers it
rebuilds an image with a squared error of 24, PCA with 34.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

import chainrule as cr
from chainrule.explain.figures import COLOURS, GREY, drawing, look, style

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="a fifth of the digits, few epochs")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the figure goes")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)
epochs = 8 if options.short else 60

# 1. Images in black and white: every pixel is 0 or 1.
try:
    mnist = cr.data.load("mnist")
except cr.ChainruleError as error:
    print(error)
    raise SystemExit(0) from None
pixels, digits = mnist.items.reshape(-1, 784), mnist.labels
images = (pixels > 127).astype(np.float32)
if options.short:
    images, digits = images[::5], digits[::5]
X, X_new, Y, Y_new = train_test_split(images, digits, test_size=0.2, stratify=digits, random_state=0)


# 2. The network, and its cost, as formulas.
def autoencoder(latent):
    x = cr.input("x", ("m", 784))
    encoder = cr.Sequential(cr.Dense(256, "relu"), cr.Dense(128, "relu"))
    decoder = cr.Sequential(cr.Dense(128, "relu"), cr.Dense(256, "relu"), cr.Dense(784))
    h = encoder(x)
    mu = cr.Dense(latent)(h).named("μ")
    log_variance = cr.Dense(latent)(h).named("lnσ²")
    epsilon = cr.draw("normal", ("m", latent), name="ε")
    z = cr.by_phase(mu + cr.exp(log_variance / 2) * epsilon, mu).named("z")
    logits = decoder(z)
    written = cr.sum(x * logits - cr.softplus(logits), axis=1)  # Σ ln p(pixel | z)
    divergence = 0.5 * cr.sum(mu**2 + cr.exp(log_variance) - 1 - log_variance, axis=1)  # KL(N(μ, σ²) ‖ N(0, 1))
    elbo = written - divergence
    return cr.Model(x, [cr.sigmoid(logits), mu]), elbo, decoder


def train(latent):
    """The run, its decoder, and the ELBO of the images held out after every epoch, with sampled z as in training."""
    model, elbo, decoder = autoencoder(latent)
    bound = cr.compile(cr.mean(cr.in_training(elbo)))
    curve = []

    def note(run):
        curve.append([float(bound({"x": some} | run.values, seed=1)) for some in (X, X_new)])

    steps = epochs * -(-len(X) // 64)
    run = cr.fit(
        model, X, loss=-elbo, optimizer=cr.Adam(cr.CosineDecay(0.002, steps)), epochs=epochs, batch_size=64,
        callbacks=[note],
    )  # fmt: skip
    return run, decoder, np.array(curve)


latents = (2, 16)
trained = {k: train(k) for k in latents}
print("the derivatives of the sampling gate, from the sheet of the whole step")
sheet = str(trained[2][0].formulas()).split("\n")
print("\n".join(line for line in sheet if any(symbol in line for symbol in ("dz", "μ", "σ²"))))


# 3. How good a model of digits is it? Distributions of images, each by ln p of images that it has not seen.
def mixture(X, count, rounds=60, seed=0):
    """A mixture of independent pixels, by expectation and maximisation."""
    rng = np.random.default_rng(seed)
    belongs = rng.dirichlet(np.full(count, 0.1), len(X))
    for _ in range(rounds):
        share, p = parameters = belongs.mean(axis=0), (belongs.T @ X + 0.5) / (belongs.sum(axis=0) + 1)[:, None]
        ln_p = likelihoods(X, parameters)
        belongs = np.exp(ln_p - logsumexp(ln_p, axis=1, keepdims=True))
    return share, p


def likelihoods(X, parameters):
    share, p = parameters
    return np.log(share + 1e-12) + X @ np.log(p).T + (1 - X) @ np.log1p(-p).T


p = (X.sum(axis=0) + 0.5) / (len(X) + 1)
components = mixture(X, 8 if options.short else 30)
scores = {
    "independent pixels": [np.mean(some @ np.log(p) + (1 - some) @ np.log1p(-p)) for some in (X, X_new)],
    f"mixture of {len(components[0])} such, EM": [
        np.mean(logsumexp(likelihoods(some, components), axis=1)) for some in (X, X_new)
    ],
} | {f"VAE, {k} latent numbers (a lower bound)": curve[-1] for k, (_, _, curve) in trained.items()}
print(f"\n{'ln p(image), nats, more is better':<42}{'seen':>10}{'held out':>10}")
for name, (seen, held_out) in scores.items():
    print(f"{name:<42}{seen:>10.1f}{held_out:>10.1f}")

print(f"\n{'squared error per image, rebuilt from':<42}{'VAE (μ)':>10}{'PCA':>10}")
for k, (run, _, _) in trained.items():
    rebuilt, _ = run.predict(X_new)
    components_ = PCA(k, random_state=0).fit(X)
    line = components_.inverse_transform(components_.transform(X_new))
    errors = [np.mean(np.sum((some - X_new) ** 2, axis=1)) for some in (rebuilt, line)]
    print(f"{f'{k} numbers, images held out':<42}{errors[0]:>10.1f}{errors[1]:>10.1f}")


# 4. Samples, the plane of digits, the curve.
def drawn(k, points):
    """Images at points of the latent space: the decoder alone, one function of the graph."""
    run, decoder, _ = trained[k]
    z = cr.input("z", ("m", k))
    return cr.evaluate(cr.sigmoid(decoder(z)), {z: points} | run.values)


def tiles(pictures, across):
    """Small pictures side by side, as one."""
    return np.pad(pictures.reshape(-1, across, 28, 28), ((0, 0), (0, 0), (1, 1), (1, 1))).swapaxes(1, 2).reshape(
        -1, across * 30
    )  # fmt: skip


rng = np.random.default_rng(4)
side = 14
at = norm.ppf((np.arange(side) + 0.5) / side)  # points of the prior, equally likely
grid = np.stack(np.meshgrid(at, at[::-1]), axis=-1).reshape(-1, 2)
with style():
    figure = drawing(13.5, 8.4)
    panels = figure.subplots(2, 3)
    (places, plane, curves), (new, real, rebuilt) = panels
    _, mu = trained[2][0].predict(images)
    for digit in range(10):
        colour = [*COLOURS, "#e69f00", "#000000"][digit]
        of = mu[digits == digit]
        places.plot(*of.T, "o", color=colour, markersize=2, alpha=0.5, mew=0)
        places.text(*np.median(of, axis=0), str(digit), fontsize=14, weight="bold", ha="center", va="center",
                    bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": colour, "pad": 2})  # fmt: skip
    places.set(xlabel="$\\mu_1$", ylabel="$\\mu_2$", title="where the encoder puts all images; no label was used")
    plane.imshow(tiles(drawn(2, grid), side), cmap="gray_r")
    plane.set_title("what the decoder draws over the same plane")
    for i, (k, (_, _, curve)) in enumerate(trained.items()):
        for j, name in enumerate(("seen", "held out")):
            curves.plot(np.arange(1, epochs + 1), curve[:, j], **look(i) | {"linestyle": ("-", "--")[j]},
                        label=f"VAE {k}, {name}")  # fmt: skip
    for (name, (_, held_out)), dash in zip(list(scores.items())[:2], (":", "-."), strict=True):
        curves.axhline(held_out, color=GREY, linestyle=dash)
        curves.text(epochs, held_out + 1, f"{name}, held out", ha="right", va="bottom", fontsize=8, color="#666666")
    curves.set(xlabel="epoch", ylabel="ELBO, nats per image", title="the bound of ln p(image)")
    curves.set_ylim(bottom=min(min(held for _, held in scores.values()) * 1.15, -100))
    curves.legend(fontsize="small", ncols=2, loc="lower right")
    new.imshow(tiles(drawn(16, rng.normal(size=(100, 16))), 10), cmap="gray_r")
    new.set_title("new digits, z drawn from N(0, 1) in 16 dimensions")
    some = rng.choice(len(X_new), 100, replace=False)
    real.imshow(tiles(X_new[some], 10), cmap="gray_r")
    real.set_title("images held out")
    rebuilt.imshow(tiles(trained[16][0].predict(X_new[some])[0], 10), cmap="gray_r")
    rebuilt.set_title("the same, rebuilt from their 16 numbers")
    for axes in (plane, new, real, rebuilt):
        axes.set_axis_off()
    figure.savefig(options.out / "vae.png", dpi=110)
