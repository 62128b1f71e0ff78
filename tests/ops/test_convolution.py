"""Convolution, pooling and up-sampling against PyTorch, in both engines, and what is refused with which sizes."""

import itertools

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.xla import compile_nodes
from chainrule.errors import ConfigurationError, ShapeError
from chainrule.ops.convolution import CONVOLUTION_KERNEL, CONVOLUTION_TRANSPOSE

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module", name="torch")
def _torch():
    return pytest.importorskip("torch", reason="PyTorch is the peer of these tests")


def first(array):
    """Channels in the place where PyTorch has them, behind the examples."""
    return np.moveaxis(array, -1, 1)


def kernel_first(w):
    """(window, in, out) as PyTorch's (out, in, window)."""
    return np.moveaxis(w, (-1, -2), (0, 1))


def with_gradients(torch, function, *arrays, **settings):
    """PyTorch's value, an upstream derivative, and the gradients by the arrays."""
    leaves = [torch.tensor(np.ascontiguousarray(a), requires_grad=True) for a in arrays]
    y = function(*leaves, **settings)
    g = RNG.normal(size=y.shape)
    y.backward(torch.tensor(g))
    return y.detach().numpy(), g, [leaf.grad.numpy() for leaf in leaves]


def check(pairs, feeds):
    """Every node has the expected numbers, in NumPy to 1e-11 and through XLA, in single precision, to 1e-5."""
    nodes = [node for node, _ in pairs]
    compiled = compile_nodes(nodes, "float32")(feeds)
    for (node, expected), xla in zip(pairs, compiled, strict=True):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(cr.evaluate(node, feeds), expected, rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(xla, expected, rtol=1e-5, atol=1e-5 * max(scale, 1))


def pulled_back(y, g, by):
    """Upstream derivative g carried back to these nodes."""
    return cr.gradient(cr.sum(y * g), list(by))


# --- convolution --------------------------------------------------------------------------------------


def by_hand(padding, size, window, stride, dilation):
    """Zeros before and after for PyTorch, which has no "same" with strides."""
    if padding != "same":
        return (0, 0) if padding == "valid" else padding
    needed = max((-(-size // stride) - 1) * stride + dilation * (window - 1) + 1 - size, 0)
    return needed // 2, needed - needed // 2


GRID = list(itertools.product([1, 2, 3], ["valid", "same", (2, 1)], [1, 2], [1, 2]))


@pytest.mark.parametrize("axes", [1, 2])
def test_convolution_and_its_gradients_are_those_of_pytorch(torch, axes):
    sizes, window = (11, 8)[:axes], (3, 2)[:axes]
    convolve = (torch.nn.functional.conv1d, torch.nn.functional.conv2d)[axes - 1]
    pairs, feeds = [], {}
    for i, (stride, padding, dilation, groups) in enumerate(GRID):
        x, w = RNG.normal(size=(2, *sizes, 4)), RNG.normal(size=(*window, 4 // groups, 6))
        zeros = [by_hand(padding, n, k, stride, dilation) for n, k in zip(sizes, window, strict=True)]
        padded = np.pad(x, ((0, 0), *zeros, (0, 0)))
        expected, g, (dx, dw) = with_gradients(
            torch, convolve, first(padded), kernel_first(w), stride=stride, dilation=dilation, groups=groups
        )
        dx = dx[(slice(None), slice(None), *(slice(low, low + n) for (low, _), n in zip(zeros, sizes, strict=True)))]
        X, W = cr.input(f"x{i}", x.shape), cr.parameter(f"w{i}", w.shape)
        ours = zeros if isinstance(padding, tuple) else padding
        y = cr.convolution(X, W, strides=stride, padding=ours, dilation=dilation, groups=groups)
        by_x, by_w = pulled_back(y, np.moveaxis(g, 1, -1), (X, W))
        pairs += [(y, np.moveaxis(expected, 1, -1)), (by_x, np.moveaxis(dx, 1, -1))]
        pairs += [(by_w, np.moveaxis(dw, (0, 1), (-1, -2)))]
        feeds |= {X: x, W: w}
    check(pairs, feeds)


@pytest.mark.parametrize("axes", [1, 2])
def test_transposed_convolution_and_its_gradients_are_those_of_pytorch(torch, axes):
    sizes, window = (5, 4)[:axes], (3, 2)[:axes]
    convolve = (torch.nn.functional.conv_transpose1d, torch.nn.functional.conv_transpose2d)[axes - 1]
    pairs, feeds = [], {}
    grid = [case for case in itertools.product([1, 2, 3], [0, 1], [1, 2], [1, 2], [0, 1]) if case[0] > case[-1]]
    for i, (stride, padding, dilation, groups, more) in enumerate(grid):
        x, w = RNG.normal(size=(2, *sizes, 4)), RNG.normal(size=(*window, 6 // groups, 4))
        settings = {"padding": padding, "dilation": dilation, "groups": groups, "output_padding": more}
        expected, g, (dx, dw) = with_gradients(torch, convolve, first(x), kernel_first(w), stride=stride, **settings)
        X, W = cr.input(f"x{i}", x.shape), cr.parameter(f"w{i}", w.shape)
        y = cr.convolution_transpose(X, W, strides=stride, **settings)
        by_x, by_w = pulled_back(y, np.moveaxis(g, 1, -1), (X, W))
        pairs += [(y, np.moveaxis(expected, 1, -1)), (by_x, np.moveaxis(dx, 1, -1))]
        pairs += [(by_w, np.moveaxis(dw, (0, 1), (-1, -2)))]
        feeds |= {X: x, W: w}
    check(pairs, feeds)


def test_a_volume_is_convolved_too(torch):
    x, w = RNG.normal(size=(2, 4, 5, 3, 2)), RNG.normal(size=(2, 3, 2, 2, 3))
    expected, g, (dx, dw) = with_gradients(torch, torch.nn.functional.conv3d, first(x), kernel_first(w))
    X, W = cr.input("x", x.shape), cr.parameter("w", w.shape)
    y = cr.convolution(X, W)
    by_x, by_w = pulled_back(y, np.moveaxis(g, 1, -1), (X, W))
    pairs = [(y, expected), (by_x, dx)]
    pairs = [(node, np.moveaxis(array, 1, -1)) for node, array in pairs]
    check([*pairs, (by_w, np.moveaxis(dw, (0, 1), (-1, -2)))], {X: x, W: w})


def test_wide_windows_and_narrow_ones_have_the_same_kernel_gradient():
    """Through XLA few channels are one product of columns, many are a product for every place in the kernel."""
    for channels in (1, 40):
        x, g = cr.input("x", ("m", 5, 6, channels)), cr.input("g", ("m", 3, 4, 2))
        dw = CONVOLUTION_KERNEL(
            x, g, window=(3, 3), strides=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1
        )
        feeds = {x: RNG.normal(size=(7, 5, 6, channels)), g: RNG.normal(size=(7, 3, 4, 2))}
        windows = np.lib.stride_tricks.sliding_window_view(feeds[x], (3, 3), axis=(1, 2))
        check([(dw, np.einsum("mhwcij,mhwn->ijcn", windows, feeds[g]))], feeds)


def test_nothing_sees_what_comes_after_it_where_the_padding_is_causal():
    x, w = cr.input("x", (1, 9, 1)), cr.parameter("w", (3, 1, 1))
    y = cr.convolution(x, w, padding="causal", dilation=2)
    assert y.shape == (1, 9, 1)
    jacobian = cr.evaluate(
        cr.stack([cr.gradient(y[0, i, 0], x)[0, :, 0] for i in range(9)]),
        {x: np.ones((1, 9, 1)), w: np.ones((3, 1, 1))},
    )
    np.testing.assert_array_equal(jacobian, sum(np.eye(9, k=-k) for k in (0, 2, 4)))


def test_convolution_is_the_sum_of_its_definition():
    x, w = RNG.normal(size=(2, 6, 5, 3)), RNG.normal(size=(2, 3, 3, 4))
    y = cr.evaluate(cr.convolution(cr.constant(x), cr.constant(w)), {})
    for i, o, p, n in np.ndindex(*y.shape):
        np.testing.assert_allclose(y[i, o, p, n], np.sum(x[i, o : o + 2, p : p + 3] * w[..., n]), rtol=1e-12)


def test_a_transposed_convolution_is_the_adjoint_of_the_convolution():
    x, w, g = RNG.normal(size=(3, 7, 6, 2)), RNG.normal(size=(3, 2, 2, 5)), RNG.normal(size=(3, 4, 3, 5))
    y = cr.convolution(cr.constant(x), cr.constant(w), strides=2, padding="same")
    back = CONVOLUTION_TRANSPOSE(g, w, spatial=(7, 6), **y.attrs)
    left, right = cr.evaluate([cr.sum(y * g), cr.sum(back * x)])
    np.testing.assert_allclose(left, right, rtol=1e-12)


def test_the_gradient_of_a_gradient_is_that_of_pytorch(torch):
    x, w = RNG.normal(size=(2, 6, 5, 2)), RNG.normal(size=(3, 2, 2, 3))
    tx, tw = (torch.tensor(np.ascontiguousarray(a), requires_grad=True) for a in (first(x), kernel_first(w)))
    y = torch.nn.functional.max_pool2d(torch.tanh(torch.nn.functional.conv2d(tx, tw, stride=(2, 1))), 2)
    (dx,) = torch.autograd.grad((y**2).sum(), tx, create_graph=True)
    (dx**2).sum().backward()
    X, W = cr.input("x", ("m", 6, 5, 2)), cr.parameter("w", w.shape)
    ours = cr.sum(cr.max_pool(cr.tanh(cr.convolution(X, W, strides=(2, 1)))) ** 2)
    penalty = cr.sum(cr.gradient(ours, X) ** 2)
    by_x, by_w = cr.gradient(penalty, [X, W])
    expected_w = np.moveaxis(tw.grad.numpy(), (0, 1), (-1, -2))
    check([(by_x, np.moveaxis(tx.grad.numpy(), 1, -1)), (by_w, expected_w)], {X: x, W: w})


def test_forward_mode_is_the_transpose_of_reverse_mode():
    x, w = cr.input("x", ("m", 5, 5, 2)), cr.parameter("w", (3, 3, 2, 4))
    y = cr.max_pool(cr.convolution(x, w), 2, 1)
    dx, dw, g = cr.input("dx", x.shape), cr.input("dw", w.shape), cr.input("g", y.shape)
    moved = cr.verbs.directional(y, {x: dx, w: dw})
    by_x, by_w = cr.gradient(cr.sum(y * g), [x, w])
    feeds = {n: RNG.normal(size=(3, *n.shape[1:])) for n in (x, dx, g)} | {w: RNG.normal(size=w.shape)}
    feeds |= {dw: RNG.normal(size=w.shape)}
    left, right = cr.evaluate([cr.sum(g * moved), cr.sum(by_x * dx) + cr.sum(by_w * dw)], feeds)
    np.testing.assert_allclose(left, right, rtol=1e-12)


# --- pooling and up-sampling --------------------------------------------------------------------------

POOLS = [(2, None, 0), (3, None, 0), (3, 2, 0), (3, 2, 1), (2, 1, 0), (4, 3, 2)]


@pytest.mark.parametrize("axes", [1, 2])
def test_pooling_and_its_gradients_are_those_of_pytorch(torch, axes):
    sizes, functional = (11, 8)[:axes], torch.nn.functional
    largest, mean = [(functional.max_pool1d, functional.avg_pool1d), (functional.max_pool2d, functional.avg_pool2d)][
        axes - 1
    ]
    pairs, feeds = [], {}
    for i, (window, stride, padding) in enumerate(POOLS):
        x = RNG.normal(size=(2, *sizes, 3))
        X = cr.input(f"x{i}", x.shape)
        feeds[X] = x
        for ours, peer, settings in ((cr.max_pool, largest, {}), (cr.average_pool, mean, {"count_include_pad": False})):
            expected, g, (dx,) = with_gradients(
                torch, peer, first(x), kernel_size=window, stride=stride, padding=padding, **settings
            )
            y = ours(X, window, stride, padding)
            pairs += [(y, np.moveaxis(expected, 1, -1))]
            pairs += [(pulled_back(y, np.moveaxis(g, 1, -1), [X])[0], np.moveaxis(dx, 1, -1))]
    check(pairs, feeds)


def test_of_equal_numbers_the_first_takes_the_gradient_as_in_pytorch(torch):
    x = RNG.integers(0, 3, size=(3, 6, 6, 2)).astype(float)
    X = cr.input("x", x.shape)
    pairs = []
    for window, stride in ((2, 2), (3, 1)):
        expected, g, (dx,) = with_gradients(
            torch, torch.nn.functional.max_pool2d, first(x), kernel_size=window, stride=stride
        )
        y = cr.max_pool(X, window, stride)
        pairs += [(y, np.moveaxis(expected, 1, -1))]
        pairs += [(pulled_back(y, np.moveaxis(g, 1, -1), [X])[0], np.moveaxis(dx, 1, -1))]
    check(pairs, {X: x})


def test_what_padding_adds_is_never_the_largest_and_counts_in_no_mean():
    x = -1 - RNG.uniform(size=(2, 5, 5, 1))
    largest, mean = cr.evaluate([cr.max_pool(x, 3, 2, "same"), cr.average_pool(x, 3, 2, "same")])
    assert largest.shape == mean.shape == (2, 3, 3, 1)
    np.testing.assert_allclose(largest[:, 0, 0, 0], x[:, :2, :2, 0].max(axis=(1, 2)))
    np.testing.assert_allclose(mean[:, 0, 0, 0], x[:, :2, :2, 0].mean(axis=(1, 2)))
    np.testing.assert_allclose(mean[:, 1, 1, 0], x[:, 1:4, 1:4, 0].mean(axis=(1, 2)))


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_up_sampling_and_its_gradients_are_those_of_pytorch(torch, mode):
    pairs, feeds = [], {}
    for sizes, factor in (((5,), 3), ((4, 3), 2), ((3, 4), (2, 3))):
        how = {"nearest": "nearest", "bilinear": "linear" if len(sizes) == 1 else "bilinear"}[mode]
        settings = {} if mode == "nearest" else {"align_corners": False}
        x = RNG.normal(size=(2, *sizes, 3))
        X = cr.input(f"x{len(feeds)}", x.shape)
        expected, g, (dx,) = with_gradients(
            torch, torch.nn.functional.interpolate, first(x), scale_factor=factor, mode=how, **settings
        )
        y = cr.upsample(X, factor, mode)
        pairs += [(y, np.moveaxis(expected, 1, -1))]
        pairs += [(pulled_back(y, np.moveaxis(g, 1, -1), [X])[0], np.moveaxis(dx, 1, -1))]
        feeds[X] = x
    check(pairs, feeds)


def test_whole_numbers_are_convolved_and_pooled_as_floats():
    x = RNG.integers(0, 255, size=(2, 4, 4, 1))
    for node in (cr.convolution(x, np.ones((2, 2, 1, 1))), cr.max_pool(x), cr.average_pool(x), cr.upsample(x)):
        assert node.dtype == "float"
    np.testing.assert_array_equal(cr.evaluate(cr.max_pool(x))[0, 0, 0, 0], x[0, :2, :2].max())


# --- notation -----------------------------------------------------------------------------------------

X, W = cr.input("X", ("m", 9, 9, 4)), cr.parameter("W", (3, 3, 4, 8))


@pytest.mark.parametrize(
    ("node", "text", "latex"),
    [
        (cr.convolution(X, W), "X ∗ W", r"X \ast W"),
        (cr.convolution(X, W, padding="same"), "X ∗ W", r"X \ast W"),
        (cr.convolution(X, W, strides=2), "X ∗[stride 2] W", r"X \ast_{\mathrm{stride}\,2} W"),
        (
            cr.convolution(X, cr.parameter("V", (3, 3, 1, 8)), strides=(2, 1), dilation=2, groups=4),
            "X ∗[stride 2×1, dilation 2, groups 4] V",
            r"X \ast_{\mathrm{stride}\,2 \times 1,\, \mathrm{dilation}\,2,\, \mathrm{groups}\,4} V",
        ),
        (
            cr.convolution_transpose(X, cr.parameter("V", (3, 3, 8, 4)), strides=2),
            "X ∗[stride 1/2] Vᵀ",
            r"X \ast_{\mathrm{stride}\,1/2} V^{\top}",
        ),
        (cr.convolution(X + 1, W) + 1, "(X + 1) ∗ W + 1", r"\left(X + 1\right) \ast W + 1"),
        (cr.max_pool(X), "maxpool[2×2](X)", r"\operatorname{maxpool}_{2 \times 2}\left(X\right)"),
        (
            cr.max_pool(X, (3, 2), (2, 1)),
            "maxpool[3×2, stride 2×1](X)",
            r"\operatorname{maxpool}_{3 \times 2,\, \mathrm{stride}\,2 \times 1}\left(X\right)",
        ),
        (cr.average_pool(X), "1/4 · sumpool[2×2](X)", None),
        (cr.average_pool(X, 3, 2, "same"), "sumpool[3×3, stride 2](X)/sumpool[3×3, stride 2](1)", None),
        (cr.upsample(X, (1, 2)), "repeat[1×2](X)", None),
    ],
    ids=str,
)
def test_how_it_is_written(node, text, latex):
    assert str(node) == text
    assert latex is None or node.latex() == latex


def test_the_derivatives_read_like_those_of_a_matrix_product():
    g = cr.input("g", ("m", 4, 4, 8))
    assert list(map(str, pulled_back(cr.convolution(X, W, strides=2), g, (X, W)))) == [
        "g ∗[stride 1/2] Wᵀ",
        "Xᵀ ∗[dilation 2] g",
    ]


# --- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (
            lambda: cr.convolution(cr.input("x", ("m", 3, 3, 4)), cr.input("w", (5, 5, 4, 8))),
            ShapeError,
            r"(?s)window is larger.*a window of 5×5 over x of 3×3\n.*at most 3×3.*padding='same'",
        ),
        (
            lambda: cr.convolution(cr.input("x", ("m", 8, 4)), cr.input("w", (3, 4, 8)), dilation=4, padding=(0,)),
            ShapeError,
            r"(?s)a window of 3, 9 with its dilation 4 over x of 8\n.*at most 8",
        ),
        (
            lambda: cr.max_pool(cr.input("x", ("m", 3, 1, 4)), 4, padding=(0, 1)),
            ShapeError,
            r"(?s)max_pool.*a window of 4×4 over x of 3×1, 3×3 with its padding",
        ),
        (
            lambda: cr.convolution(cr.input("x", ("m", 28, 28)), cr.input("w", (3, 3, 1, 8))),
            ShapeError,
            r"(?s)w \(3, 3, 1, 8\).*a kernel of 1 size",
        ),
        (
            lambda: cr.convolution(cr.input("x", ("m", 28)), cr.input("w", (3, 1, 8))),
            ShapeError,
            r"(?s)x \(m, 28\).*\(m, length, channels\).*x\[\.\.\., None\]",
        ),
        (
            lambda: cr.convolution(X, cr.input("w", (3, 3, 3, 8))),
            ShapeError,
            r"(?s)X \(m, 9, 9, 4\) and w \(3, 3, 3, 8\).*a kernel for 4 channels, not 3",
        ),
        (
            lambda: cr.convolution(X, cr.input("w", (3, 3, 4, 8)), groups=2),
            ShapeError,
            r"for 4 channels in 2 groups, 2 each, not 4",
        ),
        (
            lambda: cr.convolution(X, cr.input("w", (3, 3, 4, 8)), groups=3),
            ConfigurationError,
            r"(?s)4 channels and 8 filters in 3 groups.*divisible by 3",
        ),
        (
            lambda: cr.convolution(cr.input("x", ("m", "h", 9, 4)), W),
            ShapeError,
            r"(?s)x \(m, h, 9, 4\).*whole numbers for height, width and channels.*number of examples alone",
        ),
        (lambda: cr.convolution(X, W, strides=0), ConfigurationError, r"strides: a whole number of at least 1, or 2"),
        (lambda: cr.convolution(X, W, strides=(1, 2, 3)), ConfigurationError, r"(?s)strides.*\(1, 2, 3\)"),
        (lambda: cr.convolution(X, W, dilation=1.5), ConfigurationError, r"dilation: a whole number"),
        (
            lambda: cr.convolution(X, W, padding="some"),
            ConfigurationError,
            r"(?s)'some'.*'valid', 'same'",
        ),
        (lambda: cr.convolution(X, W, padding=-1), ConfigurationError, r"(?s)not a padding.*-1"),
        (lambda: cr.convolution(X, W, padding=((1, 2),)), ConfigurationError, r"\(before, after\)"),
        (lambda: cr.convolution(X, W, padding="causal"), ConfigurationError, r"it is for one axis"),
        (
            lambda: cr.convolution_transpose(X, W),
            ShapeError,
            r"(?s)X \(m, 9, 9, 4\) and W \(3, 3, 4, 8\).*last axis has the 4 channels",
        ),
        (
            lambda: cr.convolution_transpose(X, cr.input("w", (3, 3, 8, 4)), strides=2, output_padding=2),
            ConfigurationError,
            r"(?s)less than a stride.*output_padding 2, strides 2×2",
        ),
        (
            lambda: cr.convolution_transpose(cr.input("x", ("m", 1, 1)), cr.input("w", (2, 1, 1)), padding=1),
            ConfigurationError,
            r"nothing is left of the result",
        ),
        (lambda: cr.max_pool(X, 2, padding=2), ConfigurationError, r"(?s)lie in the padding.*window of 2×2"),
        (lambda: cr.average_pool(cr.input("x", ("m", 4))), ShapeError, r"\(m, length, channels\)"),
        (lambda: cr.max_pool(X, 0), ConfigurationError, r"the window: a whole number of at least 1"),
        (lambda: cr.upsample(X, 2, "cubic"), ConfigurationError, r"(?s)'cubic'.*'nearest' or 'bilinear'"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_sizes(make, error, says):
    with pytest.raises(error, match=says):
        make()
