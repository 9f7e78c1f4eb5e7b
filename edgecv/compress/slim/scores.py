"""How much each component matters: from the weights alone, or from what the network does with data.

All scores are >= 0, one per component; the smaller, the sooner it goes. NaN: this score says nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from edgecv.compress.layer_graph import Array, Call, LayerGraph, build
from edgecv.compress.slim.channels import MIXERS, Dependencies, Group, layer_calls
from edgecv.modelio.env import tensorflow

Batches = Callable[[], Iterable[tuple[Any, tuple[Any, ...]]]]
"""Makes an iterator over (inputs, targets) batches, the same each time."""

Loss = Callable[[tuple[Any, ...], list[Any]], Any]
"""From targets and a model's outputs to a scalar."""

WEIGHT_SCORES = ("l1", "bn", "fpgm")
DATA_SCORES = ("taylor", "similarity")
SCORES = (*DATA_SCORES, *WEIGHT_SCORES)
POSITIONS = 64
"""Pixels per image that activation similarity looks at, spread evenly: neighbours say the same."""


def weight_scores(known: Dependencies, score: str) -> Array:
    """Return a score from the weights: the mean over a component's filters, each divided by its layer's mean.

    - "l1": sum of magnitudes. Source: Li et al. 2017, "Pruning Filters for Efficient ConvNets", section 3.1.
    - "fpgm": sum of distances to the layer's other filters, so that what others can stand for goes first. Source: He et
      al. 2019, "Filter Pruning via Geometric Median", eq. 6.
    - "bn": magnitude of the scale of batch normalisation; NaN where there is none. Source: Liu et al. 2017, "Learning
      Efficient Convolutional Networks through Network Slimming", section 3.
    """
    totals, counts = np.zeros(len(known.removable)), np.zeros(len(known.removable))
    for labels, values in _norms(known) if score == "bn" else _filters(known, score):
        np.add.at(totals, labels, values / max(float(values.mean()), 1e-12))
        np.add.at(counts, labels, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(totals / counts)


def _filters(known: Dependencies, score: str) -> Iterator[tuple[Array, Array]]:
    measure = {"l1": lambda rows: np.abs(rows).sum(axis=1), "fpgm": _distances}[score]
    for call in layer_calls(known.graph).values():
        if call.kind in MIXERS:
            yield known.tensors[call.output], measure(_rows(call))


def _rows(call: Call) -> Array:
    """Return a layer's filters as rows, without bias."""
    kernel = call.weights[1] if call.kind.startswith("Separable") else call.weights[0]
    axis = -2 if call.kind == "Conv2DTranspose" else -1
    return np.moveaxis(kernel, axis, 0).reshape(kernel.shape[axis], -1).astype(np.float64)


def _distances(rows: Array) -> Array:
    squares = (rows**2).sum(axis=1)
    found: Array = np.sqrt(np.maximum(squares[:, None] + squares - 2.0 * rows @ rows.T, 0.0)).sum(axis=1)
    return found


def _norms(known: Dependencies) -> Iterator[tuple[Array, Array]]:
    for call in layer_calls(known.graph).values():
        if call.kind == "BatchNormalization" and call.layer.get_config()["scale"]:
            yield known.tensors[call.output], np.abs(call.weights[0]).astype(np.float64)


def taylor_scores(known: Dependencies, batches: Batches, loss: Loss) -> Array:
    """Return how much the loss changes, to first order, when a component is set to zero: mean magnitude over batches.

    One gate per component multiplies it wherever a layer reads it, so the derivative by the gate is the whole effect.
    Source: Molchanov et al. 2017, "Pruning Convolutional Neural Networks for Resource Efficient Inference", eq. 8.
    """
    tf = tensorflow()
    gates = tf.Variable(tf.ones(len(known.removable)))
    model = build(_gated(known.graph, known.tensors, gates))

    def step(inputs: Any, targets: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(gates)
            outputs = model(inputs, training=False)
            value = loss(targets, list(outputs) if isinstance(outputs, (list, tuple)) else [outputs])
        return tf.abs(tf.convert_to_tensor(tape.gradient(value, gates)))

    compiled = tf.function(step, autograph=False, reduce_retracing=True)
    slopes = np.stack([compiled(inputs, targets).numpy() for inputs, targets in batches()])
    return np.asarray(slopes.astype(np.float64).mean(axis=0))


def _gated(graph: LayerGraph, tensors: Mapping[int, Array], gates: Any) -> LayerGraph:
    """Return a graph in which every layer that mixes channels reads its input through the gates."""
    from edgecv.compress.slim.gate import Gate

    calls: list[Call] = []
    for call in graph.calls:
        inputs = list(call.inputs)
        if call.kind in MIXERS:
            gated, source = graph.key(), inputs[0]
            layer = Gate(gates, tensors[source], name=f"{call.name}_{len(calls)}_gate")
            calls.append(
                Call(name=layer.name, kind="Gate", layer=layer, inputs=[source], output=gated, shape=call.shape)
            )
            inputs = [gated]
        calls.append(replace(call, inputs=inputs))
    return LayerGraph(name=graph.name, inputs=graph.inputs, calls=calls, outputs=graph.outputs, shared=graph.shared)


def similarity_scores(known: Dependencies, batches: Batches) -> Array:
    """Return how little of a channel's map the most similar other one of its group explains: 1 - correlation^2.

    Pair by pair, the most similar first: the weaker of the two gets its score and steps back, so that of several equal
    maps one keeps a high score. NaN where a group reaches no layer that mixes channels.
    Source of the idea: Ayinde, Inanc, Zurada 2019, "Redundant Feature Pruning for Accelerated Inference", section 3.
    """
    places = {group: found for group in known.groups if (found := place_of(known, group)) is not None}
    scores = np.full(len(known.removable), np.nan)
    if not places:
        return scores
    keys = list(dict.fromkeys(key for key, _ in places.values()))
    model = build(replace(known.graph, outputs=keys))
    moments = {group: Moments(len(group.components)) for group in places}
    for inputs, _ in batches():
        found = model(inputs, training=False)
        maps = dict(zip(keys, found if isinstance(found, list) else [found], strict=True))
        for group, (key, columns) in places.items():
            moments[group].add(positions(np.asarray(maps[key]))[:, columns])
    for group, seen in moments.items():
        scores[list(group.components)] = by_turns(seen.covariance())[0]
    return scores


def place_of(known: Dependencies, group: Group) -> tuple[int, Array] | None:
    """Return the first tensor that a mixing layer reads a group from, and the group's columns there."""
    found = None
    for call in known.graph.calls:
        if call.kind not in MIXERS:
            continue
        labels = known.tensors[call.inputs[0]]
        first = {int(number): column for column, number in reversed(list(enumerate(labels.tolist())))}
        if group.components[0] in first:
            found = call.inputs[0], np.array([first[number] for number in group.components])
            break
    return found


def positions(maps: Array) -> Array:
    """Return rows of channels: some pixels of each image."""
    rows = maps.reshape(len(maps), -1, maps.shape[-1])
    chosen = np.unique(np.linspace(0, rows.shape[1] - 1, POSITIONS).astype(int))
    return rows[:, chosen].reshape(-1, maps.shape[-1]).astype(np.float64)


class Moments:
    """Running sums of channels and of their products."""

    def __init__(self, channels: int) -> None:
        self.count, self.sums, self.products = 0, np.zeros(channels), np.zeros((channels, channels))

    def add(self, rows: Array) -> None:
        self.count += len(rows)
        self.sums += rows.sum(axis=0)
        self.products += rows.T @ rows

    def covariance(self) -> Array:
        means = self.sums / self.count
        found: Array = self.products / self.count - np.outer(means, means)
        return found


def by_turns(covariance: Array) -> tuple[Array, Array]:
    """Score channels pair by pair; one that never changes scores 0.

    Args:
        covariance: Of the channels, (n, n).

    Returns:
        The scores, and for each channel that stepped back the one that stands for it; -1 for the others.
    """
    energy = np.maximum(np.diag(covariance), 0.0)
    alive = energy > 1e-12 * max(float(energy.max(initial=0.0)), 1e-30)
    scale = np.sqrt(np.where(alive, energy, 1.0))
    shared = np.where(np.outer(alive, alive), np.square(covariance / np.outer(scale, scale)), -1.0)
    np.fill_diagonal(shared, -1.0)
    scores, partners = np.where(alive, 1.0, 0.0), np.full(len(energy), -1)
    for _ in range(int(alive.sum()) - 1):
        one, other = np.unravel_index(int(np.argmax(shared)), shared.shape)
        weaker, stronger = (one, other) if energy[one] <= energy[other] else (other, one)
        scores[weaker], partners[weaker] = max(0.0, 1.0 - float(shared[one, other])), stronger
        shared[weaker], shared[:, weaker] = -1.0, -1.0
    return scores, partners
