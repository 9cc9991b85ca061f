"""A function of tensors, written down once as the plain operations it comes to, and played again without Python's detours.

Under ``vmap`` and autograd a small model spends most of a step on dispatch: every operation passes through three layers before
it computes. What arrives below these layers is a straight list of operations. `record` keeps that list, as a ``torch.fx`` graph, and
plays it. That is right only while the list does not depend on the values in the tensors or on anything that Python remembers from
call to call; so tape and function are compared on other values, and the tape is refused where they differ.
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._python_dispatch import TorchDispatchMode

Outputs = tuple[Tensor, ...]
aten = torch.ops.aten
NARROW = (
    64  # torch's softmax over a last dimension up to about this wide is up to forty times slower than over a first one
)
THIN = 16  # ... and a product of that width twice as slow as its transpose
FIRST = {
    aten._log_softmax.default,
    aten._log_softmax_backward_data.default,
    aten._softmax.default,
    aten._softmax_backward_data.default,
}
FILLED = {
    aten.scalar_tensor.default,
    aten.ones_like.default,
    aten.zeros_like.default,
    aten.new_zeros.default,
    aten.new_ones.default,
    aten.full.default,
    aten.zeros.default,
    aten.ones.default,
}
SAME = {aten.expand.default, aten.view.default, aten._unsafe_view.default, aten.detach.default, aten.alias.default}


def record(
    function: Callable[..., Outputs], example: Sequence[Tensor], other: Sequence[Tensor]
) -> Callable[..., Outputs] | None:
    """``function`` as a tape, or ``None`` where the tape does not give what the function gives.

    Args:
        function: from tensors to a tuple of tensors; nothing it returns may be a view of what it is given.
        example: arguments to record.
        other: arguments of the same shapes, on which tape and function are compared.
    """
    for recording in (
        _Shortening,
        _Recording,
    ):  # what writes into tensors, or hangs on how they lie, is played as it is
        try:
            tape = _graph(function, example, recording)
            wanted, got = function(*other), tape(*other)
        except (RuntimeError, NotImplementedError, ValueError, TypeError):
            continue
        if all(torch.allclose(a, b, rtol=1e-4, atol=1e-6, equal_nan=True) for a, b in zip(wanted, got)):
            return tape.forward
    return None


def _graph(
    function: Callable[..., Outputs], example: Sequence[Tensor], recording: type["_Recording"]
) -> fx.GraphModule:
    mode = recording(example)
    with mode:
        outputs = function(*example)
    mode.graph.output(tuple(mode.result(output) for output in outputs))
    if recording is _Shortening:
        mode.graph.eliminate_dead_code()
    return fx.GraphModule(mode.constants, mode.graph)


class _Recording(TorchDispatchMode):
    """Writes a node for each operation."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:  # torch would import its compiler, for a second, to keep that away from here
        return False

    def __init__(self, inputs: Sequence[Tensor]):
        super().__init__()
        self.graph = fx.Graph()
        self.constants: dict[str, Tensor] = {}
        self.nodes = {id(tensor): self.graph.placeholder(f"x{k}") for k, tensor in enumerate(inputs)}
        self.kept: list[Any] = list(inputs)  # so that no id is given twice

    def node(self, value: Any) -> Any:
        """The node of a tensor, also within lists; one that no operation made is a constant."""
        if isinstance(value, (tuple, list)):
            return type(value)(map(self.node, value))
        if not isinstance(value, Tensor):
            return value
        if id(value) not in self.nodes:
            name = f"c{len(self.constants)}"
            self.constants[name] = value.detach()
            self.nodes[id(value)] = self.graph.create_node("get_attr", name)
            self.kept.append(value)
        return self.nodes[id(value)]

    result = node

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        made = func(*args, **kwargs)
        self.kept.append(made)
        node = self.write(func, args, kwargs, made)
        if isinstance(made, Tensor) and node is not None:
            self.nodes[id(made)] = node
        elif isinstance(made, (tuple, list)):
            for k, part in enumerate(made):
                if isinstance(part, Tensor):
                    self.nodes[id(part)] = self.add(operator.getitem, node, k)
        return made

    def write(self, func: Any, args: tuple, kwargs: dict, made: Any) -> fx.Node | None:
        return self.graph.call_function(
            func, self.node(args), {name: self.node(value) for name, value in kwargs.items()}
        )

    def add(self, target: Callable, *taken: Any, **named: Any) -> fx.Node:
        return self.graph.call_function(target, taken, named)


class _Shortening(_Recording):
    """Writes no node for what does nothing, was computed before, or depends on no input; and faster ones where that is known."""

    def __init__(self, inputs: Sequence[Tensor]):
        super().__init__(inputs)
        self.known: dict[Any, fx.Node] = {}

    def add(self, target: Callable, *taken: Any, **named: Any) -> fx.Node:
        key = (target, str(taken), str(named))
        if key not in self.known:
            self.known[key] = super().add(target, *taken, **named)
        return self.known[key]

    def write(self, func: Any, args: tuple, kwargs: dict, made: Any) -> fx.Node | None:
        if func._schema.is_mutable or torch.Tag.nondeterministic_seeded in func.tags:
            raise NotImplementedError(f"{func} cannot be moved")
        taken, named = self.node(args), {name: self.node(value) for name, value in kwargs.items()}
        if func in FILLED or all(node.op == "get_attr" for node in _nodes((*taken, *named.values()))):
            return None  # a constant
        if func is aten.mul.Scalar and args[1] == 1 and args[0].dtype == made.dtype:  # addmm's alpha and beta
            return taken[0]
        if func in SAME and args[0].shape == made.shape and args[0].stride() == made.stride():
            return taken[0]
        if func is aten.transpose.int and set(args[1:]) == {1, 2} and made.ndim == 3:
            return self.transposed(taken[0])
        if func is aten.bmm.default and made.shape[-1] <= THIN and _is_transposed(taken[1]):
            return self.transposed(self.add(aten.bmm.default, taken[1].args[0], self.transposed(taken[0])))
        if func is aten.add.Tensor and not named and args[0].ndim == args[1].ndim == 3 and args[1].shape == made.shape:
            return self.sum(taken[0], taken[1])
        if func in FIRST and args[0].is_cpu and args[0].ndim > 1 and taken[-2] in (-1, args[0].ndim - 1):
            *tensors, _, more = taken
            if _is_transposed(tensors[-1]):
                return self.transposed(self.add(func, *map(self.transposed, tensors), 1, more))
            if args[0].shape[-1] <= NARROW:
                return self.add(_over_the_first, func, *tensors, more)
        return self.add(func, *taken, **named)

    def transposed(self, node: fx.Node) -> fx.Node:
        return node.args[0] if _is_transposed(node) else self.add(aten.transpose.int, node, 1, 2)

    def sum(self, bias: fx.Node, product: fx.Node) -> fx.Node:
        """A bias and a product in one operation."""
        if product.target is aten.bmm.default:
            return self.add(aten.baddbmm.default, bias, *product.args)
        if _is_transposed(product) and product.args[0].target is aten.bmm.default:
            return self.transposed(self.add(aten.baddbmm.default, self.transposed(bias), *product.args[0].args))
        return self.add(aten.add.Tensor, bias, product)

    def result(self, value: Tensor) -> fx.Node:
        """(A B)ᵀ as Bᵀ Aᵀ, so that a weight's gradient lies in memory as the weight does."""
        node = self.node(value)
        if _is_transposed(node) and node.args[0].target is aten.bmm.default:
            a, b = node.args[0].args
            return self.add(aten.bmm.default, self.transposed(b), self.transposed(a))
        return node


def _is_transposed(node: fx.Node) -> bool:
    return node.target is aten.transpose.int and set(node.args[1:]) == {1, 2}


def _nodes(values: Iterable[Any]) -> Iterator[fx.Node]:
    for value in values:
        if isinstance(value, fx.Node):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from _nodes(value)


def _over_the_first(func: Callable, *values: Any) -> Tensor:
    """An operation along the last dimension, done along a first one; the last of ``values`` is what comes after the dimension."""
    *tensors, more = values
    moved = [tensor.movedim(-1, 0).contiguous() for tensor in tensors]
    return func(*moved, 0, more).movedim(0, -1).contiguous()
