"""Recurrent layers against PyTorch's, and against what their docstrings promise."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigurationError, ShapeError
from chainrule.graph import Graph

M, T, K, N = 3, 6, 4, 5
LAYERS = {"RNN": cr.RNN, "LSTM": cr.LSTM, "GRU": cr.GRU}
EVERY_LAYER = pytest.mark.parametrize("kind", LAYERS)
GATES = {"RNN": [""], "LSTM": ["i", "f", "g", "o"], "GRU": ["r", "z", "n"]}
"""In PyTorch's order."""


def numbers(layer, seed=0):
    rng = np.random.default_rng(seed)
    return {p: rng.normal(0, 0.5, p.shape) for p in layer.parameters}


def matrices(layer, values, gates):
    """W, U and b of all gates, each as one array in the order of PyTorch: gates one below the other."""

    def one(letter, gate):
        return values[layer[f"{letter}_{gate}" if gate else letter]]

    second = np.zeros(N * len(gates))
    if isinstance(layer, cr.GRU):
        second[-N:] = values[layer["b_u"]]
    W, U = (np.concatenate([one(letter, g).T for g in gates]) for letter in "WU")
    return W, U, np.concatenate([one("b", g) for g in gates]), second


def peer(kind, layers, values, **settings):
    torch = pytest.importorskip("torch")
    module = getattr(torch.nn, kind)(K, N, batch_first=True, bidirectional=len(layers) > 1, **settings).double()
    with torch.no_grad():
        for layer, end in zip(layers, ("", "_reverse"), strict=False):
            for name, array in zip(
                ("weight_ih", "weight_hh", "bias_ih", "bias_hh"), matrices(layer, values, GATES[kind]), strict=True
            ):
                getattr(module, f"{name}_l0{end}").copy_(torch.tensor(array))
    return torch, module


def gradients_of(module, end=""):
    return [getattr(module, f"{n}_l0{end}").grad.numpy() for n in ("weight_ih", "weight_hh", "bias_ih")]


def compare(outputs, layer_of, kind, J, feeds, values, x, torch, module, tx, cost, expected):
    """Values, the cost, and all gradients, in NumPy and compiled."""
    wrt = [*values, x]
    nodes = [*outputs, J, *cr.gradient(J, wrt)]
    cost.backward()
    for found in (cr.evaluate(nodes, feeds | values), cr.compile(nodes, dtype="float64")(feeds | values)):
        *states, j = found[: len(outputs) + 1]
        for a, b in zip(states, expected, strict=True):
            np.testing.assert_allclose(a, b.detach().numpy(), atol=1e-10)
        np.testing.assert_allclose(j, cost.item(), rtol=1e-10)
        gradient = dict(zip(wrt, found[len(outputs) + 1 :], strict=True))
        np.testing.assert_allclose(gradient[x], tx.grad.numpy(), atol=1e-10)
        for layer, end in zip(layer_of, ("", "_reverse"), strict=False):
            ours = matrices(layer, gradient, GATES[kind])[:3]
            for a, b in zip(ours, gradients_of(module, end), strict=True):
                np.testing.assert_allclose(a, b, atol=1e-10)


@EVERY_LAYER
def test_values_and_gradients_are_those_of_pytorch(kind):
    layer = LAYERS[kind](N, return_sequences=True, return_state=True)
    x, target = cr.input("X", ("m", T, K)), cr.input("Y", ("m", T, N))
    output, *state = layer(x)
    J = cr.mean((output - target) ** 2) + cr.sum(cr.sin(state[-1]))
    rng = np.random.default_rng(1)
    feeds = {x: rng.normal(size=(M, T, K)), target: rng.normal(size=(M, T, N))}
    values = numbers(layer)
    torch, module = peer(kind, [layer], values)
    tx = torch.tensor(feeds[x], requires_grad=True)
    out, last = module(tx)
    last = last if isinstance(last, tuple) else (last,)
    cost = ((out - torch.tensor(feeds[target])) ** 2).mean() + torch.sin(last[-1]).sum()
    compare([output, *state], [layer], kind, J, feeds, values, x, torch, module, tx, cost, [out, *(s[0] for s in last)])


@EVERY_LAYER
def test_both_directions_are_those_of_pytorch(kind):
    layer = cr.Bidirectional(LAYERS[kind](N, return_sequences=True))
    x = cr.input("X", ("m", T, K))
    output = layer(x)
    J = cr.sum(cr.sin(output))
    feeds, values = {x: np.random.default_rng(1).normal(size=(M, T, K))}, numbers(layer)
    ways = [layer.forward_layer, layer.backward_layer]
    torch, module = peer(kind, ways, values)
    tx = torch.tensor(feeds[x], requires_grad=True)
    out, _ = module(tx)
    compare([output], ways, kind, J, feeds, values, x, torch, module, tx, torch.sin(out).sum(), [out])


@EVERY_LAYER
@pytest.mark.parametrize("both", [False, True])
def test_sequences_of_different_lengths_are_those_of_pytorch_packed(kind, both):
    lengths = np.array([6, 2, 4])
    inner = LAYERS[kind](N)
    layer = cr.Bidirectional(inner) if both else inner
    ways = [layer.forward_layer, layer.backward_layer] if both else [inner]
    x, n = cr.input("X", ("m", T, K)), cr.input("n", ("m",), "int")
    last = layer(x, lengths=n)
    J = cr.sum(cr.sin(last))
    feeds = {x: np.random.default_rng(1).normal(size=(M, T, K)), n: lengths}
    values = numbers(layer)
    torch, module = peer(kind, ways, values)
    tx = torch.tensor(feeds[x], requires_grad=True)
    packed = torch.nn.utils.rnn.pack_padded_sequence(tx, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    _, state = module(packed)
    h = state[0] if isinstance(state, tuple) else state
    h = torch.cat(list(h), dim=-1)
    compare([last], ways, kind, J, feeds, values, x, torch, module, tx, torch.sin(h).sum(), [h])


@EVERY_LAYER
@pytest.mark.parametrize("dtype", ["bool", "float"])
def test_a_mask_is_a_length_and_holds_the_state_where_it_is_0(kind, dtype):
    layer = LAYERS[kind](N, return_sequences=True)
    x, mask, n = cr.input("X", ("m", T, K)), cr.input("mask", ("m", T), dtype), cr.input("n", ("m",), "int")
    lengths = np.array([6, 2, 4])
    feeds = {
        x: np.random.default_rng(1).normal(size=(M, T, K)),
        mask: (np.arange(T) < lengths[:, None]).astype(dtype),
        n: lengths,
    }
    outputs = [layer(x, mask), layer(x, lengths=n)]
    feeds |= numbers(layer)
    by_mask, by_length = cr.evaluate(outputs, feeds)
    np.testing.assert_array_equal(by_mask, by_length)
    np.testing.assert_array_equal(by_mask[1, 1:], np.repeat(by_mask[1, 1:2], T - 1, axis=0))
    gaps = (np.random.default_rng(3).random((M, T)) < 0.5).astype(dtype)
    held = cr.evaluate(layer(x, mask), feeds | {mask: gaps})
    kept = [cr.evaluate(layer(cr.constant(feeds[x][i : i + 1, gaps[i] > 0])), feeds)[0] for i in range(M)]
    for i in range(M):
        np.testing.assert_allclose(held[i, gaps[i] > 0], kept[i], atol=1e-14)


@EVERY_LAYER
def test_what_is_masked_has_no_gradient(kind):
    layer = LAYERS[kind](N)
    x, n = cr.input("X", ("m", T, K)), cr.input("n", ("m",), "int")
    J = cr.sum(layer(x, lengths=n))
    feeds = {x: np.random.default_rng(1).normal(size=(M, T, K)), n: [6, 2, 4]} | numbers(layer)
    dX = cr.evaluate(cr.gradient(J, x), feeds)
    assert (dX[1, 2:] == 0).all()
    assert (dX[2, 4:] == 0).all()
    assert (dX[0] != 0).all()


@EVERY_LAYER
def test_the_gradient_is_stopped_every_so_many_steps(kind):
    every = 2
    x = cr.input("X", (M, T, K))
    layer = LAYERS[kind](N, truncate=every)
    last = layer(x)
    values = numbers(layer)
    feeds = {x: np.random.default_rng(1).normal(size=(M, T, K))} | values
    free = LAYERS[kind](N, return_state=True)
    free(x)
    same = {q: values[p] for p, q in zip(layer.parameters, free.parameters, strict=True)}
    # By hand: all but the last stretch first, then the rest from the state reached, as a number.
    _, *state = free(x[:, : T - every])
    reached = [cr.constant(s) for s in cr.evaluate(state, feeds | same)]
    rest = free(x[:, T - every :], initial_state=reached)[0]
    np.testing.assert_allclose(cr.evaluate(last, feeds), cr.evaluate(rest, feeds | same), rtol=1e-13)
    ours = cr.evaluate(cr.gradient(cr.sum(last), [x, *layer.parameters]), feeds)
    theirs = cr.evaluate(cr.gradient(cr.sum(rest), [x, *free.parameters]), feeds | same)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-13)
    assert (ours[0][:, : T - every] == 0).all()


@EVERY_LAYER
def test_a_gradient_of_every_stretch_is_kept_where_all_outputs_are_used(kind):
    layer = LAYERS[kind](N, truncate=2, return_sequences=True)
    x = cr.input("X", (M, T, K))
    J = cr.sum(layer(x) ** 2)
    feeds = {x: np.random.default_rng(1).normal(size=(M, T, K))} | numbers(layer)
    assert (cr.evaluate(cr.gradient(J, x), feeds) != 0).all()


@EVERY_LAYER
@pytest.mark.parametrize("truncate", [None, 4])
def test_backwards_is_forwards_on_the_sequence_turned_round(kind, truncate):
    forwards = LAYERS[kind](N, return_sequences=True, truncate=truncate)
    x = cr.input("X", (M, T, K))
    there = forwards(x)
    back = LAYERS[kind](N, return_sequences=True, go_backwards=True, truncate=truncate)
    again = back(x)
    values = numbers(forwards)
    X = np.random.default_rng(1).normal(size=(M, T, K))
    feeds = {x: X} | {q: values[p] for p, q in zip(forwards.parameters, back.parameters, strict=True)}
    np.testing.assert_allclose(
        cr.evaluate([again, cr.gradient(cr.sum(again**2), back.parameters[0])], feeds)[1],
        cr.evaluate(cr.gradient(cr.sum(there**2), forwards.parameters[0]), values | {x: X[:, ::-1]}),
        rtol=1e-12,
    )
    np.testing.assert_allclose(cr.evaluate(again, feeds), cr.evaluate(there, values | {x: X[:, ::-1]}), rtol=1e-13)


def test_a_gru_may_reset_the_state_before_the_product():
    layer = cr.GRU(N, reset_after=False)
    x = cr.input("X", (M, 1, K))
    h0 = cr.input("h", (M, N))
    last = layer(x, initial_state=h0)
    values = numbers(layer)
    rng = np.random.default_rng(1)
    X, h = rng.normal(size=(M, 1, K)), rng.normal(size=(M, N))
    v = {p.name: a for p, a in values.items()}
    z, r = (1 / (1 + np.exp(-(X[:, 0] @ v[f"W_{g}"] + h @ v[f"U_{g}"] + v[f"b_{g}"]))) for g in "zr")
    n = np.tanh(X[:, 0] @ v["W_n"] + (r * h) @ v["U_n"] + v["b_n"])
    np.testing.assert_allclose(cr.evaluate(last, values | {x: X, h0: h}), (1 - z) * n + z * h, rtol=1e-13)
    assert "b_u" not in v


@EVERY_LAYER
def test_parameters_have_the_shapes_and_starts_that_are_said(kind):
    layer = LAYERS[kind](N)
    layer(cr.input("X", ("m", "T", K)))
    shapes = {"W": (K, N), "U": (N, N), "b": (N,)}
    assert {p.name: p.shape for p in layer.parameters} == {p.name: shapes[p.name[0]] for p in layer.parameters}
    assert len(layer.parameters) == {"RNN": 3, "LSTM": 12, "GRU": 10}[kind]
    for p in layer.parameters:
        start = p.attrs["initializer"](np.random.default_rng(0), p.shape)
        if p.name.startswith("U"):
            np.testing.assert_allclose(start @ start.T, np.eye(N), atol=1e-12)
        if p.name.startswith("b"):
            assert (start == (p.name == "b_f")).all()
    assert not [p for p in LAYERS[kind](N, use_bias=False)(cr.input("X", (M, T, K))).inputs if p.name == "b"]


@EVERY_LAYER
def test_products_are_counted_at_every_step_and_once_for_all_results(kind):
    net = cr.Sequential(LAYERS[kind](N, return_sequences=True), LAYERS[kind](2))
    gates = len(GATES[kind])
    expected = T * gates * ((K * N + N * N) + (N * 2 + 2 * 2))
    assert net.summary((T, K)).multiply_adds == expected
    x = cr.input("X", ("m", T, K))
    both = LAYERS[kind](N, return_state=True, return_sequences=True)(x)
    assert cr.Model(x, both).summary().multiply_adds == T * gates * (K * N + N * N)


def test_a_forget_gate_may_start_half_closed():
    layer = cr.LSTM(N, unit_forget_bias=False)
    layer(cr.input("X", (M, T, K)))
    assert layer["b_f"].attrs["initializer"](np.random.default_rng(0), (N,)).sum() == 0


@EVERY_LAYER
def test_a_layer_called_twice_shares_its_weights(kind):
    layer = LAYERS[kind](N)
    a, b = layer(cr.input("A", (M, T, K))), layer(cr.input("B", (M, 2, K)))
    assert set(Graph(a).parameters) == set(Graph(b).parameters)
    with pytest.raises(ShapeError, match="another width"):
        layer(cr.input("C", (M, T, K + 1)))


@EVERY_LAYER
def test_layers_stand_in_a_row(kind):
    net = cr.Sequential(LAYERS[kind](6, return_sequences=True), LAYERS[kind](4), cr.Dense(2, "softmax"))
    model = net.model((T, K))
    assert model.output.shape == (cr.Dim("m"), 2)
    loops = {n.attrs["body"] for n in model.graph if "body" in n.attrs}
    assert len(loops) == 2


@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
def test_directions_are_joined_as_asked(mode):
    layer = cr.Bidirectional(cr.RNN(N, return_state=True), merge_mode=mode)
    x = cr.input("X", (M, T, K))
    *joined, a, b = layer(x)
    feeds = {x: np.random.default_rng(0).normal(size=(M, T, K))} | numbers(layer)
    a, b = cr.evaluate([a, b], feeds)
    expected = {"concat": np.hstack([a, b]), "sum": a + b, "mul": a * b, "ave": (a + b) / 2, None: np.stack([a, b])}
    np.testing.assert_allclose(np.squeeze(np.stack(cr.evaluate(joined, feeds))), expected[mode])


def test_any_activation_may_be_given():
    x = cr.input("X", (M, T, K))
    layer = cr.LSTM(N, cr.ParametricReLU(), "hard_sigmoid")
    J = cr.mean(layer(x) ** 2)
    assert "α" in [p.name for p in layer.parameters]
    feeds = {x: np.random.default_rng(0).normal(size=(M, T, K))} | numbers(layer)
    cr.check_gradient(J, layer.parameters, feeds)


# --- how it is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: cr.LSTM(N)(cr.input("X", ("m", K))), ShapeError, r"reads sequences(?s:.*)x\[:, :, None\]"),
        (lambda: cr.LSTM(0), ConfigurationError, "number of units"),
        (lambda: cr.LSTM(N, "tanhh"), ConfigurationError, "no such activation"),
        (lambda: cr.LSTM(N, truncate=0), ConfigurationError, "truncate"),
        (lambda: cr.LSTM(N)(cr.input("X", (M, T, K)), cr.input("m", (M, K))), ShapeError, "mask does not fit"),
        (lambda: cr.RNN(N)(cr.input("X", (M, T, K)), lengths=cr.input("n", (T,), "int")), ShapeError, "one length"),
        (
            lambda: cr.RNN(N)(cr.input("X", (M, T, K)), cr.input("m", (M, T)), lengths=cr.input("n", (M,), "int")),
            ConfigurationError,
            "a mask, or lengths",
        ),
        (
            lambda: cr.LSTM(N)(cr.input("X", (M, T, K)), initial_state=cr.input("h", (M, N))),
            ShapeError,
            r"initial state(?s:.*)h \(3, 5\), c \(3, 5\)",
        ),
        (lambda: cr.Bidirectional(cr.Dense(3)), ConfigurationError, "recurrent layer"),
        (lambda: cr.Bidirectional(cr.RNN(3), "concatenate"), ConfigurationError, "concat"),
        (
            lambda: cr.Bidirectional(cr.RNN(3), backward_layer=cr.RNN(3, return_sequences=True)),
            ConfigurationError,
            "both directions",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()
