"""A network that writes: which character comes next, in Shakespeare's plays and in first names.

What one learns: a language model is a classifier asked again and again, and its loss over ln 2 is the bits that a
character takes when a text is packed with it. A 5-gram looks its four last characters up in a table; an LSTM carries a
state along, a transformer looks back over a window and can see nothing to its right. Both networks learn a character at
every step, and write by drawing from their own answers. With only minutes to learn, it helps to leave to a look-up
what a look-up can do: beside a vector of the character they read one of the last two, in the plays of the last three.
The last tenth of each text is held out; the 5-gram (interpolated Kneser-Ney, its discounts tuned on a part of the
training text) is the one to beat.

Measured, in bits per character held out: Shakespeare 2.256 for the 5-gram, 2.203 for the LSTM, 2.307 for the
transformer; names 2.855 for the 5-gram, 2.813 for the LSTM, 2.856 for the transformer. The LSTM is below the 5-gram on
both texts; the transformer is as good on names, and not below it on the plays.
"""

import argparse
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import chainrule as cr

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="a part of each text, small networks, few steps")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the figure goes")
parser.add_argument("--only", choices=("shakespeare", "names"), help="one of the two texts")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)


def last(codes, k, size, lines):
    """The last k characters at every place, as one number; of `lines` by themselves what was before counts as 0."""
    rows = sliding_window_view(np.concatenate([np.zeros(k - 1, np.int64), codes]), k).copy()
    for j in range(k - 3, -1, -1) if lines else ():
        rows[:, j] *= rows[:, j + 1] > 0
    return rows @ size ** np.arange(k - 1, -1, -1)


# 1. The baseline. P(c | context of k − 1) = max(n − D, 0)/N + D T/N · P(c | context of k − 2): counts with a part D
#    taken off, which the shorter context gets; T is how many characters are known to follow. At the shorter contexts n
#    counts after how many different characters the gram was seen (Kneser and Ney 1995; Chen and Goodman 1999).
class NGram:
    """Counts of all grams up to a length; characters are numbers below `size`, and 0 is the end of a line.

    Where `lines` stand for themselves, as names do, a context forgets what was before its line: without that a 5-gram
    of names takes 2.94 bits instead of 2.86.
    """

    def __init__(self, codes, size, order, lines):
        self.size, self.order, self.lines = size, order, lines
        self.discounts = np.full(order, 0.75)
        self.tables = []
        grams, counts = np.unique(last(codes, order, size, lines), return_counts=True)
        for k in range(order, 0, -1):
            contexts, first, known = np.unique(grams // size, return_index=True, return_counts=True)
            self.tables.insert(0, (grams, counts, contexts, np.add.reduceat(counts, first), known))
            grams, counts = np.unique(grams % size ** (k - 1), return_counts=True)  # after how many different ones

    def found(self, codes):
        """n, N, T at every place, for contexts of every length."""
        for k, (grams, counts, contexts, totals, known) in enumerate(self.tables, 1):
            wanted = last(codes, k, self.size, self.lines)
            n = looked_up(grams, counts, wanted)
            yield n, looked_up(contexts, totals, wanted // self.size), looked_up(contexts, known, wanted // self.size)

    def bits(self, found, discounts):
        """Bits per character."""
        p = 1 / self.size
        for (n, total, known), d in zip(found, discounts, strict=True):
            p = np.where(total > 0, (np.maximum(n - d, 0) + d * known * p) / np.maximum(total, 1), p)
        return -np.log2(p).mean()

    def tune(self, codes):
        """The discounts that suit a text best, one after the other, twice."""
        found, grid = list(self.found(codes)), np.linspace(0.1, 0.98, 45)
        for _ in range(2):
            for k in range(self.order):
                tried = [np.where(np.arange(self.order) == k, d, self.discounts) for d in grid]
                self.discounts = min(tried, key=lambda discounts: self.bits(found, discounts))
        return self.discounts


def looked_up(keys, values, wanted):
    """The value of each wanted key, 0 where there is none."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0)


def n_gram_bits(train, held_out, size, order, lines):
    """Discounts are tuned on the last tenth of the training text; then all of it is counted."""
    cut = len(train) * 9 // 10
    discounts = NGram(train[:cut], size, order, lines).tune(train[cut:])
    model = NGram(train, size, order, lines)
    return model.bits(model.found(held_out), discounts)


# 2. The networks: functions of x (m, T), the numbers of characters. Labels are an input too, y (m, T): the cost is a
#    formula of the network's own quantities, −ln of the probability of the character that comes.
@dataclass(frozen=True)
class Plan:
    """How a network is made and trained; see `Read` for `longest`."""

    width: int
    longest: int
    dropout: float
    window: int
    epochs: int
    rate: float
    batch: int = 32


# Chosen by what the last tenth of the training text said.
PLANS = {
    ("shakespeare", "LSTM"): Plan(256, 3, 0.1, 64, 2, 0.006),
    ("shakespeare", "transformer"): Plan(128, 3, 0.1, 64, 2, 0.004),
    ("names", "LSTM"): Plan(128, 2, 0.35, 64, 14, 0.008),
    ("names", "transformer"): Plan(80, 2, 0.25, 16, 16, 0.005, 64),
}
SHORT = Plan(32, 2, 0.1, 64, 1, 0.004)


class Read:
    """A = W₁[c_t] + W₂[c_t−1 c_t] + …: a vector for the last character, one for the last two, up to `longest`.

    What has been seen together once is a word of its own, so that a network need not spend its layers on what a look-up
    can do; what was never seen in training shares the number 0.
    """

    def __init__(self, codes, size, longest, lines, width):
        self.size, self.tables = size, [(None, cr.Embedding(size, width))]
        for k in range(2, longest + 1):
            seen, number = np.unique(last(codes, k, size, lines)), np.zeros(size**k, int)
            number[seen] = 1 + np.arange(len(seen))
            self.tables.append((number, cr.Embedding(len(seen) + 1, width)))

    def __call__(self, x):
        before, gram, A = x, 0, 0
        for k, (number, embed) in enumerate(self.tables):
            gram = gram + self.size**k * before
            A = A + embed(gram if number is None else cr.gather(number, gram))
            before = cr.concatenate([0 * before[:, :1], before[:, :-1]], axis=1)
        return A


class Lstm:
    """What was read, LSTM, softmax at every step; writes with its running state."""

    def __init__(self, reader, plan):
        self.read, self.units = reader(min(plan.width, 64)), plan.width
        self.lstm = cr.LSTM(plan.width, return_sequences=True, return_state=True)
        self.out = cr.Dense(self.read.size, "softmax")
        self.x = cr.input("x", ("m", "T"), dtype="int")
        A = self.lstm(cr.Dropout(plan.dropout)(self.read(self.x)))[0]
        self.P = self.out(cr.Dropout(plan.dropout)(A))

    def held_out(self, codes):
        """What is read, which characters have to be told, and from which step on: 16 long pieces."""
        rows = codes[: (len(codes) - 1) // 16 * 16 + 1]
        return rows[:-1].reshape(16, -1), rows[1:].reshape(16, -1), 0

    def writer(self, run, prompt):
        """From a character to the probabilities of the next one."""
        x = cr.input("x", ("m", 3), dtype="int")
        h, c = cr.input("h", ("m", self.units)), cr.input("c", ("m", self.units))
        A, *after = self.lstm(self.read(x)[:, 2:], initial_state=(h, c))
        step = cr.compile([self.out(A), *after])
        state, seen = [np.zeros((1, self.units))] * 2, [0, 0, 0]

        def tell(code):
            seen[:] = [*seen[1:], code]
            p, *state[:] = step({x: [seen], h: state[0], c: state[1]} | run.values)
            return p[0, 0]

        for code in prompt[:-1]:
            tell(code)
        return tell


class Transformer:
    """What was read, places, blocks of causal attention, softmax at every step; writes with a sliding window."""

    def __init__(self, reader, plan):
        read = reader(plan.width)
        layers = [read, cr.PositionEmbedding(plan.window), cr.Dropout(plan.dropout)]
        layers += [cr.TransformerEncoder(4 * plan.width, 4, causal=True, normalize_first=True) for _ in range(2)]
        layers += [cr.LayerNormalization(), cr.Dropout(plan.dropout), cr.Dense(read.size, "softmax")]
        self.x = A = cr.input("x", ("m", plan.window), dtype="int")
        for layer in layers:
            A = layer(A)
        self.P = A

    def held_out(self, codes):
        """Windows of which the second half counts: every character is told from so many before it."""
        window = self.x.shape[1]
        rows = sliding_window_view(codes, window + 1)[:: window // 2]
        return rows[:, :-1], rows[:, 1:], window // 2

    def writer(self, run, prompt):
        """From a character to the probabilities of the next one."""
        window = self.x.shape[1]
        step, seen = cr.compile(self.P[:, -1]), list(prompt[-window - 1 : -1])

        def tell(code):
            seen[:] = [*seen[1:], code]
            return step({self.x: [seen]} | run.values)[0]

        return tell


def train(network, codes, plan):
    """Windows that overlap by half, so that an epoch tells every character twice, with a shorter and a longer past."""
    rows = sliding_window_view(codes, plan.window + 1)[:: plan.window // 2]
    y = cr.input("y", network.P.shape[:2], dtype="int")
    steps = plan.epochs * -(-len(rows) // plan.batch)
    return cr.fit(
        cr.Model([network.x, y], network.P),
        {"x": rows[:, :-1], "y": rows[:, 1:]},
        loss=cr.categorical_cross_entropy(network.P, y),
        optimizer=cr.Adam(cr.OneCycle(plan.rate, steps, warm=0.1)),
        epochs=plan.epochs,
        batch_size=plan.batch,
    )


def bits(network, run, codes):
    """Bits per character of a text that the network has not seen."""
    read, told, start = network.held_out(codes)
    P = run.predict({"x": read})
    return -np.log2(np.take_along_axis(P, told[..., None], -1))[:, start:].mean()


def write(tell, last, characters, temperature):
    """Draw a character, read it, draw the next: with p^(1/temperature), so that below 1 the likely ones gain."""
    random, written = np.random.default_rng(0), []
    for _ in range(characters):
        p = tell(last).astype(float) ** (1 / temperature)
        last = random.choice(len(p), p=p / p.sum())
        written.append(last)
    return written


# 3. Two texts. Names are shuffled first: they are sorted by how many people have them.
def texts():
    """Name and text."""
    plays = cr.data.load("shakespeare").items[0]
    names = list(cr.data.load("names").items)
    np.random.default_rng(0).shuffle(names)
    part = 40 if options.short else 1
    chosen = {"shakespeare": plays[: len(plays) // part], "names": "\n".join(names[: len(names) // part]) + "\n"}
    return {name: text for name, text in chosen.items() if options.only in (None, name)}


try:
    chosen = texts()
except cr.ChainruleError as error:
    print(error)
    print("\nThe texts are not here and cannot be fetched now: nothing to learn from.")
    raise SystemExit(0) from None

figure, panels = plt.subplots(1, len(chosen), figsize=(5.5 * len(chosen), 3.8), layout="constrained", squeeze=False)
for axes, (name, text) in zip(panels[0], chosen.items(), strict=True):
    letters = sorted(set(text))
    codes = np.array([letters.index(c) for c in text])
    cut = len(codes) * 9 // 10
    known, held_out = codes[:cut], codes[cut:]
    print(f"{name}: {len(known):,} characters to learn from, {len(held_out):,} held out, {len(letters)} different ones")
    grams = {n: n_gram_bits(known, held_out, len(letters), n, name == "names") for n in range(1, 9)}
    print("bits per character of n-grams:", ", ".join(f"n = {n}: {b:.3f}" for n, b in grams.items()))

    print(f"\n{'':<14}{'parameters':>12}{'seconds':>9}{'bits, seen':>12}{'held out':>10}   below the 5-gram")
    print(f"{'5-gram':<14}{'':>12}{'':>9}{'':>12}{grams[5]:>10.3f}")
    networks, runs, reached = {}, {}, {}
    for kind, make in {"LSTM": Lstm, "transformer": Transformer}.items():
        plan, begin = SHORT if options.short else PLANS[name, kind], time.perf_counter()
        reader = partial(Read, known, len(letters), plan.longest, name == "names")
        networks[kind] = network = make(reader, plan)
        runs[kind] = run = train(network, known, plan)
        seconds = time.perf_counter() - begin
        seen, reached[kind] = bits(network, run, known[: len(held_out)]), bits(network, run, held_out)
        verdict = f"{'yes' if reached[kind] < grams[5] else 'no'}, by {grams[5] - reached[kind]:+.3f}"
        print(
            f"{kind:<14}{run.model.parameter_count:>12,}{seconds:>9.0f}{seen:>12.3f}{reached[kind]:>10.3f}   {verdict}",
            flush=True,
        )

    # 4. What they write: they go on from the end of a line near the beginning of the training text.
    prompt = known[: known.tolist().index(letters.index("\n"), 4 * 64) + 1]
    for kind, network in networks.items():
        tell = network.writer(runs[kind], prompt)
        written = write(tell, prompt[-1], 60 if options.short else 400, 0.8)
        said = "".join(letters[c] for c in written)
        print(f"\nthe {kind} writes, at a temperature of 0.8:")
        if name == "names":
            said, read = said.split("\n")[:-1], set(text[:cut].split("\n"))
            print(*said, sep=", ")
            print(f"{sum(n not in read for n in said)} of these {len(said)} are not among the names that it has read")
        else:
            print(said)
    print()

    axes.plot(list(grams), grams.values(), "o-", color="#999999", label="n-gram")
    for (kind, b), colour in zip(reached.items(), ("#0072b2", "#d55e00"), strict=True):
        axes.axhline(b, color=colour, label=f"{kind}, {b:.2f}")
    axes.set(xlabel="n of the n-gram", ylabel="bits per character, held out", title=name)
    axes.legend(frameon=False)
figure.savefig(options.out / "language_model.png", dpi=150)
