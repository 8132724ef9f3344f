"""The U-Net and its parts: the paper's sizes, causality, attention by its definition, every form of it."""

import pytest
import torch

from cryingan.models.unet.attention import Attended, CausalBias, CrossAttention, LinearAttention, SelfAttention
from cryingan.models.unet.blocks import FrameMixer, ResidualBlock
from cryingan.models.unet.frames import Double, FrameConvolution, FrameFilter, FrameNorm, Gate, Halve
from cryingan.models.unet.network import Shape, UNet

PAPER = {"width": 64, "multiples": [1, 2, 4]}
SMALL = {"width": 8, "multiples": [1, 2], "blocks": [1, 2], "attention": [False, True], "heads": (2, 4)}


@pytest.fixture(autouse=True)
def same_weights():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize(
    ("inputs", "shape", "count"),
    [
        (3, {"blocks": [3, 3, 3], "attention": [False, True, True], "frames": True}, 23_083_422),
        (
            4,
            {
                "blocks": [3, 3, 3],
                "attention": [False, True, True],
                "linear_attention": True,
                "middle_feed_forward": True,
            },
            18_952_607,
        ),
        (
            4,
            {
                "blocks": [2, 4, 8],
                "attention": [False, False, True],
                "given_image": True,
                "halve_first": True,
                "middle_feed_forward": True,
            },
            47_100_354,
        ),
    ],
)
def test_parameters_of_the_benchmark(inputs, shape, count):
    with torch.device("meta"):
        network = UNet(inputs, Shape(**PAPER, **shape))
    assert sum(parameter.numel() for parameter in network.parameters()) == count


FORMS = [
    {"frames": True},
    {"linear_attention": True, "middle_feed_forward": True},
    {"halve_first": True},
    {"given_image": True, "halve_first": True, "middle_feed_forward": True},
    {"frames": True, "halve_first": True},
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: " ".join(form))
@pytest.mark.parametrize(("frames", "rows", "dtype"), [(1, 8, torch.float64), (5, 4, torch.float32)])
def test_every_form_keeps_shapes_and_uses_every_weight(form, frames, rows, dtype):
    shape = Shape(**SMALL, **form)
    if frames > 1 and not shape.frames:
        frames = 1
    network = UNet(3, shape).to(dtype)
    images, log_snr = torch.randn(2, frames, 3, rows, rows, dtype=dtype), torch.tensor([-3.0, 2.0], dtype=dtype)
    given = (torch.randn_like(images), log_snr + 1) if shape.given_image else ()
    assert not network(images, log_snr, *given).any(), "zero before training"
    for parameter in network.parameters():  # layers that begin as the identity or as zero take part as well
        torch.nn.init.normal_(parameter, std=0.3)
    found = network(images, log_snr, *given)
    assert found.shape == images.shape
    assert found.dtype == dtype
    found.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    alone = network(images[:1], log_snr[:1], *(one[:1] for one in given))
    torch.testing.assert_close(alone, found[:1], rtol=1e-3, atol=1e-4)
    assert not torch.allclose(network(images, log_snr + 1, *given), found)


@pytest.mark.parametrize("frame", [0, 2, 4])
@pytest.mark.parametrize("part", ["convolution", "filter", "mixer"])
def test_frames_see_none_that_come_later(part, frame):
    made = {
        "convolution": lambda: FrameConvolution(8, 8, 3, True),
        "filter": lambda: FrameFilter(8),
        "mixer": lambda: FrameMixer(8, (2, 4)),
    }
    layer = made[part]().double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    images = torch.randn(2, 5, 8, 2, 2, dtype=torch.float64)
    changed = images.clone()
    changed[:, frame] += torch.randn(2, 8, 2, 2, dtype=torch.float64)
    differs = (layer(images) - layer(changed)).abs().amax(dim=(0, 2, 3, 4))
    assert (differs[:frame] < 1e-12).all()
    reach = 5 if part == "mixer" else 3
    assert (differs[frame : frame + reach] > 1e-6).all()
    assert (differs[frame + reach :] < 1e-12).all()


def test_layers_over_frames_begin_as_the_identity():
    images = torch.randn(2, 5, 8, 4, 4)
    convolution, attention = FrameConvolution(8, 8, 3, True), SelfAttention(8, 2, 4, causal=True)
    pixels = torch.stack([convolution.pixels(images[:, frame]) for frame in range(5)], dim=1)
    torch.testing.assert_close(convolution(images), pixels)
    tokens = torch.randn(3, 5, 8)
    torch.testing.assert_close(attention(tokens), tokens)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
def test_attention_by_its_definition(shared, with_bias):
    heads, width, n = 3, 4, 5
    attended = Attended(heads, width).double()
    for parameter in attended.parameters():
        torch.nn.init.normal_(parameter)
    queries = torch.randn(2, heads, n, width, dtype=torch.float64)
    keys, values = torch.randn(2, 2, 1 if shared else heads, 6, width, dtype=torch.float64)
    bias = torch.randn(heads, n, 7, dtype=torch.float64) if with_bias else None
    found = attended(queries, keys, values, bias).unflatten(-1, (heads, width))
    for structure in range(2):
        for head in range(heads):
            own = 0 if shared else head
            all_keys = torch.cat([attended.null[:1], keys[structure, own]])
            all_values = torch.cat([attended.null[1:], values[structure, own]])
            for query in range(n):
                one = queries[structure, head, query]
                one = one / one.norm() * attended.query_scale
                cosines = (all_keys / all_keys.norm(dim=1, keepdim=True) * attended.key_scale) @ one
                weights = (8 * cosines + (0 if bias is None else bias[head, query])).softmax(dim=0)
                torch.testing.assert_close(found[structure, query, head], weights @ all_values)


def test_bias_is_a_function_of_how_much_later_a_token_is():
    bias = CausalBias(8, 3).double()
    torch.nn.init.normal_(bias.null)
    found = bias(5)
    for query in range(5):
        assert found[:, query, 0].equal(bias.null)
        for key in range(5):
            later = torch.tensor([float(query - key)], dtype=torch.float64)
            expected = bias.function(later) if query >= key else torch.full((3,), -torch.inf, dtype=torch.float64)
            torch.testing.assert_close(found[:, query, 1 + key], expected)


def test_linear_attention_by_its_definition():
    heads, width = 2, 3
    layer = LinearAttention(8, 4, heads, width).double()
    images, context = torch.randn(2, 8, 3, 5, dtype=torch.float64), torch.randn(2, 4, 4, dtype=torch.float64)
    normed = layer.norm(images.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    queries, keys, values = (part(normed).flatten(2) for part in (layer.queries, layer.keys, layer.values))
    more = layer.context(context).transpose(1, 2)
    found = layer(images, context)
    for structure in range(2):
        heads_found = []
        for head in range(heads):
            own = slice(head * width, (head + 1) * width)
            other = slice((heads + head) * width, (heads + head + 1) * width)
            key = torch.cat([keys[structure, own], more[structure, own]], dim=1).softmax(dim=1)
            value = torch.cat([values[structure, own], more[structure, other]], dim=1)
            weights = queries[structure, own].softmax(dim=0).T @ key / width**0.5  # (pixels, keys)
            heads_found.append(weights @ value.T)
        expected = layer.out(torch.cat(heads_found, dim=1)).T.view(8, 3, 5)
        torch.testing.assert_close(found[structure] - images[structure], expected)


def test_cross_attention_of_a_token_alone():
    """A context whose keys lie opposite to the query is not heard: what is learned for nothing is the answer."""
    layer = CrossAttention(8, 4, 2, 4).double()
    tokens = torch.randn(2, 3, 8, dtype=torch.float64)
    queries = layer.queries(layer.norm(tokens))
    layer.keys_values = torch.nn.Linear(4, 16, bias=False).double()
    layer.attended.null.data[0] = queries[0, 0, :4]
    layer.attended.key_scale.data *= 1000
    with torch.no_grad():
        layer.keys_values.weight[:4] = -queries[0, 0, :4, None] / 4
    found = layer(tokens, torch.ones(2, 1, 4, dtype=torch.float64))
    attended = torch.cat([layer.attended.null[1], torch.zeros(4).double()])
    second = (found - tokens)[0, 0]
    value = layer.keys_values.weight[12:].sum(dim=1)
    score = (
        torch.nn.functional.normalize(queries[0, 0, 4:], dim=0)
        @ torch.nn.functional.normalize(
            torch.stack([layer.attended.null[0], layer.keys_values.weight[4:8].sum(dim=1)]), dim=1
        ).T
    )
    attended[4:] = (8000 * score).softmax(dim=0) @ torch.stack([layer.attended.null[1], value])
    torch.testing.assert_close(second, layer.out(attended))


def test_normalisation_is_over_frames_too():
    layer, images = FrameNorm(2, 4).double(), torch.randn(2, 3, 4, 2, 2, dtype=torch.float64)
    for structure, group in ((0, 0), (1, 1)):
        own = images[structure, :, 2 * group : 2 * group + 2]
        expected = (own - own.mean()) / (own.var(correction=0) + layer.eps).sqrt()
        torch.testing.assert_close(layer(images)[structure, :, 2 * group : 2 * group + 2], expected)


def test_gate_is_a_factor_of_a_channel():
    layer, images = Gate(8).double(), torch.randn(2, 3, 8, 2, 4, dtype=torch.float64)
    factors = layer(images) / images
    torch.testing.assert_close(factors, factors[:, :1, :, :1, :1].expand_as(factors))
    weights = layer.weigh(images.permute(0, 1, 3, 4, 2)).flatten(1).softmax(dim=1).view(2, 3, 1, 2, 4)
    mean = (weights * images).sum(dim=(1, 3, 4))
    torch.testing.assert_close(factors[:, 0, :, 0, 0], layer.factor(mean))


def test_pixels_are_halved_and_doubled():
    images = torch.randn(2, 3, 2, 4, 6)
    halve, double = Halve(2, 5), Double(5, 2)
    assert halve(images).shape == (2, 3, 5, 2, 3)
    assert double(halve(images)).shape == images.shape
    weights, bias = halve.linear.weight[:, :, 0, 0], halve.linear.bias
    corner = images[0, 1, :, 2:4, 4:6].flatten()  # the four pixels of (1, 2)
    torch.testing.assert_close(halve(images)[0, 1, :, 1, 2], weights @ corner + bias)


def test_time_scales_and_shifts():
    block = ResidualBlock(8, 8, 6, over_frames=False)
    images, time, tokens = torch.randn(1, 1, 8, 4, 4), torch.randn(1, 6), torch.empty(1, 0, 0)
    with torch.no_grad():
        block.time.weight.zero_()
        block.time.bias[:8], block.time.bias[8:] = -1.0, 0.0  # nothing is left but the bias of the last convolution
    expected = images + block.convolutions[1].pixels.bias[:, None, None]
    torch.testing.assert_close(block(images, time, tokens), expected)
