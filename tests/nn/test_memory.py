"""The heads of a neural Turing machine against a transcription of the paper's equations, and on a task."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ShapeError

RNG = np.random.default_rng(0)
M, N, D = 3, 5, 4


def simplex(*shape):
    x = RNG.random(shape)
    return x / x.sum(axis=-1, keepdims=True)


MEMORY, BEFORE, KEY = RNG.normal(size=(M, N, D)), simplex(M, N), RNG.normal(size=(M, D))
STRENGTH, GATE, SHIFTS, SHARPNESS = 5 * RNG.random((M, 1)), RNG.random((M, 1)), simplex(M, 3), 1 + RNG.random((M, 1))


def by_content(memory, k, beta):
    """Equations 5 and 6."""
    fit = [np.exp(beta * (k @ row) / (np.linalg.norm(k) * np.linalg.norm(row))) for row in memory]
    return np.array(fit) / np.sum(fit)


def addressed(memory, before, k, beta, g, s, gamma):
    """Equations 5 to 9, for one example, place by place."""
    w = g * by_content(memory, k, beta) + (1 - g) * before
    half = len(s) // 2
    moved = [sum(w[j] * s[(i - j + half) % N] for j in range(N) if (i - j + half) % N < len(s)) for i in range(N)]
    sharp = np.array(moved) ** gamma
    return sharp / sharp.sum()


def test_a_head_is_where_the_equations_of_the_paper_say():
    nodes = [cr.input(f"n{i}", v.shape) for i, v in enumerate((MEMORY, BEFORE, KEY, STRENGTH, GATE, SHIFTS, SHARPNESS))]
    memory, before, key, strength, gate, shifts, sharpness = nodes
    w = cr.memory_address(memory, before, key=key, strength=strength, gate=gate, shifts=shifts, sharpness=sharpness)
    values = (MEMORY, BEFORE, KEY, STRENGTH, GATE, SHIFTS, SHARPNESS)
    feeds = dict(zip(nodes, values, strict=True))
    scalars = [v[:, 0] for v in (STRENGTH, GATE)]
    expected = [
        addressed(MEMORY[m], BEFORE[m], KEY[m], scalars[0][m], scalars[1][m], SHIFTS[m], SHARPNESS[m, 0])
        for m in range(M)
    ]
    for found in (cr.evaluate(w, feeds), cr.compile(w, dtype="float64")(feeds)):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-12)
    J = cr.sum(w * RNG.normal(size=(M, N)))
    assert cr.check_gradient(J, nodes, feeds).largest_error < 1e-6


@pytest.mark.parametrize("steps", [1, 3, 5])
def test_a_shift_by_one_place_goes_round(steps):
    w = np.eye(5)
    for k in range(steps):
        moved = cr.evaluate(cr.circular_shift(w, np.tile(np.eye(steps)[k], (5, 1))))
        np.testing.assert_array_equal(moved, np.roll(w, k - steps // 2, axis=1))


def test_sharpening_and_its_derivative_are_finite_where_a_weight_is_zero():
    w, gamma = cr.input("w", (2, 3)), cr.input("γ", (2, 1))
    y = cr.sharpen(w, gamma)
    feeds = {w: [[0.0, 0.25, 0.75], [1.0, 0.0, 0.0]], gamma: [[2.0], [1.0]]}
    found = cr.evaluate([y, *cr.gradient(cr.sum(y**2), [w, gamma])], feeds)
    np.testing.assert_allclose(found[0], [[0, 0.1, 0.9], [1, 0, 0]], atol=1e-6)
    assert all(np.isfinite(f).all() for f in found)


def test_reading_and_writing_are_equations_2_to_4():
    w, erase, add = simplex(M, N), RNG.random((M, D)), RNG.normal(size=(M, D))
    read = cr.evaluate(cr.memory_read(MEMORY, w))
    np.testing.assert_allclose(read, [sum(w[m, i] * MEMORY[m, i] for i in range(N)) for m in range(M)], rtol=1e-12)
    expected = np.array(
        [[MEMORY[m, i] * (1 - w[m, i] * erase[m]) + w[m, i] * add[m] for i in range(N)] for m in range(M)]
    )
    np.testing.assert_allclose(cr.evaluate(cr.memory_write(MEMORY, w, erase, add)), expected, rtol=1e-12)


def test_what_was_written_is_read_again():
    place, ones, note = np.eye(N)[:M], np.ones((M, D)), RNG.normal(size=(M, D))
    after = cr.memory_write(MEMORY, place, ones, note)
    np.testing.assert_allclose(cr.evaluate(cr.memory_read(after, place)), note, rtol=1e-12)


def test_a_head_learns_what_to_ask_for():
    """The question is what stands in the memory, said in other words (mixed by a matrix); the answer is the place."""
    memory = RNG.normal(size=(300, N, D))
    place = RNG.integers(0, N, 300)
    asked = memory[np.arange(300), place]
    words = asked @ RNG.normal(size=(D, D))
    m, x = cr.input("M", ("m", N, D)), cr.input("x", ("m", D))
    w = cr.content_weights(m, cr.Dense(D, use_bias=False)(x), np.full((1, 1), 10.0)).named("w")
    run = cr.fit(
        cr.Model([m, x], cr.memory_read(m, w)), {"M": memory, "x": words}, asked, epochs=60, learning_rate=0.03
    )
    found = cr.evaluate(w, {m: memory, x: words, **run.values})
    assert (found.argmax(axis=1) == place).mean() > 0.95


def test_heads_work_in_a_loop_and_its_gradient_is_that_of_central_differences():
    """Write each note one place further on, then read the first place: what a machine's controller would do."""
    notes, start = cr.input("notes", (3, M, D)), cr.input("w", (M, N))
    onward = np.tile([0.0, 0.0, 1.0], (M, 1))

    def step(state, note):
        w, memory = state
        after = cr.memory_write(memory, w, cr.sigmoid(note), note)
        return (cr.circular_shift(w, onward), after), cr.memory_read(after, start)

    (w, memory), reads = cr.loop(step, (start, cr.constant(MEMORY)), notes)
    values = {notes: RNG.normal(size=(3, M, D)), start: BEFORE}
    expected, place = MEMORY, BEFORE
    for note in values[notes]:
        gone = 1 - place[:, :, None] / (1 + np.exp(-note))[:, None]
        expected = expected * gone + place[:, :, None] * note[:, None]
        place = np.roll(place, 1, axis=1)
    for found in (cr.evaluate([w, memory, reads], values), cr.compile([w, memory, reads], dtype="float64")(values)):
        np.testing.assert_allclose(found[0], place, rtol=1e-10)
        np.testing.assert_allclose(found[1], expected, rtol=1e-10)
        np.testing.assert_allclose(found[2][-1], np.einsum("mn,mnd->md", BEFORE, expected), rtol=1e-10)
    assert cr.check_gradient(cr.sum(reads**2), [notes, start], values).largest_error < 1e-6


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cr.content_weights(MEMORY, KEY[:, :2], 1.0), r"memory \(3, 5, 4\), key \(3, 2\)"),
        (lambda: cr.circular_shift(BEFORE, simplex(M, 4)), r"shifts \(3, 4\).*odd"),
        (lambda: cr.circular_shift(BEFORE, simplex(M, 7)), r"at most as many as places"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_sizes(call, words):
    with pytest.raises(ShapeError, match=f"(?s){words}"):
        call()
