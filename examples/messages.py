"""Short messages, spam or not: a network that reads word after word, and one in which every word looks at all others.

What one learns: messages differ in length, so rows of tokens are padded, and a mask says what is padding: the GRU holds
its state there, the transformer's attention leaves it out. And how to judge a filter: not by accuracy (86 % of the
messages are no spam), but by how much spam it finds when at most 0.5 % of the honest messages may be lost. The
baselines are logistic regressions on bags of words, which know how often every word occurs and nothing of its place;
with so few messages they are hard to beat. Every message is held out once, in four folds.
"""

import argparse
import re
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline

import chainrule as cr
from chainrule import data

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="every third message, two folds, two epochs")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the figure goes")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)
LOST = 0.005  # the share of ham that may be flagged
LENGTH = 40  # words of a message that the networks read; one in twenty is longer

# 1. Messages. Every digit becomes 0 for all who read: "£5000 call 09061701461" and other sums and numbers look alike.
try:
    messages = data.load("sms")
except cr.ChainruleError as error:
    print(error)
    raise SystemExit(0) from None
if options.short:
    messages = messages.select(np.arange(0, len(messages), 3))
texts, spam = messages.items, messages.labels
plain = np.array([re.sub(r"\d", "0", text) for text in texts], dtype=object)
words = data.tokenizer("words")
print(f"{len(texts):,} messages, {spam.sum():,} of them spam ({spam.mean():.0%})")


# 2. The networks: whole numbers (m, 40) in, the probability of spam out.
def gru(vocabulary):
    """Reads forwards and backwards; the last state of each decides."""
    X = cr.input("X", ("m", LENGTH), dtype="int")
    E = cr.Dropout(0.3)(cr.Embedding(vocabulary, 32)(X))
    h = cr.Bidirectional(cr.GRU(32))(E, mask=cr.not_equal(X, 0))
    return cr.Model(X, cr.Dense(1, "sigmoid")(cr.Dropout(0.3)(h)))


def transformer(vocabulary):
    """One encoder block of four heads; the mean over the words that are there decides."""
    X = cr.input("X", ("m", LENGTH), dtype="int")
    there = cr.cast(cr.not_equal(X, 0), "float").reshape(("m", LENGTH, 1))
    E = cr.PositionEmbedding(LENGTH)(cr.Embedding(vocabulary, 32, mask_zero=True)(X))
    h = cr.TransformerEncoder(64, 4, dropout=0.2, normalize_first=True)(cr.Dropout(0.3)(E), mask=cr.not_equal(X, 0))
    mean = (h * there).sum(axis=1) / cr.maximum(there.sum(axis=1), 1)
    return cr.Model(X, cr.Dense(1, "sigmoid")(cr.Dropout(0.3)(mean)))


networks = {"GRU": gru, "transformer": transformer}
bags = {
    "bag of words": lambda: CountVectorizer(tokenizer=words.split, lowercase=False, token_pattern=None),
    "TF-IDF": lambda: TfidfVectorizer(
        tokenizer=words.split, lowercase=False, token_pattern=None, sublinear_tf=True, ngram_range=(1, 2)
    ),
}

# 3. Train each on three quarters, score the fourth; an eighth of the three says when to stop.
epochs = 2 if options.short else 12
folds = StratifiedKFold(2 if options.short else 4, shuffle=True, random_state=0)
scores = {name: np.empty(len(texts)) for name in (*bags, *networks)}
seconds = dict.fromkeys(scores, 0.0)
for known, held_out in folds.split(plain, spam):
    for name, bag in bags.items():
        begin = time.perf_counter()
        regression = make_pipeline(bag(), LogisticRegression(C=10, max_iter=1000)).fit(plain[known], spam[known])
        scores[name][held_out] = regression.predict_proba(plain[held_out])[:, 1]
        seconds[name] += time.perf_counter() - begin
    learn, check = train_test_split(known, test_size=1 / 8, stratify=spam[known], random_state=0)
    tokens = words.learn(plain[learn], most=1500)  # one size for all folds: compiled once
    rows, _ = data.rows_of_tokens([tokens.encode(text) for text in plain], LENGTH, longer="cut")
    for name, network in networks.items():
        begin = time.perf_counter()
        run = cr.fit(
            network(len(tokens)),
            rows[learn],
            spam[learn],
            optimizer=cr.Adam(0.003),
            epochs=epochs,
            validation_data=(rows[check], spam[check]),
            early_stopping=cr.EarlyStopping(patience=3),
            seed=0,
        )
        scores[name][held_out] = run.predict(rows[held_out]).ravel()
        seconds[name] += time.perf_counter() - begin
        print(f"{name}: stopped after {len(run.history['loss'])} epochs", flush=True)


# 4. The least threshold at which at most 0.5 % of ham is flagged, and the spam that is found with it.
def threshold(score):
    """Flagged is what lies above; found on the held-out ham itself, for all alike."""
    ham = np.sort(score[spam == 0])[::-1]
    return ham[int(LOST * len(ham))]


print(
    f"\nmessages held out: at most {LOST:.1%} of ham flagged, {int(LOST * np.sum(spam == 0))} of {np.sum(spam == 0):,}"
)
print(f"{'':<16}{'spam found':>12}{'ham flagged':>13}{'accuracy at 0.5':>17}{'log loss':>10}{'seconds':>9}")
for name, score in scores.items():
    flagged = score > threshold(score)
    certain = np.clip(np.where(spam, score, 1 - score), 1e-7, 1)
    print(
        f"{name:<16}{flagged[spam == 1].mean():>12.1%}{flagged[spam == 0].sum():>13}"
        f"{np.mean((score > 0.5) == spam):>17.1%}{-np.log(certain).mean():>10.3f}{seconds[name]:>9.0f}"
    )

# 5. Where the transformer is wrong.
score = scores["transformer"]
for what, order in (
    ("ham that looks most like spam to the transformer", np.argsort(np.where(spam, 2, -score))[:4]),
    ("spam that looks least like it", np.argsort(np.where(spam, score, 2))[:4]),
):
    print(f"\n{what}")
    for i in order:
        text = " ".join(texts[i].split())
        others = ", ".join(f"{name} {scores[name][i]:.2f}" for name in ("GRU", "TF-IDF"))
        print(f"  {score[i]:.2f} ({others})  {text if len(text) <= 90 else text[:89] + '…'}")

colours = {"bag of words": "#999999", "TF-IDF": "#000000", "GRU": "#d55e00", "transformer": "#0072b2"}
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
for name, score in scores.items():
    order = np.argsort(-score)
    lost, found = np.cumsum(spam[order] == 0) / np.sum(spam == 0), np.cumsum(spam[order]) / spam.sum()
    left.plot(np.maximum(lost, 2e-4), found, color=colours[name], label=name, drawstyle="steps-post")
left.axvline(LOST, color="black", linewidth=1, linestyle=":")
left.annotate("0.5 %", (LOST, 0.42), (4, 0), textcoords="offset points")
left.set(xscale="log", xlim=(2e-4, 1), ylim=(0.4, 1.01), xlabel="share of ham flagged", ylabel="share of spam found")
left.set_title("what a filter finds, and what it costs", loc="left")
left.legend(frameon=False, loc="lower right")
log_odds = {name: np.log(np.clip(s, 1e-7, 1 - 1e-7) / (1 - np.clip(s, 1e-7, 1 - 1e-7))) for name, s in scores.items()}
bins = np.linspace(-12, 12, 49)
z = np.clip(log_odds["transformer"], -11.9, 11.9)
right.hist(z[spam == 0], bins, color="#0072b2", alpha=0.6, label="ham")
right.hist(z[spam == 1], bins, color="#d55e00", alpha=0.6, label="spam")
right.axvline(threshold(log_odds["transformer"]), color="black", linewidth=1, linestyle=":")
right.set(yscale="log", xlabel="log-odds of spam", ylabel="messages")
right.set_title("the transformer's scores; flagged is what lies right of the line", loc="left")
right.legend(frameon=False)
figure.savefig(options.out / "messages.png", dpi=150)
