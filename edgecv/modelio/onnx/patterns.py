"""What several nodes of an exporter stand for: SiLU, GELU, layer normalisation, a product with a bias, and so on.

Each pattern looks at one node, its last, and says what stands for it; nodes that nothing takes any more go away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from edgecv.modelio.onnx.net import Array, Net, Node

CLOSE = 1e-3
"""Relative distance of a constant from the one of a formula: exporters write 1.4142 and 0.7978."""


class Graph:
    """A net, with who gives and who takes each tensor."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.makers, self.takers = net.producers(), net.consumers()

    def maker(self, name: str, op: str) -> Node | None:
        """Return the node that gives a tensor when it is of a kind."""
        found = self.makers.get(name)
        return found if found is not None and found.op == op else None

    def alone(self, name: str) -> bool:
        """Say whether one node takes a tensor and nothing else."""
        return len(self.takers.get(name, ())) == 1 and name not in self.net.outputs

    def number(self, name: str) -> float | None:
        """Return a constant that is one number."""
        found = self.net.constants.get(name)
        return float(found.reshape(-1)[0]) if found is not None and found.size == 1 else None

    def scaled(self, node: Node) -> tuple[str, float] | None:
        """Return a tensor and the number that a Mul or Div scales it with."""
        if node.op not in ("Mul", "Div"):
            return None
        for one, other in ((0, 1), (1, 0)):
            number = self.number(node.inputs[other])
            if number is not None and node.inputs[one] not in self.net.constants:
                if node.op == "Mul":
                    return node.inputs[one], number
                return (node.inputs[one], 1 / number) if one == 0 and number else None
        return None

    def shifted(self, node: Node | None) -> tuple[str, float] | None:
        """Return a tensor and the number that an Add adds to it."""
        if node is None or node.op != "Add":
            return None
        for one, other in ((0, 1), (1, 0)):
            number = self.number(node.inputs[other])
            if number is not None and node.inputs[one] not in self.net.constants:
                return node.inputs[one], number
        return None

    def factors(self, name: str) -> tuple[float, list[str]]:
        """Return a product as a number and the tensors in it, through Mul and Div by numbers."""
        node = self.makers.get(name)
        if node is None or node.op not in ("Mul", "Div"):
            return 1.0, [name]
        scaled = self.scaled(node)
        if scaled is not None:
            number, tensors = self.factors(scaled[0])
            return number * scaled[1], tensors
        if node.op == "Div" or any(one in self.net.constants for one in node.inputs):
            return 1.0, [name]
        sides = [self.factors(one) for one in node.inputs]
        return math.prod(number for number, _ in sides), [one for _, tensors in sides for one in tensors]


def _near(value: float | None, wanted: float) -> bool:
    return value is not None and abs(value - wanted) <= CLOSE * abs(wanted)


def _other(node: Node, name: str) -> str | None:
    """Return the other of two inputs."""
    if len(node.inputs) != 2 or name not in node.inputs:
        return None
    return node.inputs[1 - node.inputs.index(name)]


def _made(node: Node, op: str, inputs: list[str], **attributes: object) -> Node:
    return Node(op, inputs, list(node.outputs), dict(attributes), node.name, node.scope)


def gate(graph: Graph, node: Node) -> Node | None:
    """`x * sigmoid(x)` is SiLU; with a hard sigmoid it is hard swish, with tanh(softplus(x)) Mish."""
    if node.op != "Mul":
        return None
    for place in (0, 1):
        x, inner = node.inputs[place], graph.makers.get(node.inputs[1 - place])
        if inner is None:
            continue
        if inner.op == "Sigmoid" and inner.inputs[0] == x:
            return _made(node, "Silu", [x])
        if inner.op == "HardSigmoid" and inner.inputs[0] == x and _is_sixth(inner):
            return _made(node, "HardSwish", [x])
        soft = graph.maker(inner.inputs[0], "Softplus") if inner.op == "Tanh" else None
        if soft is not None and soft.inputs[0] == x:
            return _made(node, "Mish", [x])
    return None


def _is_sixth(node: Node) -> bool:
    return _near(node.get("alpha", 0.2), 1 / 6) and _near(node.get("beta", 0.5), 0.5)


def hard_sigmoid(graph: Graph, node: Node) -> Node | None:
    """`clip(x + 3, 0, 6) / 6` is a hard sigmoid, and `x * clip(x + 3, 0, 6) / 6` hard swish."""
    if node.op not in ("Mul", "Div"):
        return None
    number, tensors = graph.factors(node.outputs[0])
    clips = [graph.maker(name, "Clip") for name in tensors]
    for clip in clips:
        if clip is None or len(clip.inputs) < 3 or not _near(number, 1 / 6):
            continue
        shifted = graph.shifted(graph.makers.get(clip.inputs[0]))
        bounds = [graph.number(name) for name in clip.inputs[1:3]]
        if shifted is None or shifted[1] != 3.0 or bounds != [0.0, 6.0]:
            continue
        others = [name for name in tensors if name != clip.outputs[0]]
        if not others and len(tensors) == 1:
            return _made(node, "HardSigmoid", [shifted[0]], alpha=1 / 6, beta=0.5)
        if others == [shifted[0]]:
            return _made(node, "HardSwish", [shifted[0]])
    return None


def gelu(graph: Graph, node: Node) -> Node | None:
    """`0.5 x (1 + erf(x / sqrt(2)))`, and its approximation by tanh, in whatever order they are multiplied."""
    if node.op not in ("Mul", "Div"):
        return None
    number, tensors = graph.factors(node.outputs[0])
    if not _near(number, 0.5) or len(tensors) != 2:
        return None
    for place in (0, 1):
        x, sum_ = tensors[place], graph.shifted(graph.makers.get(tensors[1 - place]))
        if sum_ is None or sum_[1] != 1.0:
            continue
        erf = graph.maker(sum_[0], "Erf")
        if erf is not None and _scale_of(graph, erf.inputs[0], x, 1 / math.sqrt(2)):
            return _made(node, "Gelu", [x], approximate="none")
        tanh = graph.maker(sum_[0], "Tanh")
        if tanh is not None and _is_tanh_gelu(graph, tanh.inputs[0], x):
            return _made(node, "Gelu", [x], approximate="tanh")
    return None


def _scale_of(graph: Graph, name: str, x: str, wanted: float) -> bool:
    number, tensors = graph.factors(name)
    return tensors == [x] and _near(number, wanted)


def _is_tanh_gelu(graph: Graph, name: str, x: str) -> bool:
    """`sqrt(2 / pi) (x + 0.044715 x^3)`."""
    number, tensors = graph.factors(name)
    if not _near(number, math.sqrt(2 / math.pi)) or len(tensors) != 1:
        return False
    add = graph.maker(tensors[0], "Add")
    cubed = _other(add, x) if add is not None else None
    if cubed is None:
        return False
    share, powers = graph.factors(cubed)
    power = graph.maker(powers[0], "Pow")
    is_cube = powers == [x] * 3 or (
        len(powers) == 1 and power is not None and power.inputs[0] == x and graph.number(power.inputs[1]) == 3.0
    )
    return is_cube and _near(share, 0.044715)


def layer_norm(graph: Graph, node: Node) -> Node | None:
    """`(x - mean(x)) / sqrt(mean((x - mean(x))^2) + e)`, and the scale and bias behind it."""
    if node.op != "Div":
        return None
    centred, root = graph.maker(node.inputs[0], "Sub"), graph.maker(node.inputs[1], "Sqrt")
    shifted = graph.shifted(graph.makers.get(root.inputs[0])) if root is not None else None
    if centred is None or shifted is None:
        return None
    variance, mean = graph.maker(shifted[0], "ReduceMean"), graph.maker(centred.inputs[1], "ReduceMean")
    square = graph.makers.get(variance.inputs[0]) if variance is not None else None
    if mean is None or square is None or variance is None or mean.inputs[0] != centred.inputs[0]:
        return None
    squared = (square.op == "Pow" and graph.number(square.inputs[1]) == 2.0) or (
        square.op == "Mul" and square.inputs[0] == square.inputs[1]
    )
    first = graph.makers.get(square.inputs[0])
    if not squared or first is None or first.op != "Sub" or first.inputs != centred.inputs:
        return None
    axes, x = graph.net.constant(mean, 1), centred.inputs[0]
    rank = len(graph.net.shapes[x])
    if axes is None or [int(axis) % rank for axis in axes.reshape(-1)] != [rank - 1]:
        return None
    size = graph.net.shapes[x][-1]
    ones, zeros = _kept(graph, node, "scale", np.ones(size)), _kept(graph, node, "bias", np.zeros(size))
    return _made(node, "LayerNormalization", [x, ones, zeros], axis=-1, epsilon=shifted[1])


def _kept(graph: Graph, node: Node, key: str, values: Array) -> str:
    """Put a new constant into the net and return its name."""
    name = f"{node.outputs[0]}:{key}"
    array = values.astype(np.float32)
    graph.net.constants[name] = array
    graph.net.shapes[name], graph.net.dtypes[name] = array.shape, "float32"
    return name


NORMS = {"BatchNormalization": 1, "LayerNormalization": -1, "GroupNormalization": 1, "InstanceNormalization": 1}
"""Normalisations with a scale and a bias, and the axis that these are for."""


def affine(graph: Graph, node: Node) -> Node | None:
    """A scale or an offset for each channel behind a normalisation is part of it."""
    if node.op not in ("Mul", "Add"):
        return None
    for place in (0, 1):
        norm, held = graph.makers.get(node.inputs[place]), graph.net.constants.get(node.inputs[1 - place])
        if norm is None or norm.op not in NORMS or held is None or not graph.alone(norm.outputs[0]):
            continue
        values = _per_channel(graph, norm, held)
        scale, bias = graph.net.constant(norm, 1), graph.net.constant(norm, 2)
        if values is None or scale is None or scale.size != values.size:
            continue
        bias = np.zeros_like(scale) if bias is None else bias
        if node.op == "Mul":
            scale, bias = scale.reshape(-1) * values, bias.reshape(-1) * values
        else:
            scale, bias = scale.reshape(-1), bias.reshape(-1) + values
        made = [_kept(graph, node, "scale", scale), _kept(graph, node, "bias", bias)]
        kept = Node(
            norm.op,
            [norm.inputs[0], *made, *norm.inputs[3:]],
            list(node.outputs),
            norm.attributes,
            norm.name,
            norm.scope,
        )
        return kept
    return None


def _per_channel(graph: Graph, norm: Node, held: Array) -> Array | None:
    """Return a constant as one value for each channel of a normalisation; None when it is something else."""
    shape = graph.net.shapes[norm.outputs[0]]
    axis = NORMS[norm.op] % len(shape)
    if held.dtype != np.float32 or held.ndim > len(shape) or norm.get("axis", NORMS[norm.op]) not in (-1, 1, axis):
        return None
    full = held.reshape((1,) * (len(shape) - held.ndim) + held.shape)
    if full.size == 1:
        return np.full(shape[axis], full.reshape(-1)[0], np.float32)
    return full.reshape(-1) if full.shape[axis] == full.size == shape[axis] else None


def group_norm(graph: Graph, node: Node) -> Node | None:
    """Groups as maps, each normalised by itself, and maps again: as PyTorch exports a group normalisation."""
    norm = graph.maker(node.inputs[0], "InstanceNormalization") if node.op == "Reshape" else None
    first = graph.maker(norm.inputs[0], "Reshape") if norm is not None else None
    if norm is None or first is None:
        return None
    before, inner, after = (graph.net.shapes[name] for name in (first.inputs[0], first.outputs[0], node.outputs[0]))
    scale, bias = graph.net.constant(norm, 1), graph.net.constant(norm, 2)
    if before != after or len(inner) != 3 or before[1] % inner[1] or scale is None or bias is None:
        return None
    each = before[1] // inner[1]
    held = [_kept(graph, node, "scale", np.repeat(scale, each)), _kept(graph, node, "bias", np.repeat(bias, each))]
    epsilon = norm.get("epsilon", 1e-5)
    return _made(node, "GroupNormalization", [first.inputs[0], *held], num_groups=inner[1], epsilon=epsilon)


def dense(graph: Graph, node: Node) -> Node | None:
    """A product with a constant matrix, and the bias that is added to it."""
    constants = graph.net.constants
    if node.op == "Gemm":
        return _gemm(graph, node)
    if node.op == "MatMul" and node.inputs[1] in constants and node.inputs[0] not in constants:
        matrix, shape = constants[node.inputs[1]], graph.net.shapes[node.inputs[0]]
        if matrix.ndim == 2 and len(shape) >= 2 and matrix.dtype == np.float32:
            return _made(node, "Dense", list(node.inputs))
    if node.op == "Add":
        for place in (0, 1):
            product, bias = graph.maker(node.inputs[place], "Dense"), constants.get(node.inputs[1 - place])
            if product is None or bias is None or len(product.inputs) > 2 or not graph.alone(product.outputs[0]):
                continue
            width = graph.net.shapes[product.outputs[0]][-1]
            if bias.shape[-1:] == (width,) and bias.size == width:
                made = Node(
                    "Dense",
                    [*product.inputs, node.inputs[1 - place]],
                    list(node.outputs),
                    {},
                    product.name,
                    product.scope,
                )
                return made
    return None


def _gemm(graph: Graph, node: Node) -> Node | None:
    constants = graph.net.constants
    matrix = constants.get(node.inputs[1])
    if matrix is None or node.inputs[0] in constants or node.get("transA", 0):
        return None
    bias = graph.net.constant(node, 2)
    if graph.net.has(node, 2) and bias is None:
        return None
    width = matrix.shape[0] if node.get("transB", 0) else matrix.shape[-1]
    if bias is not None and bias.size not in (1, width):
        return None
    weights = (matrix.T if node.get("transB", 0) else matrix) * np.float32(node.get("alpha", 1.0))
    title = node.inputs[1]
    name = _renamed(graph, title, weights.astype(np.float32))
    held = [] if bias is None else [_renamed(graph, node.inputs[2], bias * np.float32(node.get("beta", 1.0)))]
    return _made(node, "Dense", [node.inputs[0], name, *held])


def _renamed(graph: Graph, name: str, values: Array) -> str:
    """Put values made of a constant into the net, under a name that its layer can still be called after."""
    if np.array_equal(graph.net.constants[name], values):
        return name
    plain, _, kind = name.rpartition(".")
    made = f"{plain}._.{kind}" if plain else f"{name}:_"
    graph.net.constants[made] = values
    graph.net.shapes[made], graph.net.dtypes[made] = values.shape, values.dtype.name
    return made


def upscaling(graph: Graph, node: Node) -> Node | None:
    """A convolution whose channels become pixels in PyTorch's order: its filters are put in TensorFlow's."""
    conv = graph.maker(node.inputs[0], "Conv") if node.op == "DepthToSpace" and node.get("mode") == "CRD" else None
    if conv is None or not graph.alone(conv.outputs[0]) or conv.get("group", 1) != 1:
        return None
    held = [(place, graph.net.constant(conv, place)) for place in (1, 2) if graph.net.has(conv, place)]
    order = depth_order(graph.net.shapes[conv.outputs[0]][1], int(node.get("blocksize", 1)))
    if any(values is None or len(values) != len(order) for _, values in held):
        return None
    for place, values in held:
        if values is not None:
            conv.inputs[place] = _renamed(graph, conv.inputs[place], values[order])
    return _made(node, "DepthToSpace", [node.inputs[0]], blocksize=node.get("blocksize", 1), mode="DCR")


def depth_order(channels: int, block: int) -> Array:
    """Return which channel of PyTorch's order (channel, row, column) each of TensorFlow's (row, column, channel) is."""
    found: Array = np.arange(channels, dtype=np.int32).reshape(-1, block * block).T.reshape(-1)
    return found


Pattern = Callable[[Graph, Node], "Node | None"]
PATTERNS: tuple[Pattern, ...] = (gate, hard_sigmoid, gelu, layer_norm, group_norm, dense, affine, upscaling)


def recognise(net: Net) -> None:
    """Put what they stand for in the place of nodes, until nothing is found. Changes the net in place."""
    found = True
    while found:
        found = False
        for pattern in PATTERNS:
            graph = Graph(net)
            for place, node in enumerate(net.nodes):
                made = pattern(graph, node)
                if made is not None:
                    net.nodes[place], found = made, True
                    graph.makers.update(dict.fromkeys(made.outputs, made))
            net.nodes[:] = _used(net)


def _used(net: Net) -> Iterable[Node]:
    """Return the nodes that an output hangs on, in order."""
    wanted, kept = set(net.outputs), []
    for node in reversed(net.nodes):
        if any(name in wanted for name in node.outputs if name):
            kept.append(node)
            wanted.update(name for name in node.inputs if name)
    return kept[::-1]
