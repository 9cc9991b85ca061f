"""Shapes, the order of layers, and initial weights that follow torch's generator."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from gdlib import models


def test_mlp_is_linear_layers_with_relu_between():
    model = models.mlp(3, 5, 4, 2)
    assert [type(layer) for layer in model] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    x = torch.randn(7, 3)
    first, second, third = (layer for layer in model if isinstance(layer, nn.Linear))
    torch.testing.assert_close(model(x), third(second(first(x).clamp(min=0)).clamp(min=0)))


def test_two_sizes_are_a_linear_model():
    assert sum(p.numel() for p in models.mlp(10, 1).parameters()) == 11
    assert models.linear(10)(torch.zeros(4, 10)).shape == (4, 1)


def test_weights_follow_the_seed():
    made = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        made.append(models.mlp(64, 32, 10)[0].weight.detach())
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


@pytest.mark.parametrize("sizes", [(3,), (), (3, 0), (3, -1)])
def test_bad_sizes(sizes):
    with pytest.raises(ValueError, match="sizes must"):
        models.mlp(*sizes)
    with pytest.raises(TypeError, match="sizes must be a whole number"):
        models.mlp(3.5, 2)
    with pytest.raises(ValueError, match="inputs must be a whole number of at least 1; got 0"):
        models.linear(0)


@pytest.mark.parametrize(("shape", "conv"), [((9,), nn.functional.conv1d), ((7, 5), nn.functional.conv2d)])
def test_convnet_is_strided_convolutions_with_relu_and_a_linear_layer(shape, conv):
    model = models.convnet(shape, 3, 4, outputs=2, kernel=3)
    x = torch.randn(6, math.prod(shape))
    first, second, last = (layer for layer in model if hasattr(layer, "weight"))
    hidden = conv(x.view(6, 1, *shape), first.weight, first.bias, stride=2, padding=1).clamp(min=0)
    hidden = conv(hidden, second.weight, second.bias, stride=2, padding=1).clamp(min=0)
    torch.testing.assert_close(model(x), last(hidden.flatten(1)))


def test_convnet_of_mnist1d_has_the_size_that_its_layers_say():
    """6 numbers a filter in the first layer, 126 in the two others, and 126 for each class."""
    assert sum(p.numel() for p in models.convnet((40,), 25, 25, 25, kernel=5).parameters()) == 7710


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (((8, 8),), "channels must name at least one layer"),
        (((2, 8, 8), 4), "shape must be \\(length,\\) or \\(height, width\\)"),
        (((0,), 4), "shape must be a whole number of at least 1"),
        (((8,), 0), "channels must be a whole number of at least 1"),
    ],
)
def test_bad_convnets(arguments, said):
    with pytest.raises(ValueError, match=said):
        models.convnet(*arguments)
    with pytest.raises(ValueError, match="kernel must be odd"):
        models.convnet((8,), 4, kernel=2)


def test_gpt_is_torchs_own_encoder_with_a_causal_mask():
    """The same weights in ``nn.TransformerEncoderLayer``: the same scores."""
    torch.manual_seed(0)
    model = models.gpt(50, context=16, width=32, layers=2, heads=4)
    for p in model.parameters():  # the start is too tame to tell much
        torch.nn.init.normal_(p, std=0.3)
    ids = torch.randint(0, 50, (3, 16))
    x = model.tokens(ids) + model.positions.weight
    mask = nn.Transformer.generate_square_subsequent_mask(16)
    for block in model.blocks:
        gelu = partial(nn.functional.gelu, approximate="tanh")
        theirs = nn.TransformerEncoderLayer(32, 4, 128, 0.0, gelu, batch_first=True, norm_first=True)
        pairs = {
            "self_attn.in_proj_weight": block.qkv.weight, "self_attn.in_proj_bias": block.qkv.bias,
            "self_attn.out_proj.weight": block.out.weight, "self_attn.out_proj.bias": block.out.bias,
            "linear1.weight": block.up.weight, "linear1.bias": block.up.bias, "linear2.weight": block.down.weight,
            "linear2.bias": block.down.bias, "norm1.weight": block.norm1.weight, "norm1.bias": block.norm1.bias,
            "norm2.weight": block.norm2.weight, "norm2.bias": block.norm2.bias,
        }  # fmt: skip
        theirs.load_state_dict(pairs)
        x = theirs(x, src_mask=mask, is_causal=True)
    expected = model.norm(x) @ model.tokens.weight.T
    torch.testing.assert_close(model(ids), expected, rtol=1e-4, atol=1e-4)


def test_gpt_has_the_logits_of_transformers_gpt2_with_the_same_weights():
    """GPT-2's Conv1D keeps its weights as (inputs, outputs), the transpose of nn.Linear's."""
    import transformers  # slow to import, and no other test needs it

    torch.manual_seed(0)
    ours = models.gpt(50, context=16, width=32, layers=2, heads=4)
    for p in ours.parameters():  # the start is too tame to tell much
        torch.nn.init.normal_(p, std=0.3)
    config = transformers.GPT2Config(
        vocab_size=50, n_positions=16, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0
    )
    theirs = transformers.GPT2LMHeadModel(config).eval()
    parts = [(theirs.transformer.wte, ours.tokens), (theirs.transformer.wpe, ours.positions)]
    parts.append((theirs.transformer.ln_f, ours.norm))
    for a, b in zip(theirs.transformer.h, ours.blocks, strict=True):
        parts += [(a.ln_1, b.norm1), (a.attn.c_attn, b.qkv), (a.attn.c_proj, b.out)]
        parts += [(a.ln_2, b.norm2), (a.mlp.c_fc, b.up), (a.mlp.c_proj, b.down)]
    with torch.no_grad():
        for to, source in parts:
            to.weight.copy_(source.weight.T if "Conv1D" in type(to).__name__ else source.weight)
            if getattr(to, "bias", None) is not None:
                to.bias.copy_(source.bias)
    assert sum(p.numel() for p in theirs.parameters()) == sum(p.numel() for p in ours.parameters())
    ids = torch.randint(0, 50, (3, 16))
    torch.testing.assert_close(theirs(ids).logits, ours(ids), rtol=1e-4, atol=1e-4)


def test_gpt_looks_back_alone_and_starts_from_knowing_nothing():
    torch.manual_seed(0)
    model = models.gpt(97)
    ids = torch.randint(0, 97, (2, 64))
    changed = ids.clone()
    changed[:, 40] = (ids[:, 40] + 1) % 97
    before, after = model(ids), model(changed)
    assert torch.equal(before[:, :40], after[:, :40])
    assert not torch.equal(before[:, 40:], after[:, 40:])
    loss = models.next_token_loss(before, torch.randint(0, 97, (2, 64)))
    assert loss.item() == pytest.approx(math.log(97), rel=0.05)
    assert model(ids[:, :5]).shape == (2, 5, 97)


def test_the_loss_is_the_mean_over_all_tokens():
    outputs, targets = torch.randn(2, 3, 5), torch.randint(0, 5, (2, 3))
    by_hand = -outputs.log_softmax(-1).gather(-1, targets[..., None]).mean()
    assert models.next_token_loss(outputs, targets).item() == pytest.approx(by_hand.item())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: models.gpt(97, width=100, heads=3), "width must be a multiple of heads = 3; got 100"),
        (lambda: models.gpt(0), "vocabulary must be a whole number of at least 1; got 0"),
        (lambda: models.gpt(9, context=4)(torch.zeros(1, 5, dtype=torch.int64)), "ids must have at most 4 tokens"),
        (lambda: models.recompute(models.mlp(4, 2), models.Block), "model must have a part of the kind Block"),
    ],
)
def test_bad_transformers(make, said):
    with pytest.raises(ValueError, match=said):
        make()
