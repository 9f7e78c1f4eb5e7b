"""Which 1x1 convolutions of a float32 file XNNPACK would compute with sparse kernels, and why not the others.

XNNPACK lays a part of the graph out by channels (NCHW) and multiplies there by sparse matrices. A part begins at a 3x3
convolution of stride 2 over 3 channels, ends at a mean over the map (or DEPTH_TO_SPACE), and holds only operators that
have such kernels; what goes on inside it may be read by nobody outside. Only then do zeros save time, and only from two
thirds of zeros on. XNNPACK does this on Arm; on x86 only on processors without AVX, which are hardly any.

A part that begins and does not end as it should is computed wrongly, without a word: its last operator reads maps of
channels as if they were maps of pixels. `Judgement.danger` says where that would happen, and no such file is written.

Source: XNNPACK, src/subgraph.c, xnn_check_nchw_compatibility and xnn_subgraph_rewrite_for_nchw, whose steps are
followed here one by one (as of 2026-08); src/xnnpack/hardware-config.h, xnn_is_chw_compatible_config; TFLite's XNNPACK
delegate, README, "Sparse Inference". The danger was found on an emulated Cortex-A76 with ai-edge-litert 2.3.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgecv.convert.tflite.sparse_ops import BEGINNING, Node, Role, nodes
from edgecv.graphs import Graph, constant

ENOUGH_ZEROS = (2, 3)
"""Of all weights of a part's 1x1 convolutions, more than so many."""

NO_END = "no mean over a whole map, and no DEPTH_TO_SPACE, ends a part"

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether sparse kernels compute one 1x1 convolution.

    Attributes:
        op: Index of the operator in the file.
        layer: Source layer; "" when unknown.
        zeros: Share of its weights that are 0, 0..1.
        sparse: Whether XNNPACK takes a sparse kernel on a processor for which it has them.
        reason: Why not; "" when it does.
    """

    op: int
    layer: str
    zeros: float
    sparse: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What XNNPACK does with a file whose kernels are stored sparse.

    Attributes:
        verdicts: One for each 1x1 convolution, in the file's order.
        danger: Where it would give wrong answers; "" where nowhere.
    """

    verdicts: tuple[Verdict, ...]
    danger: str

    @property
    def sparse(self) -> int:
        """Number of convolutions with sparse kernels."""
        return sum(verdict.sparse for verdict in self.verdicts)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the others have none, each reason once, in the file's order."""
        return tuple(dict.fromkeys(verdict.reason for verdict in self.verdicts if verdict.reason))


@dataclass(slots=True)
class _Part:
    """One node in XNNPACK's search: what it can still be, the leader of its part, and what broke the part."""

    node: Node
    role: Role
    leader: int
    broken: str = ""


class _Search:
    """XNNPACK's search for parts, from what ends them upwards."""

    def __init__(self, graph: Graph, layers: Sequence[str]) -> None:
        self.graph = graph
        self.parts = [_Part(node, node.role, i) for i, node in enumerate(nodes(graph, layers))]
        self.made_by = {output: part for part in self.parts for output in part.node.outputs}
        self.zeros = {i: _zeros(graph, part.node) for i, part in enumerate(self.parts) if part.node.pointwise}
        self.found = any([self._join(part) for part in self.parts if part.role.ends])
        again = self.found
        while again:
            again = any([self._join(part) for part in self.parts if _in_channels(part) and not part.broken])
        for part in self.parts:
            leader = self.leader(part)
            leader.broken = leader.broken or part.broken
        self._check_readers()

    def leader(self, part: _Part) -> _Part:
        return self.parts[part.leader]

    def whole(self, part: _Part) -> bool:
        return _in_channels(part) and not self.leader(part).broken

    def readers(self, tensor: int) -> list[_Part]:
        return [part for part in self.parts if tensor in part.node.inputs]

    def _join(self, part: _Part) -> bool:
        """Join a node with the makers of what it reads; say whether anything changed. Another maker breaks it."""
        changed = False
        for tensor in part.node.inputs:
            maker = self.made_by.get(tensor)
            if maker is None:
                part.broken = part.broken or f"{part.node.words} reads the model's input: {BEGINNING}"
            elif (maker.role.begins or maker.role.inside) and not maker.broken:
                maker.role = replace(maker.role, ends=False)
                if maker.leader != part.leader:
                    maker.leader = part.leader = max(maker.leader, part.leader)
                    changed = True
            else:
                part.broken = part.broken or maker.broken or maker.role.reason or f"{maker.node.words} ends its part"
        return changed

    def _check_readers(self) -> None:
        """Break parts with a tensor inside that something outside of all parts reads too."""
        whole = {id(part) for part in self.parts if self.whole(part)}
        for part in [part for part in self.parts if id(part) in whole]:
            for tensor in part.node.inputs:
                others = [reader for reader in self.readers(tensor) if id(reader) not in whole]
                if others or tensor in self.graph.outputs:
                    reader = others[0].role.reason or others[0].broken if others else "it is an output of the model"
                    leader = self.leader(part)
                    leader.broken = leader.broken or f"what {part.node.words} reads goes elsewhere too: {reader}"


def judge(graph: Graph, layers: Sequence[str] = ()) -> Judgement:
    """Return what becomes of each 1x1 convolution, and whether the file is safe.

    Args:
        graph: A float32 .tflite, its kernels dense or sparse.
        layers: Source layer of each operator; empty: none is known.

    Raises:
        UnsupportedModelError: It is no .tflite.
    """
    search = _Search(graph, layers)
    few, leaks = _too_few(search), _leaks(search)
    found = []
    for i, mask in search.zeros.items():
        part = search.parts[i]
        reason = _reason(search, part) or few.get(part.leader, "") or leaks.get(part.leader, "")
        layer = layers[part.node.op] if layers else ""
        found.append(Verdict(op=part.node.op, layer=layer, zeros=float(mask.mean()), sparse=not reason, reason=reason))
    dangers = [text for leader, text in leaks.items() if leader not in few] if search.found else []
    return Judgement(verdicts=tuple(found), danger=next(iter(dangers), ""))


def _in_channels(part: _Part) -> bool:
    return part.role.inside or part.role.ends


def _zeros(graph: Graph, node: Node) -> Mask:
    return np.asarray(constant(graph, node.kernel) == 0)


def _reason(search: _Search, part: _Part) -> str:
    if not search.found:
        ends = [one.broken for one in search.parts if one.role.ends and one.broken]
        return part.role.reason or next(iter(ends), NO_END)
    return part.broken or part.role.reason or search.leader(part).broken


def _leaks(search: _Search) -> dict[int, str]:
    """Return, for the leader of a part, what leaves it without being turned back into maps of pixels."""
    found: dict[int, str] = {}
    for part in search.parts:
        if not search.whole(part) or part.role.ends:
            continue
        for tensor in part.node.outputs:
            readers = search.readers(tensor)
            if not any(search.whole(reader) for reader in readers):
                why = readers[0].role.reason or readers[0].broken if readers else "it is an output of the model"
                found.setdefault(part.leader, f"what {part.node.words} gives leaves its part without a mean: {why}")
    return found


def _too_few(search: _Search) -> dict[int, str]:
    """Return, for the leader of a part without enough zeros, how many it has."""
    counts = dict.fromkeys((part.leader for part in search.parts if search.whole(part)), (0, 0))
    for i, mask in search.zeros.items():
        if search.whole(search.parts[i]):
            none, size = counts[search.parts[i].leader]
            counts[search.parts[i].leader] = (none + int(mask.sum()), size + mask.size)
    numerator, denominator = ENOUGH_ZEROS
    return {
        leader: f"{none / max(1, size):.1%} of the weights of its part's 1x1 convolutions are zero, and XNNPACK asks "
        "for more than two thirds"
        for leader, (none, size) in counts.items()
        if none * denominator <= size * numerator
    }
