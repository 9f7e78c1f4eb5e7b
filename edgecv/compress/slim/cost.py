"""What a network costs after some components are gone, without building it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgecv.compress.layer_graph import Array, Call, LayerGraph
from edgecv.compress.slim.channels import MIXERS, Dependencies
from edgecv.zoo.profiling import FLOAT_BYTES, KERNELS


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Cost of one inference with batch 1.

    Attributes:
        macs: Multiply-accumulates of convolutions and dense layers, as `edgecv zoo show` counts them.
        parameters: All weights, batch-normalisation statistics included.
        weight_bytes: Of all parameters, as float32.
    """

    macs: int
    parameters: int

    @property
    def weight_bytes(self) -> int:
        """Bytes of all parameters as float32."""
        return self.parameters * FLOAT_BYTES


@dataclass(frozen=True, slots=True)
class _Term:
    """`both * in * out + taken * in + given * out + fixed`, of MACs and of weights."""

    both: float = 0.0
    taken: float = 0.0
    given: float = 0.0
    fixed: float = 0.0


class CostModel:
    """The cost of a network as a function of how many components of each group are left.

    Each layer's cost is bilinear in its numbers of input and output channels, and those are linear in the groups'.
    """

    def __init__(self, known: Dependencies) -> None:
        calls, count = known.graph.calls, len(known.groups)
        owner = np.full(len(known.removable), count)
        for index, group in enumerate(known.groups):
            owner[list(group.components)] = index
        self.sizes = np.array([len(group.components) for group in known.groups], float)
        self._in, self._out = np.zeros((len(calls), count + 1)), np.zeros((len(calls), count + 1))
        seen: set[str] = set()
        terms: list[tuple[_Term, _Term]] = []
        for row, call in enumerate(calls):
            # A component's share of a tensor is the same for all of its group, so the mean is exact.
            for place, key in ((self._in, call.inputs[:1]), (self._out, [call.output])):
                if key:
                    place[row] = np.bincount(owner[known.tensors[key[0]]], minlength=count + 1)
            macs, weights = _terms(call, known.graph)
            terms.append((macs, _Term() if call.name in seen else weights))
            seen.add(call.name)
        self._in[:, :count] /= self.sizes
        self._out[:, :count] /= self.sizes
        self._macs, self._weights = (
            np.array([[t.both, t.taken, t.given, t.fixed] for t in column]).T for column in zip(*terms, strict=True)
        )

    def size(self, left: Array) -> Size:
        """Return the cost with `left[g]` components of group g."""
        macs, weights = self._totals(np.asarray(left, float)[:, None])
        return Size(macs=round(float(macs[0])), parameters=round(float(weights[0])))

    def after(self, left: Array, fewer: Array) -> tuple[Array, Array]:
        """Return MACs and parameters with `fewer[g]` components of group g gone from `left`, for each g in turn."""
        return self._totals(np.asarray(left, float)[:, None] - np.diag(np.asarray(fewer, float)))

    def _totals(self, left: Array) -> tuple[Array, Array]:
        full = np.vstack([left, np.ones((1, left.shape[1]))])
        taken, given = self._in @ full, self._out @ full
        return _sum(self._macs, taken, given), _sum(self._weights, taken, given)


def _sum(terms: Array, taken: Array, given: Array) -> Array:
    both, one, other, fixed = (row[:, None] for row in terms)
    total: Array = (both * taken * given + one * taken + other * given + fixed).sum(axis=0)
    return total


def _terms(call: Call, graph: LayerGraph) -> tuple[_Term, _Term]:
    """Return how MACs and weights of a call depend on its channels; constants where they cannot be removed."""
    config = {} if call.layer is None else call.layer.get_config()
    if call.kind not in _FAMILIES or config.get("groups", 1) != 1 or config.get("data_format") == "channels_first":
        return _Term(fixed=_fixed_macs(call, graph)), _Term(fixed=sum(w.size for w in call.weights))
    if _FAMILIES[call.kind] == "channels":
        per_channel = sum(w.size for w in call.weights if w.shape[-1] == call.shape[-1]) / call.shape[-1]
        rest = sum(w.size for w in call.weights if w.shape[-1] != call.shape[-1])
        return _Term(), _Term(given=per_channel, fixed=rest)
    positions, bias = _positions(call, graph), float(config["use_bias"])
    if call.kind == "DepthwiseConv2D":
        area = math.prod(call.weights[0].shape[:2])
        return _Term(given=positions * area), _Term(given=area + bias)
    if call.kind.startswith("Separable"):
        *window, _, multiplier = call.weights[0].shape
        own = math.prod(window) * multiplier
        macs = _Term(both=positions * multiplier, taken=positions * own)
        return macs, _Term(both=multiplier, taken=own, given=bias)
    area = math.prod(call.weights[0].shape[:-2])
    return _Term(both=positions * area), _Term(both=area, given=bias)


_FAMILIES = dict.fromkeys((*MIXERS, "DepthwiseConv2D"), "kernel") | dict.fromkeys(
    ("BatchNormalization", "ChannelScale", "PReLU"), "channels"
)


def _positions(call: Call, graph: LayerGraph) -> int:
    """Return at how many places a layer's kernel is applied."""
    shape = call.shape
    if call.kind == "Conv2DTranspose":
        shapes = {key: shape for key, shape, _, _ in graph.inputs} | {c.output: c.shape for c in graph.calls}
        shape = shapes[call.inputs[0]]
    return math.prod(shape[:-1])


def _fixed_macs(call: Call, graph: LayerGraph) -> int:
    if hasattr(call.layer, "macs"):
        return int(call.layer.macs((1, *call.shape)))
    kernels = len(KERNELS.get(call.kind, ()))
    return _positions(call, graph) * sum(weight.size for weight in call.weights[:kernels])
