"""Small models. Their initial weights come from torch's global generator: call ``torch.manual_seed`` first."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from gdlib import _check


def linear(inputs: int, outputs: int = 1) -> nn.Linear:
    """A linear model with an intercept: ``(n, inputs) -> (n, outputs)``.

    Raises:
        TypeError, ValueError: if a size is not a whole number of at least 1.

    Example:
        >>> linear(10)
        Linear(in_features=10, out_features=1, bias=True)
    """
    return nn.Linear(_check.whole("inputs", inputs), _check.whole("outputs", outputs))


def mlp(*sizes: int) -> nn.Sequential:
    """A multi-layer perceptron with ReLU between its layers: ``(n, sizes[0]) -> (n, sizes[-1])``.

    Args:
        sizes: the width of every layer from the inputs to the outputs; at least two.

    Raises:
        TypeError, ValueError: if a size is not a whole number of at least 1, or fewer than two are given.

    Example:
        >>> [tuple(p.shape) for p in mlp(64, 32, 10).parameters()]
        [(32, 64), (32,), (10, 32), (10,)]
    """
    sizes = [_check.whole("sizes", size) for size in sizes]
    if len(sizes) < 2:
        raise ValueError(f"sizes must name at least the inputs and the outputs; got {sizes}")
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes, sizes[1:]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def convnet(shape: Sequence[int], *channels: int, outputs: int = 10, kernel: int = 3) -> nn.Sequential:
    """A convolutional network: ``(n, product of shape) -> (n, outputs)``, as flat as the inputs of `mlp`.

    Each layer slides its filters over the places that are left, two at a time (stride 2), and is followed by ReLU: so many
    places halve, rounded up, from layer to layer. A linear layer reads what remains.

    Args:
        shape: of one sample: ``(length,)`` for a curve, ``(height, width)`` for a picture.
        channels: how many filters each layer has; at least one layer.
        outputs: how many numbers come out.
        kernel: how many places a filter spans in each direction; odd.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> import torch
        >>> convnet((8, 8), 16, 32)(torch.zeros(5, 64)).shape, convnet((40,), 25, 25, 25, kernel=5)(torch.zeros(5, 40)).shape
        (torch.Size([5, 10]), torch.Size([5, 10]))
    """
    shape = [_check.whole("shape", size) for size in shape]
    channels = [_check.whole("channels", count) for count in channels]
    outputs, kernel = _check.whole("outputs", outputs), _check.whole("kernel", kernel)
    if len(shape) not in (1, 2):
        raise ValueError(f"shape must be (length,) or (height, width); got {tuple(shape)}")
    if not channels:
        raise ValueError("channels must name at least one layer; got none")
    if kernel % 2 == 0:
        raise ValueError(f"kernel must be odd, to have a middle; got {kernel}")
    conv = nn.Conv1d if len(shape) == 1 else nn.Conv2d
    layers: list[nn.Module] = [nn.Unflatten(-1, (1, *shape))]
    for before, after in zip([1, *channels], channels):
        layers += [conv(before, after, kernel, stride=2, padding=kernel // 2), nn.ReLU()]
        shape = [(size + 1) // 2 for size in shape]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * math.prod(shape), outputs))


class Block(nn.Module):
    """A layer of GPT-2: attention to what came before, then a perceptron on each token; ``(n, t, width)`` to the same."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        qkv = (
            self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        )  # (3, n, heads, t, width/heads)
        mixed = F.scaled_dot_product_attention(*qkv, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class GPT(nn.Module):
    """A decoder-only transformer, of the shape of GPT-2 (Radford et al. 2019); see `gpt`."""

    def __init__(self, vocabulary: int, context: int, width: int, layers: int, heads: int):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        for name, p in self.named_parameters():
            if p.ndim == 2:  # what is added to the residual stream 2 × layers times starts smaller by the root of that
                added = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(p, std=0.02 / (2 * layers) ** 0.5 if added else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, ids: Tensor) -> Tensor:
        if ids.shape[-1] > len(self.positions.weight):
            raise ValueError(f"ids must have at most {len(self.positions.weight)} tokens; got shape {tuple(ids.shape)}")
        x = self.tokens(ids) + self.positions.weight[: ids.shape[-1]]
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), self.tokens.weight)


def gpt(vocabulary: int, context: int = 64, width: int = 128, layers: int = 4, heads: int = 4) -> GPT:
    """A small language model: ``(n, t) -> (n, t, vocabulary)``, int64 tokens to a score for each possible next one.

    As in GPT-2: positions are learnt, norms come first, the embedding is the head too. The default has 0.8 million parameters.
    Train it with `next_token_loss`.

    Args:
        vocabulary: how many tokens there are.
        context: how many of them are read at once, at most.
        width: numbers by which a token is represented; a multiple of ``heads``.
        layers: how many blocks.
        heads: how many attentions side by side in each.

    Raises:
        TypeError, ValueError: if an argument is not a whole number of at least 1, or ``heads`` does not divide ``width``.

    Example:
        >>> import torch
        >>> model = gpt(97)
        >>> model(torch.zeros(2, 10, dtype=torch.int64)).shape, sum(p.numel() for p in model.parameters())
        (torch.Size([2, 10, 97]), 813952)
    """
    sizes = {"vocabulary": vocabulary, "context": context, "width": width, "layers": layers, "heads": heads}
    sizes = {name: _check.whole(name, size) for name, size in sizes.items()}
    if width % heads:
        raise ValueError(f"width must be a multiple of heads = {heads}; got {width}")
    return GPT(**sizes)


def next_token_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy in nats over all tokens: outputs ``(n, t, vocabulary)``, targets ``(n, t)``, to a scalar.

    Example:
        >>> import torch
        >>> loss = next_token_loss(torch.zeros(2, 10, 97), torch.zeros(2, 10, dtype=torch.int64))
        >>> abs(loss.item() - math.log(97)) < 1e-5  # knowing nothing: all 97 are as likely
        True
    """
    return F.cross_entropy(outputs.flatten(0, 1), targets.flatten())


def recompute(model: nn.Module, kind: type[nn.Module]) -> nn.Module:
    """Have every part of ``model`` of a ``kind`` keep its inputs alone, and compute the rest again in the backward pass.

    Activation checkpointing (Chen et al. 2016): a fifth to a third more arithmetic, and activations of one such part at a time.

    Returns:
        The same model.

    Raises:
        ValueError: if the model has no such part.

    Example:
        >>> _ = recompute(gpt(97), Block)
    """
    parts = [module for module in model.modules() if isinstance(module, kind)]
    if not parts:
        raise ValueError(f"model must have a part of the kind {kind.__name__}; got none")
    for part in parts:
        part.forward = partial(checkpoint, part.forward, use_reentrant=False)
    return model


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """``model`` in evaluation mode within a ``with`` block; each of its parts is then put back into the mode it had.

    Example:
        >>> model = mlp(4, 2)
        >>> with evaluating(model):
        ...     print(model.training)
        False
        >>> model.training
        True
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
