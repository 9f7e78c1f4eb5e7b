"""int16 activations with int8 weights and int64 biases: in a whole file, or in named layers of an int8 one.

TensorFlow Lite's quantiser has one type of activations for a whole file. For named layers it is run twice: once for
int8 with the named operators left in float, once for int16 with all others left in float. Both files have the operators
of the float file in its order, so that an operator of the second takes the place of its float twin in the first, and
the conversions around it are made direct: int8 to int16 and back, without float between them. Constants that are added
or multiplied it makes int8, which the kernels for int16 do not take: it sees them as inputs.

Source: TFLite's 16x8 specification (activations symmetric, zero_point 0, biases int64), and the kernels of LiteRT 2.3:
`KERNELS` are those of which a file made here loads and answers as it should; its test makes one of each.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from edgecv.convert.check.stays_float import CONVERSIONS
from edgecv.convert.tflite import flatbuffer
from edgecv.convert.tflite import mixed as static
from edgecv.convert.tflite.compaction import compacted
from edgecv.convert.tflite.mixed import named_ops
from edgecv.convert.tflite.ranges import Range
from edgecv.core.errors import ConfigError, ConversionError
from edgecv.graphs import Graph, constant, read_tflite

Array = np.ndarray[Any, Any]
KERNELS = frozenset(
    ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL")
    + ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "ABS", "EXP", "MEAN", "SUM", "REDUCE_MAX")
    + ("AVERAGE_POOL_2D", "MAX_POOL_2D", "SOFTMAX", "LOGISTIC", "TANH", "RELU", "RELU6", "LEAKY_RELU", "GELU")
    + ("CONCATENATION", "PACK", "UNPACK", "SPLIT", "STRIDED_SLICE", "GATHER", "PAD", "PADV2", "MIRROR_PAD")
    + ("RESHAPE", "TRANSPOSE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
)
"""Operators with a kernel for int16 activations that the quantiser's files fit."""
_TERMS = ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM")
"""Of these the quantiser takes a constant for weights and makes it int8, where the kernels want both terms int16."""
_VERSIONS = {"QUANTIZE": 2, "DEQUANTIZE": 3}
"""Of the conversions' first kernels for int16. Source: op_version.cc, as in `int4`."""


def wide_ops(graph: Graph, patterns: Sequence[str], model: Any) -> tuple[int, ...]:
    """Return the operators of a float file that compute the layers which patterns name.

    Args:
        graph: The float file, with the converter's operator names.
        patterns: As of `static.kept_ops`.
        model: The keras model that the file was made from.

    Raises:
        ConfigError: A pattern names no layer with an operator, all layers are named, or one has no int16 kernel.
    """
    chosen = named_ops(graph, patterns, model)
    if len(chosen) == len(graph.ops):
        raise ConfigError("every layer was asked to have int16 activations", hint="use --scheme int16x8")
    without = sorted({graph.ops[index].op for index in chosen} - KERNELS)
    if without:
        raise ConfigError(
            f"there is no int16 kernel for {', '.join(without)} in {', '.join(patterns)}",
            hint=f"keep these layers in float (--keep-float), or in int8; kernels: {', '.join(sorted(KERNELS))}",
        )
    return chosen


def quantize_mixed(
    data: bytes, ranges: Mapping[int, Range], how: static.How, *, kept: Collection[int], wide: Collection[int]
) -> bytes:
    """Return the int8 file for a float one with some operators in float32, and some with int16 activations.

    Args:
        data: The float .tflite.
        ranges: Tensor index to (min, max).
        how: As of `static.quantize`.
        kept: Operators of `data` that stay in float32.
        wide: Those that get int16 activations.

    Raises:
        ConfigError: An operator is to be both, or all are named.
        ConversionError: The quantiser fails, or did not do to an operator what was asked.
    """
    count, both = len(read_tflite(data).ops), set(kept) & set(wide)
    if both or len({*kept, *wide}) == count:
        what = "a layer was asked to stay float and to have int16 activations" if both else "no layer is left for int8"
        raise ConfigError(what, hint="name fewer layers")
    mixed = static.quantize(data, ranges, how, kept={*kept, *wide}, unchecked=wide)
    if not wide:
        return mixed
    others, inside = set(range(count)) - set(wide), replace(how, io_dtype="float32")
    # The quantiser takes a pool beside a wide operator along; only the chosen ones are used.
    fed, more = _with_fed_terms(_with_own_terms(data, wide), wide)
    alone = static.quantize(fed, {**ranges, **more}, inside, kept=others, activations="int16", unchecked=others)
    return widened(mixed, alone, chosen=wide, kept=kept)


def quantize_wide(data: bytes, ranges: Mapping[int, Range], how: static.How) -> bytes:
    """Return the file with int16 activations for a float one; operators without a kernel for them stay in float.

    Args:
        data: The float .tflite.
        ranges: Tensor index to (min, max).
        how: As of `static.quantize`.

    Raises:
        ConversionError: The quantiser fails.
    """
    ops = read_tflite(data).ops
    kept = [op.index for op in ops if op.op not in KERNELS]
    wide = set(range(len(ops))) - set(kept)
    data = _with_own_terms(data, wide)
    graph = read_tflite(data)
    fed, more = _with_fed_terms(data, wide)
    quantised = static.quantize(fed, {**ranges, **more}, how, kept=kept, activations="int16")
    return _with_stored_terms(quantised, [constant(graph, index) for index in more]) if more else quantised


def _with_stored_terms(data: bytes, terms: Sequence[Array]) -> bytes:
    """Return a quantised file with its last inputs stored as constants again, as before `_with_fed_terms`."""
    model = flatbuffer.unpack(data)
    graph, first = model.subgraphs[0], len(model.subgraphs[0].inputs) - len(terms)
    values = {int(index): term for index, term in zip(graph.inputs[first:], terms, strict=True)}
    kept = []
    for op in graph.operators:
        term = values.get(int(op.inputs[0]))
        if term is None:
            kept.append(op)
            continue
        stored = graph.tensors[int(op.outputs[0])]
        stored.buffer = flatbuffer.add_buffer(model, _steps(term, stored.quantization))
    graph.operators, graph.inputs = kept, graph.inputs[:first]
    return flatbuffer.pack(compacted(model))


def _steps(real: Array, record: Any) -> Array:
    """Return values as int16 multiples of a record's scale."""
    return np.clip(np.rint(real / float(record.scale[0])), -32768, 32767).astype(np.int16)


def _with_own_terms(data: bytes, wide: Collection[int]) -> bytes:
    """Return the float file with constant terms of their own where another operator reads the same constant.

    The first step of a recurrent cell has for its bias what later steps add.
    """
    graph, model = read_tflite(data), flatbuffer.unpack(data)
    terms = {index: graph.ops[index] for index in wide if graph.ops[index].op in _TERMS}
    others = {index for op in graph.ops if op.index not in terms for index in op.inputs}
    own: dict[int, int] = {}
    for place, op in terms.items():
        for index in sorted(others & set(op.inputs)):
            if graph.tensors[index].is_constant and index not in own:
                own[index] = len(model.subgraphs[0].tensors)
                model.subgraphs[0].tensors.append(copy.copy(model.subgraphs[0].tensors[index]))
        inputs = [own.get(index, index) for index in op.inputs]
        model.subgraphs[0].operators[place].inputs = np.array(inputs, np.int32)
    return flatbuffer.pack(model) if own else data


def _with_fed_terms(data: bytes, wide: Collection[int]) -> tuple[bytes, dict[int, Range]]:
    """Return the float file with the constant terms of some operators as inputs, which get int16, and their ranges."""
    graph, model = read_tflite(data), flatbuffer.unpack(data)
    ranges: dict[int, Range] = {}
    for op in (graph.ops[index] for index in wide):
        for tensor in graph.inputs_of(op) if op.op in _TERMS else ():
            if tensor.is_constant:
                values = constant(graph, tensor.index)
                ranges[tensor.index] = (min(0.0, float(values.min())), max(0.0, float(values.max())))
                model.subgraphs[0].tensors[tensor.index].buffer = 0
    if not ranges:
        return data, {}
    model.subgraphs[0].inputs = np.array([*model.subgraphs[0].inputs, *ranges], np.int32)
    model.signatureDefs = []
    return flatbuffer.pack(model), ranges


def widened(mixed: bytes, wide: bytes, *, chosen: Collection[int], kept: Collection[int] = ()) -> bytes:
    """Return an int8 file in which the chosen operators have int16 activations.

    Args:
        mixed: From the int8 quantiser, with the chosen operators left in float.
        wide: From the int16 quantiser, with all others left in float.
        chosen: Their places in the float file's order of operators.
        kept: Those of operators that stay float. What else the int8 quantiser left in float, because it only moves
            values between float operators, becomes int16 where the other file has it so.

    Raises:
        ConversionError: The two files are not of the same operators, or one did not become int16.
    """
    splicer = _Splicer(flatbuffer.unpack(mixed), flatbuffer.unpack(wide))
    twins = _twins(read_tflite(mixed), read_tflite(wide), frozenset(chosen), frozenset(kept))
    return flatbuffer.pack(compacted(splicer.splice(twins)))


def _twins(mixed: Graph, wide: Graph, chosen: frozenset[int], kept: frozenset[int]) -> dict[int, int]:
    """Return the operator of the wide file for each chosen one of the mixed file, by their places in these."""
    ours, theirs = ([op for op in graph.ops if op.op not in CONVERSIONS] for graph in (mixed, wide))
    if [op.op for op in ours] != [op.op for op in theirs]:
        raise ConversionError(
            "the int8 and the int16 quantiser made different operators of one network",
            hint="this is a defect of edgecv: please report it with the model",
        )
    found = {}
    for place, (op, twin) in enumerate(zip(ours, theirs, strict=True)):
        is_wide = all(wide.tensors[index].dtype == "int16" for index in twin.outputs)
        if place in chosen and not is_wide:
            raise ConversionError(f"{op.op} '{mixed.tensors[op.outputs[0]].name}' did not become int16")
        was_left = place not in kept and mixed.tensors[op.outputs[0]].dtype == "float32"
        if place in chosen or (is_wide and was_left):
            found[op.index] = twin.index
    return found


@dataclass
class _Splicer:
    """Builds the operators of one file anew, in one walk.

    Attributes:
        model: That is changed.
        other: That operators are taken from.
        wide: int16 tensor for what an operator that was replaced gave.
        converted: int16 tensor for another one, at a scale.
        back: Which of `wide` were turned back into what they were.
    """

    model: Any
    other: Any
    wide: dict[int, int] = field(default_factory=dict)
    converted: dict[tuple[int, float], int] = field(default_factory=dict)
    back: set[int] = field(default_factory=set)
    operators: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.generated = flatbuffer.schema()
        self.graph, self.source = self.model.subgraphs[0], self.other.subgraphs[0]
        self.made_by = {int(i): op for op in self.graph.operators for i in op.outputs}

    def splice(self, twins: dict[int, int]) -> Any:
        for place, op in enumerate(self.graph.operators):
            if place in twins:
                self._replace(op, self.source.operators[twins[place]])
            elif self._is(op, "QUANTIZE") and int(op.inputs[0]) in self.wide:
                op.inputs = np.array([self.wide[int(op.inputs[0])]], np.int32)
                self.operators.append(op)
            else:
                self._give_back(op.inputs)
                self.operators.append(op)
        self._give_back(self.graph.outputs)
        self.graph.operators = self.operators
        return self.model

    def _is(self, op: Any, name: str) -> bool:
        code = self.model.operatorCodes[op.opcodeIndex]
        return bool(flatbuffer.builtin(code) == getattr(self.generated.BuiltinOperator, name))

    def _replace(self, op: Any, twin: Any) -> None:
        fresh, code = copy.copy(twin), self.other.operatorCodes[twin.opcodeIndex]
        pairs = enumerate(int(index) for index in twin.inputs)
        inputs = [-1 if theirs < 0 else self._input(op, k, theirs) for k, theirs in pairs]
        fresh.opcodeIndex = flatbuffer.opcode(self.model, code.builtinCode, code.version)
        fresh.inputs = np.array(inputs, np.int32)
        fresh.outputs = np.array(
            [self._output(int(ours), int(theirs)) for ours, theirs in zip(op.outputs, twin.outputs, strict=True)],
            np.int32,
        )
        self.operators.append(fresh)

    def _input(self, op: Any, position: int, theirs: int) -> int:
        tensor = self.source.tensors[theirs]
        values = self.other.buffers[tensor.buffer].data
        if values is not None and len(values):
            return self._copy(tensor, np.asarray(values, np.uint8))
        ours = int(op.inputs[position])
        values = self.model.buffers[self.graph.tensors[ours].buffer].data
        is_term = values is not None and len(values) > 0
        return self._term(ours, tensor.quantization) if is_term else self._int16(ours, tensor.quantization)

    def _int16(self, index: int, record: Any) -> int:
        """Return what holds a tensor of this file as int16 at a scale; a QUANTIZE makes it where nothing does yet."""
        scale = float(record.scale[0])
        known = self.wide.get(index)
        if known is not None and float(self.graph.tensors[known].quantization.scale[0]) == scale:
            return known
        if (index, scale) not in self.converted:
            maker = self.made_by.get(index)
            begin = index if known is None else known
            if known is None and maker is not None and self._is(maker, "DEQUANTIZE"):
                begin = int(maker.inputs[0])
            result = self._like(index, self._name(begin) + b"/int16", record)
            self._convert("QUANTIZE", begin, result)
            self.converted[index, scale] = result
        return self.converted[index, scale]

    def _output(self, ours: int, theirs: int) -> int:
        self.wide[ours] = self._like(ours, self._name(ours), self.source.tensors[theirs].quantization)
        return self.wide[ours]

    def _give_back(self, indices: Any) -> None:
        for index in {int(i) for i in indices} & self.wide.keys() - self.back:
            self.back.add(index)
            is_float = self.graph.tensors[index].type == self.generated.TensorType.FLOAT32
            # A pool that was to stay float can come out of the int8 quantiser as int8 all the same.
            self._convert("DEQUANTIZE" if is_float else "QUANTIZE", self.wide[index], index)

    def _convert(self, name: str, begin: int, end: int) -> None:
        self.operators.append(flatbuffer.operator(self.model, name, _VERSIONS[name], (begin,), end))

    def _name(self, index: int) -> bytes:
        name = self.graph.tensors[index].name
        return name.encode() if isinstance(name, str) else bytes(name)

    def _like(self, index: int, name: bytes, record: Any) -> int:
        fresh = copy.copy(self.graph.tensors[index])
        fresh.type, fresh.name, fresh.buffer, fresh.quantization = self.generated.TensorType.INT16, name, 0, record
        self.graph.tensors.append(fresh)
        return len(self.graph.tensors) - 1

    def _copy(self, tensor: Any, values: Array) -> int:
        fresh = copy.copy(tensor)
        fresh.buffer = flatbuffer.add_buffer(self.model, values)
        self.graph.tensors.append(fresh)
        return len(self.graph.tensors) - 1

    def _term(self, index: int, record: Any) -> int:
        """Return a float constant of this file as int16 at the scale of a record."""
        tensor = self.graph.tensors[index]
        real = np.frombuffer(np.asarray(self.model.buffers[tensor.buffer].data, np.uint8).tobytes(), np.float32)
        steps = _steps(real, record)
        fresh = copy.copy(tensor)
        fresh.type, fresh.quantization = self.generated.TensorType.INT16, record
        return self._copy(fresh, np.frombuffer(steps.tobytes(), np.uint8))
