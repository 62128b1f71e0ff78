"""Attention and transformer blocks against PyTorch, values and gradients; masks; both engines; what is refused."""

import numpy as np
import pytest
from scipy.special import softmax

import chainrule as cr
from chainrule.errors import ConfigurationError, ShapeError

RNG = np.random.default_rng(0)
M, T, S, N, H = 3, 5, 7, 8, 2


def numbers(model):
    return {p: 0.5 * RNG.normal(size=p.shape) for p in model.parameters}


def both(outputs, feeds):
    """The outputs in NumPy, after comparing them with those of XLA in double and single precision."""
    found = cr.evaluate(outputs, feeds)
    for dtype, close in (("float64", 1e-10), ("float32", 1e-4)):
        for f, x in zip(found, cr.compile(outputs, dtype=dtype)(feeds), strict=True):
            np.testing.assert_allclose(x, f, rtol=close, atol=close)
    return found


# --- the function -------------------------------------------------------------------------------------


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_and_its_gradients_are_those_of_pytorch(lead, causal):
    torch = pytest.importorskip("torch")
    shapes = [(*lead, T, 4), (*lead, T, 4), (*lead, T, 6)]
    nodes = [cr.input(n, s) for n, s in zip("QKV", shapes, strict=True)]
    values, g = [RNG.normal(size=s) for s in shapes], RNG.normal(size=(*lead, T, 6))
    peers = [torch.tensor(v, requires_grad=True) for v in values]
    expected = torch.nn.functional.scaled_dot_product_attention(*peers, is_causal=causal)
    (expected * torch.tensor(g)).sum().backward()
    y = cr.attention(*nodes, causal=causal)
    found = both([y, *cr.gradient(cr.sum(g * y), nodes)], dict(zip(nodes, values, strict=True)))
    for f, e in zip(found, [expected.detach(), *(p.grad for p in peers)], strict=True):
        np.testing.assert_allclose(f, e.numpy(), rtol=1e-9, atol=1e-11)


def test_it_reads_like_the_paper():
    Q, K, V = cr.input("Q", ("m", T, 4)), cr.input("K", ("m", S, 4)), cr.input("V", ("m", S, 6))
    assert str(cr.attention_weights(Q, K)) == "softmax(1/√4 · Q Kᵀ)"
    assert str(cr.attention(Q, K, V)) == "A V"
    assert cr.attention(Q, K, V).shape == (cr.Dim("m"), T, 6)
    assert cr.attention(Q, K, V).latex() == r"A V"


def test_a_mask_leaves_keys_out_and_a_scale_is_taken_as_it_is():
    q, k, v = RNG.normal(size=(T, 4)), RNG.normal(size=(S, 4)), RNG.normal(size=(S, 2))
    mask = RNG.random((T, S)) < 0.6
    mask[2] = True
    scores = np.where(mask, 0.3 * q @ k.T, -np.inf)
    (found,) = both([cr.attention(q, k, v, mask=mask, scale=0.3)], {})
    np.testing.assert_allclose(found, softmax(scores, axis=1) @ v, rtol=1e-12)


def test_keys_that_all_examples_share():
    q, k = cr.input("q", ("m", T, 4)), cr.input("k", (S, 4))
    values = {q: RNG.normal(size=(M, T, 4)), k: RNG.normal(size=(S, 4))}
    (found,) = both([cr.attention(q, k, k)], values)
    expected = softmax(values[q] @ values[k].T / 2, axis=2) @ values[k]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


# --- masks that leave nothing -------------------------------------------------------------------------


@pytest.mark.parametrize("far", [1.0, 1e4, 1e30])
def test_where_nothing_is_left_all_is_zero_and_every_gradient_finite(far):
    z, mask = cr.input("z", (3, 4)), np.array([[True, False, True, True], [False] * 4, [False, True, False, False]])
    s = cr.masked_softmax(z, mask)
    g = RNG.normal(size=(3, 4))
    values = far * RNG.normal(size=(3, 4))
    for dtype in ("float32", "float64"):
        outputs = [s, cr.gradient(cr.sum(g * s), z)]
        for found in (cr.evaluate(outputs, {z: values}, dtype=dtype), cr.compile(outputs, dtype=dtype)({z: values})):
            assert np.isfinite(found).all()
            assert not found[0][~mask].any()
            assert not found[1][~mask].any()
            np.testing.assert_allclose(found[0].sum(axis=1), [1, 0, 1], rtol=1e-6)
            assert found[0][2].tolist() == [0, 1, 0, 0]


def test_scores_that_do_not_count_may_be_infinite():
    z = np.array([[0.0, np.inf, 1.0], [0.0, np.nan, -np.inf]])
    found = cr.evaluate(cr.masked_softmax(z, [[1, 0, 1], [1, 0, 1]]))
    np.testing.assert_allclose(found, [[1 / (1 + np.e), 0, np.e / (1 + np.e)], [1, 0, 0]], rtol=1e-12)


def test_the_gradient_through_a_mask_is_that_of_central_differences():
    z = cr.input("z", (4, 5))
    mask = RNG.random((4, 5)) < 0.5
    mask[1] = False
    J = cr.sum(cr.masked_softmax(z, mask) * RNG.normal(size=(4, 5)))
    assert cr.check_gradient(J, z, {z: RNG.normal(size=(4, 5))}).largest_error < 1e-8


# --- several heads ------------------------------------------------------------------------------------


def as_torch(torch, layer, values, width, batch_first=True):
    """PyTorch's layer with our weights."""
    peer = torch.nn.MultiheadAttention(width, layer.num_heads, batch_first=batch_first, dtype=torch.float64)
    w = {name: torch.tensor(values[layer[name]]) for name in layer._parameters}
    with torch.no_grad():
        peer.in_proj_weight.copy_(torch.cat([w["W_Q"].T, w["W_K"].T, w["W_V"].T]))
        peer.in_proj_bias.copy_(torch.cat([w["b_Q"], w["b_K"], w["b_V"]]))
        peer.out_proj.weight.copy_(w["W_O"].T)
        peer.out_proj.bias.copy_(w["b_O"])
    return peer


def masks(kind):
    """A mask of ours, and the settings that say the same to PyTorch."""
    padding = np.arange(S)[None] < np.array([[7], [4], [2]])
    pairs = RNG.random((T, S)) < 0.6
    pairs[:, 0] = True
    return {
        "none": (None, {}),
        "padding": (padding, {"key_padding_mask": ~padding}),
        "pairs": (pairs[None], {"attn_mask": ~pairs}),
        "both": (padding[:, None] & pairs[None], {"key_padding_mask": ~padding, "attn_mask": ~pairs}),
    }[kind]


@pytest.mark.parametrize("kind", ["none", "padding", "pairs", "both"])
def test_cross_attention_and_all_its_gradients_are_those_of_pytorch(kind):
    torch = pytest.importorskip("torch")
    ours, theirs = masks(kind)
    x, y = cr.input("X", (M, T, N)), cr.input("Y", (M, S, N))
    layer = cr.MultiHeadAttention(H)
    z = layer(x, y, mask=ours)
    values = numbers(layer)
    X, Y, g = RNG.normal(size=(M, T, N)), RNG.normal(size=(M, S, N)), RNG.normal(size=(M, T, N))
    peer = as_torch(torch, layer, values, N)
    a, b = torch.tensor(X, requires_grad=True), torch.tensor(Y, requires_grad=True)
    settings = {k: torch.tensor(v) for k, v in theirs.items()}
    expected, weights = peer(a, b, b, average_attn_weights=False, **settings)
    (expected * torch.tensor(g)).sum().backward()
    by = [layer[n] for n in ("W_Q", "b_Q", "W_K", "W_V", "b_V", "W_O", "b_O")]
    outputs = [z, layer.openness, *cr.gradient(cr.sum(g * z), [x, y, *by])]
    found = both(outputs, {x: X, y: Y, **values})
    q, k, v = peer.in_proj_weight.grad.chunk(3)
    bq, _, bv = peer.in_proj_bias.grad.chunk(3)
    theirs = [q.T, bq, k.T, v.T, bv, peer.out_proj.weight.grad.T, peer.out_proj.bias.grad]
    for f, e in zip(found, [expected.detach(), weights.detach(), a.grad, b.grad, *theirs], strict=True):
        np.testing.assert_allclose(f, e.numpy(), rtol=1e-7, atol=1e-9)


def test_causal_self_attention_is_that_of_pytorch_and_never_looks_ahead():
    torch = pytest.importorskip("torch")
    x = cr.input("X", ("m", T, N))
    layer = cr.MultiHeadAttention(H, causal=True)
    z = layer(x)
    values, X = numbers(layer), RNG.normal(size=(M, T, N))
    later = torch.triu(torch.ones(T, T, dtype=torch.bool), diagonal=1)
    a = torch.tensor(X)
    expected, _ = as_torch(torch, layer, values, N)(a, a, a, attn_mask=later)
    found, weights = both([z, layer.openness], {x: X, **values})
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-9, atol=1e-11)
    assert not np.triu(weights, 1).any()


@pytest.mark.parametrize("kind", ["padding", "all"])
def test_queries_for_which_no_key_counts_are_harmless(kind):
    x, mask = cr.input("X", (M, T, N)), cr.input("mask", (M, T), dtype="bool")
    layer = cr.MultiHeadAttention(H)
    J = cr.mean(layer(x, mask=mask) ** 2)
    feeds = numbers(layer) | {x: RNG.normal(size=(M, T, N)), mask: np.zeros((M, T), bool)}
    if kind == "padding":
        feeds[mask][0] = True
    dx, weights = both([cr.gradient(J, x), layer.openness], feeds)
    assert np.isfinite(dx).all()
    assert not weights[1:].any()
    assert cr.check_gradient(J, [x, *layer.parameters], feeds, entries=20).largest_error < 1e-7


def test_sizes_of_ones_own_and_the_number_of_parameters():
    layer = cr.MultiHeadAttention(3, 4, value_dim=5, output_dim=2)
    x, y = cr.input("X", ("m", T, N)), cr.input("Y", ("m", S, 6))
    assert layer(x, y).shape[1:] == (T, 2)
    assert layer.openness.shape[1:] == (3, T, S)
    shapes = {p.name: p.shape for p in layer.parameters}
    assert shapes == {
        "W_Q": (N, 12), "b_Q": (12,), "W_K": (6, 12), "b_K": (12,),
        "W_V": (6, 15), "b_V": (15,), "W_O": (15, 2), "b_O": (2,),
    }  # fmt: skip
    assert cr.Model([x, y], layer(x, y)).parameter_count == N * 12 + 12 + 6 * 12 + 12 + 6 * 15 + 15 + 15 * 2 + 2
    without = cr.MultiHeadAttention(2, use_bias=False)
    without(x)
    assert [p.name for p in without.parameters] == ["W_Q", "W_K", "W_V", "W_O"]


def test_weights_are_shared_by_a_second_call_and_widths_are_kept():
    layer, x = cr.MultiHeadAttention(H), cr.input("X", ("m", T, N))
    layer(x)
    before = layer.parameters
    layer(x, cr.input("Y", ("m", S, N)))
    assert layer.parameters == before
    with pytest.raises(ShapeError, match=r"(?s)other widths.*8, 6 and 6.*8, 8 and 8"):
        layer(x, cr.input("Y", ("m", S, 6)))


def test_padding_that_an_embedding_notes_is_left_out():
    tokens = cr.input("X", ("m", T), dtype="int")
    layer = cr.MultiHeadAttention(H)
    embedding = cr.Embedding(9, N, mask_zero=True)
    h = embedding(tokens)
    out = layer(h)
    assert str(cr.mask_of(out)) == "X ≠ 0"
    X = np.array([[3, 4, 0, 0, 0], [1, 2, 3, 4, 5]])
    weights = cr.evaluate(layer.openness, {tokens: X, **numbers(layer), embedding["W"]: RNG.normal(size=(9, N))})
    assert not weights[0, :, :, 2:].any()
    assert weights[1].all()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: cr.MultiHeadAttention(3)(x), ConfigurationError, r"3 heads, width 8.*divides 8: 1, 2, 4, 8"),
        (lambda x: cr.TransformerEncoder(16, 5)(x), ConfigurationError, r"5 heads, width 8"),
        (lambda x: cr.MultiHeadAttention(2)(x[:, 0]), ShapeError, r"reads sequences.*\(m, 8\).*\(m, T, n\)"),
        (
            lambda x: cr.MultiHeadAttention(2)(x, mask=cr.input("p", ("m", 4))),
            ShapeError,
            r"mask does not fit.*\(m, 4\).*\(m, 5\) or \(m, 5, 5\)",
        ),
        (lambda x: cr.MultiHeadAttention(0), ConfigurationError, "number of heads"),
        (lambda x: cr.MultiHeadAttention(2, dropout=1.0), ConfigurationError, "dropout rate"),
        (lambda x: cr.attention(x, cr.input("k", ("m", 5, 6)), x), ShapeError, r"\(m, 5, 8\), keys \(m, 5, 6\)"),
        (lambda x: cr.attention(x, x, cr.input("v", ("m", 4, 8))), ShapeError, r"keys \(m, 5, 8\), values \(m, 4, 8\)"),
        (lambda x: cr.attention(x, x, x, mask=np.ones((5, 4))), ShapeError, r"mask.*\(m, 5, 5\)"),
        (lambda x: cr.TransformerDecoder(16, 2)(x, memory_mask=np.ones((1, 5))), ConfigurationError, "memory"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_the_sizes(call, error, words):
    with pytest.raises(error, match=f"(?s){words}"):
        call(cr.input("X", ("m", T, N)))


# --- transformer blocks -------------------------------------------------------------------------------


def fill(torch, peer, block, values, attentions):
    """Our weights into PyTorch's block."""
    with torch.no_grad():
        for ours, theirs in attentions:
            layer = block.layers[ours]
            getattr(peer, theirs).load_state_dict(as_torch(torch, layer, values, N).state_dict())
        for ours, theirs in (("inner", "linear1"), ("outer", "linear2")):
            getattr(peer, theirs).weight.copy_(torch.tensor(values[block.layers[ours]["W"]].T))
            getattr(peer, theirs).bias.copy_(torch.tensor(values[block.layers[ours]["b"]]))
        for k, ours in enumerate([*(o for o, _ in attentions), "outer"], 1):
            norm, own = getattr(peer, f"norm{k}"), block.layers[f"{ours}_norm"]
            norm.weight.copy_(torch.tensor(values[own["γ"]]))
            norm.bias.copy_(torch.tensor(values[own["β"]]))


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_the_encoder_block_and_its_gradients_are_those_of_pytorch(first, activation):
    torch = pytest.importorskip("torch")
    block = cr.TransformerEncoder(16, H, activation=activation, normalize_first=first)
    x = cr.input("X", (M, T, N))
    padding = np.arange(T)[None] < np.array([[5], [3], [1]])
    y = block(x, mask=padding)
    values, X, g = numbers(block), RNG.normal(size=(M, T, N)), RNG.normal(size=(M, T, N))
    peer = torch.nn.TransformerEncoderLayer(
        N, H, 16, dropout=0.0, activation=activation, batch_first=True, norm_first=first, dtype=torch.float64
    )
    fill(torch, peer, block, values, [("attention", "self_attn")])
    a = torch.tensor(X, requires_grad=True)
    expected = peer(a, src_key_padding_mask=torch.tensor(~padding))
    (expected * torch.tensor(g)).sum().backward()
    inner, norm = block.layers["inner"], block.layers["attention_norm"]
    by = [x, inner["W"], norm["γ"], block.layers["attention"]["W_Q"]]
    found = both([y, *cr.gradient(cr.sum(g * y), by)], {x: X, **values})
    q = peer.self_attn.in_proj_weight.grad.chunk(3)[0]
    theirs = [expected.detach(), a.grad, peer.linear1.weight.grad.T, peer.norm1.weight.grad, q.T]
    for f, e in zip(found, theirs, strict=True):
        np.testing.assert_allclose(f, e.numpy(), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("first", [False, True])
def test_the_decoder_block_is_that_of_pytorch(first):
    torch = pytest.importorskip("torch")
    block = cr.TransformerDecoder(16, H, normalize_first=first)
    x, memory = cr.input("X", (M, T, N)), cr.input("Y", (M, S, N))
    padding = np.arange(S)[None] < np.array([[7], [3], [1]])
    y = block(x, memory, memory_mask=padding)
    values, X, Y = numbers(block), RNG.normal(size=(M, T, N)), RNG.normal(size=(M, S, N))
    peer = torch.nn.TransformerDecoderLayer(
        N, H, 16, dropout=0.0, batch_first=True, norm_first=first, dtype=torch.float64
    )
    fill(torch, peer, block, values, [("attention", "self_attn"), ("cross", "multihead_attn")])
    later = torch.triu(torch.ones(T, T, dtype=torch.bool), diagonal=1)
    b = torch.tensor(Y, requires_grad=True)
    g = RNG.normal(size=(M, T, N))
    expected = peer(torch.tensor(X), b, tgt_mask=later, memory_key_padding_mask=torch.tensor(~padding))
    (expected * torch.tensor(g)).sum().backward()
    found = both([y, cr.gradient(cr.sum(g * y), memory)], {x: X, memory: Y, **values})
    np.testing.assert_allclose(found[0], expected.detach().numpy(), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found[1], b.grad.numpy(), rtol=1e-7, atol=1e-9)


def test_a_decoder_without_another_sequence_is_the_block_of_a_language_model():
    x = cr.input("X", ("m", T, N))
    decoder, encoder = cr.TransformerDecoder(16, H), cr.TransformerEncoder(16, H, causal=True)
    a, b = decoder(x), encoder(x)
    values = numbers(decoder)
    same = dict(zip(encoder.parameters, (values[p] for p in decoder.parameters), strict=True))
    X = RNG.normal(size=(M, T, N))
    np.testing.assert_allclose(cr.evaluate(a, {x: X, **values}), cr.evaluate(b, {x: X, **same}), rtol=1e-12)


def test_a_block_counts_its_parameters_as_pytorch_does():
    torch = pytest.importorskip("torch")
    x = cr.input("X", ("m", T, N))
    ours = cr.Model(x, cr.TransformerEncoder(16, H)(x)).parameter_count
    assert ours == sum(p.numel() for p in torch.nn.TransformerEncoderLayer(N, H, 16).parameters())


def test_dropout_is_in_training_only():
    x = cr.input("X", ("m", T, N))
    block = cr.TransformerEncoder(16, H, dropout=0.5)
    y = block(x)
    feeds = numbers(block) | {x: RNG.normal(size=(M, T, N))}
    a, b = (cr.evaluate(cr.in_training(y), feeds, seed=s) for s in (1, 2))
    assert not np.allclose(a, b)
    np.testing.assert_array_equal(cr.evaluate(y, feeds, seed=1), cr.evaluate(y, feeds, seed=2))
    assert len([n for n in cr.Graph(cr.in_training(y)) if n.op.name == "draw"]) == 4


# --- trained, written, looked at ----------------------------------------------------------------------

TOKENS = RNG.integers(1, 12, (300, 6)) * (np.arange(6) < RNG.integers(3, 7, (300, 1)))
SAME = np.array([float(row[0] in row[1:]) for row in TOKENS])  # does the first token come again?


@pytest.fixture(scope="module")
def run():
    network = cr.Sequential(
        cr.Embedding(12, 16, mask_zero=True),
        cr.PositionalEncoding(),
        cr.TransformerEncoder(32, 2, normalize_first=True),
        lambda h: h[:, 0],
        cr.Dense(1, "sigmoid"),
    )
    # with a rate of 0.01 the accuracy jumps about between epochs, and the last of them is a matter of luck
    return cr.fit(network, TOKENS, SAME, epochs=80, learning_rate=0.003, watch={"A4": ["mean", "entropy"]}, seed=1)


def test_a_task_that_takes_a_look_at_the_other_steps_is_learned(run):
    alone = cr.Sequential(cr.Embedding(12, 16), lambda h: h[:, 0], cr.Dense(16, "relu"), cr.Dense(1, "sigmoid"))
    blind = cr.fit(alone, TOKENS, SAME, epochs=80, learning_rate=0.01, seed=1)
    assert run.evaluate(TOKENS, SAME)["accuracy"] > 0.98
    assert blind.evaluate(TOKENS, SAME)["accuracy"] < 0.8


def test_how_widely_attention_looks_can_be_watched(run):
    entropy = run.watched["A4", "entropy"]
    assert np.log(6) > entropy[0] > 1  # looks nearly everywhere that is no padding
    assert entropy[-1] < 0.8 * entropy[0]


def test_a_transformer_is_saved_traced_and_written(run, tmp_path):
    again = cr.load(run.save(tmp_path / "run"))
    np.testing.assert_array_equal(again.predict(TOKENS), run.predict(TOKENS))
    assert str(again.formulas()) == str(run.formulas())
    trace = run.trace(TOKENS[:3], SAME[:3])
    assert trace.largest_error < 1e-5
    np.testing.assert_allclose(trace["A4"].value.sum(axis=-1), 1, rtol=1e-6)
    sheet = str(run.formulas())
    for line in (
        "Q4    = A3 W_Q4 + b_Q4",
        "A4    = softmax(1/√8 · Q4 K4ᵀ where M1)",
        "H4    = A4 V4",
        "dV4   = A4ᵀ dH4",
        "dQ4   = 1/√8 · (A4 ∘ (dH4 V4ᵀ − Σ₃ dH4 V4ᵀ ∘ A4)) K4",
    ):
        assert line in sheet
