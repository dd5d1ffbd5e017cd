"""ONNX operators that become convolutions and matrix products.

Weights keep the name and the values of their initializer. A fully connected layer's weight is (K, C), as a
convolution's is (K, C, R, S): where the file has (C, K) its transpose is kept as "<name>.T". A MatMul by a constant
has no bias; an Add of a constant behind it stays a layer of its own and counts the bias among its parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from hwsim.errors import InputError
from hwsim.ir import shapes
from hwsim.ir.layer import Shape
from hwsim.ir.onnx.constants import Constant
from hwsim.ir.onnx.lowering import Lowering, Node, NotSimulatedError


@dataclass(frozen=True)
class Window:
    """A sliding window of rows and columns; that of a sequence (N, C, L) has one row."""

    kernel: shapes.Pair
    stride: shapes.Pair
    dilation: shapes.Pair
    padding: shapes.Padding


def image(g: Lowering, node: Node, index: int = 0) -> tuple[str, Shape]:
    """Return an operand as an image (N, C, H, W), and its own shape; a sequence (N, C, L) becomes one row."""
    layer = g.operand(node, index)
    shape = g.net.shape_of(layer)
    if len(shape) == 3:
        return g.relayout(node.sub("rows"), layer, (shape[0], shape[1], 1, shape[2])), shape
    if len(shape) != 4:
        raise NotSimulatedError  # three and more spatial dimensions
    return layer, shape


def window(node: Node, kernel: tuple[int, ...], extent: tuple[int, ...]) -> Window:
    """Return the window of a convolution or pooling over `extent`, from the attributes of its node."""
    rank = len(extent)
    ones = (1,) * (2 - rank)
    stride = ones + node.numbers("strides", (1,) * rank, rank)
    dilation = ones + node.numbers("dilations", (1,) * rank, rank)
    taps, size = ones + kernel, ones + extent
    pads = node.numbers("pads", (0,) * 2 * rank, 2 * rank)
    zeros = (0,) * (2 - rank)
    padding = (*zeros, *pads[:rank], *zeros, *pads[rank:])
    mode = node.text("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        _check_steps(node, taps, stride, dilation)
        top, left, bottom, right = shapes.same_padding(_pair(size), _pair(taps), _pair(stride), _pair(dilation))
        padding = (top, left, bottom, right) if mode == "SAME_UPPER" else (bottom, right, top, left)
    elif mode == "VALID":
        padding = (0, 0, 0, 0)
    elif mode != "NOTSET":
        raise InputError(f"layer '{node.name}': auto_pad '{mode}' is none of NOTSET, SAME_UPPER, SAME_LOWER and VALID")
    sides = shapes.padding(padding, f"padding of layer '{node.name}'")
    return Window(_pair(taps), _pair(stride), _pair(dilation), sides)


def _pair(values: tuple[int, ...]) -> shapes.Pair:
    return values[0], values[1]


def _check_steps(node: Node, *sizes: tuple[int, ...]) -> None:
    if min(min(size) for size in sizes) < 1:
        raise InputError(f"layer '{node.name}': kernel, stride and dilation must be at least 1")


def conv(g: Lowering, node: Node) -> str:
    """Conv: images (N, C, H, W) and sequences (N, C, L)."""
    return _conv(g, node, weight=1, bias=2)


def conv_integer(g: Lowering, node: Node) -> str:
    """ConvInteger: a convolution without bias; its zero points are not counted as work."""
    return _conv(g, node, weight=1, bias=None)


def quantised_conv(g: Lowering, node: Node) -> str:
    """QLinearConv: scales and zero points are not counted as work."""
    return _conv(g, node, weight=3, bias=8)


def _conv(g: Lowering, node: Node, weight: int, bias: int | None) -> str:
    kernel = g.weight(node, weight).shape
    x, shape = image(g, node)
    groups = node.number("group", 1)
    if len(kernel) != len(shape) or groups < 1 or kernel[1] * groups != shape[1]:
        raise InputError(
            f"layer '{node.name}': weight '{node.inputs[weight]}' of shape {kernel} does not convolve "
            f"{shape} in {groups} groups"
        )
    if node.numbers("kernel_shape", kernel[2:]) != kernel[2:]:
        raise InputError(f"layer '{node.name}' has a weight of shape {kernel} and another kernel in its kernel_shape")
    has_bias = bias is not None and node.has(bias)
    learned = [weight, bias] if bias is not None and node.has(bias) else [weight]
    if bias is not None and has_bias:
        g.check_weight(node, bias, kernel[:1])
    w = window(node, kernel[2:], shape[2:])
    names = g.kept(node, learned)
    flat = len(shape) == 4
    y = g.net.conv(
        node.name,
        x,
        kernel[0],
        w.kernel,
        stride=w.stride,
        padding=w.padding,
        dilation=w.dilation,
        groups=groups,
        bias=has_bias,
        weights=names,
    )
    g.learn(y, [g.weight(node, index) for index in learned])
    batch, channels, _, cols = g.net.shape_of(y)
    return y if flat else g.relayout(node.sub("sequence"), y, (batch, channels, cols))


def gemm(g: Lowering, node: Node) -> str:
    """Gemm: alpha A' B' + beta C, with A' or B' transposed as its attributes say."""
    if g.constant(node, 1) is None or g.constant(node, 0) is not None:
        return _gemm_of_activations(g, node)
    x = _transposed_if(g, node, 0, "transA")
    matrix = g.weight(node, 1)
    if len(matrix.shape) != 2 or len(g.net.shape_of(x)) != 2:
        raise InputError(f"layer '{node.name}': no matrix product of shapes {g.net.shape_of(x)} and {matrix.shape}")
    is_kc = node.number("transB", 0) != 0
    features = matrix.shape[0 if is_kc else 1]
    added = g.constant(node, 2)
    bias = added is not None and added.shape in ((features,), (1, features))
    weights = [_kept_matrix(g, node.inputs[1], matrix, is_kc), *(g.kept(node, [2]) if bias else ())]
    if node.real("alpha", 1.0) != 1.0 or node.real("beta", 1.0) != 1.0:
        g.note(f"the weights of '{node.name}' are kept as they are, not multiplied by alpha and beta")
    y = _linear(g, node, node.name, x, matrix, is_kc, bias, weights)
    g.learn(y, [matrix, *([added] if added is not None and bias else [])])
    return y if bias or not node.has(2) else _plus(g, node, y, 2)


def _linear(
    g: Lowering, node: Node, name: str, x: str, matrix: Constant, is_kc: bool, bias: bool, weights: list[str]
) -> str:
    features, depth = matrix.shape if is_kc else matrix.shape[::-1]
    shape = g.net.shape_of(x)
    if shape[-1] != depth:
        raise InputError(f"layer '{node.name}': weight '{matrix.origin}' {matrix.shape} does not multiply {shape}")
    return g.net.linear(name, x, features, bias=bias, weights=tuple(weights))


def _kept_matrix(g: Lowering, name: str, matrix: Constant, is_kc: bool) -> str:
    """Keep a matrix as (K, C) and return its name, with ".T" where that transposes it."""
    if is_kc:
        return g.keep(name, matrix.array)
    return g.keep(f"{name}.T", None if matrix.array is None else matrix.array.T)


def _transposed_if(g: Lowering, node: Node, index: int, attribute: str) -> str:
    x = g.operand(node, index)
    return _swapped(g, node, x, attribute) if node.number(attribute, 0) else x


def _swapped(g: Lowering, node: Node, x: str, part: str) -> str:
    """Return `x` with its last two dimensions swapped."""
    shape = g.net.shape_of(x)
    if len(shape) < 2:
        raise InputError(f"layer '{node.name}' transposes a matrix, but '{x}' has shape {shape}")
    return g.relayout(node.sub(part), x, (*shape[:-2], shape[-1], shape[-2]), "transpose")


def _gemm_of_activations(g: Lowering, node: Node) -> str:
    a, b = _transposed_if(g, node, 0, "transA"), _transposed_if(g, node, 1, "transB")
    y = g.net.matmul(node.name, a, b)
    return _plus(g, node, y, 2) if node.has(2) else y


def _plus(g: Lowering, node: Node, y: str, index: int) -> str:
    """Return `y` plus an operand of the node, in a layer of its own."""
    added = g.constant(node, index)
    if added is None:
        return g.net.elementwise(node.sub("add"), y, g.operand(node, index))
    shapes.broadcast(node.name, (g.net.shape_of(y), added.shape))
    return g.learn(g.net.elementwise(node.sub("add"), y), [added] if added.is_learned else [], g.kept(node, [index]))


def matmul(g: Lowering, node: Node) -> str:
    """MatMul and MatMulInteger: by a constant a fully connected layer, otherwise a product of two activations."""
    return _matmul(g, node, 0, 1)


def quantised_matmul(g: Lowering, node: Node) -> str:
    """QLinearMatMul: scales and zero points are not counted as work."""
    return _matmul(g, node, 0, 3)


def _matmul(g: Lowering, node: Node, first: int, second: int) -> str:
    left, right = g.constant(node, first), g.constant(node, second)
    if right is not None:
        return _matmul_by_constant(g, node, g.operand(node, first), node.inputs[second], right)
    if left is not None:
        return _constant_by_matmul(g, node, node.inputs[first], left, g.operand(node, second))
    a, b = g.operand(node, first), g.operand(node, second)
    shape_a, shape_b = g.net.shape_of(a), g.net.shape_of(b)
    if not shape_a or not shape_b:
        raise InputError(f"layer '{node.name}': no matrix product of shapes {shape_a} and {shape_b}")
    a = g.relayout(node.sub("row"), a, (1, *shape_a)) if len(shape_a) == 1 else a
    b = g.relayout(node.sub("column"), b, (*shape_b, 1)) if len(shape_b) == 1 else b
    y = g.net.matmul(node.name, a, b)
    shape = list(g.net.shape_of(y))
    del shape[len(shape) - (len(shape_b) == 1) :]
    if len(shape_a) == 1:
        del shape[len(shape) - (2 if len(shape_b) > 1 else 1)]
    return g.relayout(node.sub("vector"), y, shape)


def _matmul_by_constant(g: Lowering, node: Node, x: str, name: str, matrix: Constant) -> str:
    if not g.net.shape_of(x) or not matrix.shape or not matrix.size:
        raise InputError(f"layer '{node.name}': no matrix product of shapes {g.net.shape_of(x)} and {matrix.shape}")
    if len(matrix.shape) == 1:
        array = None if matrix.array is None else matrix.array.reshape(-1, 1)
        column = Constant((*matrix.shape, 1), matrix.elem, matrix.origin, array)
        y = _linear(g, node, node.name, x, column, False, False, [_kept_matrix(g, name, column, False)])
        return g.relayout(node.sub("vector"), g.learn(y, [matrix]), g.net.shape_of(y)[:-1])
    if len(matrix.shape) > 2:
        return _batched_by_constant(g, node, x, name, matrix)
    y = _linear(g, node, node.name, x, matrix, False, False, [_kept_matrix(g, name, matrix, False)])
    return g.learn(y, [matrix])


def _batched_by_constant(g: Lowering, node: Node, x: str, name: str, matrices: Constant) -> str:
    """A product (..., G, M, C) by constants (G, C, K): the matrices are the groups of one layer."""
    shape, lead = g.net.shape_of(x), matrices.shape[:-2]
    while lead[:1] == (1,):
        lead = lead[1:]
    depth, features = matrices.shape[-2:]
    if shape[-1] != depth or len(shape) < 2 + len(lead) or shape[len(shape) - 2 - len(lead) : -2] != lead:
        raise NotSimulatedError
    groups = prod(lead)
    array = None if matrices.array is None else matrices.array.swapaxes(-1, -2).reshape(*lead, features, depth)
    y = g.net.linear(node.name, x, features, bias=False, weights=(g.keep(f"{name}.T", array),))
    return g.learn(y, [matrices], N=prod(shape[:-1]) // groups, G=groups)


def _constant_by_matmul(g: Lowering, node: Node, name: str, matrix: Constant, x: str) -> str:
    """A B with a constant A is (B^T A^T)^T: A is a weight (K, C) already."""
    if len(matrix.shape) != 2 or len(g.net.shape_of(x)) < 2:
        raise NotSimulatedError
    columns = _swapped(g, node, x, "columns")
    y = _linear(g, node, node.name, columns, matrix, True, False, [_kept_matrix(g, name, matrix, True)])
    return _swapped(g, node, g.learn(y, [matrix]), "rows")


PRODUCTS = {
    "Conv": conv,
    "ConvInteger": conv_integer,
    "Gemm": gemm,
    "MatMul": matmul,
    "MatMulInteger": matmul,
    "QLinearConv": quantised_conv,
    "QLinearMatMul": quantised_matmul,
}
