"""The contract of a model from elsewhere: what the model tells, and what labelled data decides.

Where nothing in a model says how its images are scaled, each common way is tried on labelled images: the one under
which the model is right is the one that it was trained with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from edgecv import data
from edgecv.core.errors import ConfigError
from edgecv.core.progress import QUIET, Reporter
from edgecv.data import Dataset, Target
from edgecv.jobs import models
from edgecv.jobs.sense import Trial, best_of, clearly_better, try_presets
from edgecv.modelio import LoadedModel
from edgecv.modelio.contract import Inferred, infer, with_preprocessing
from edgecv.modelio.keras_files import import_of
from edgecv.modelio.provenance import manifest_for
from edgecv.values.presets import PRESETS, preset
from edgecv.values.specs import Head, ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What was found out of a model.

    Attributes:
        spec: Its contract.
        known: What the model, the data or the caller says, a sentence each.
        guessed: What was assumed, likewise; look at it.
        trials: Each scaling that was tried on labelled images; empty when none had to be.
        open: Presets between which nothing decides; empty when the scaling is known.
        ask: Of each head by name, settings that nothing tells, to the question that their value answers.
    """

    spec: ModelSpec
    known: tuple[str, ...]
    guessed: tuple[str, ...]
    trials: tuple[Trial, ...] = ()
    open: tuple[str, ...] = ()
    ask: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def contract_of(loaded: LoadedModel, *, dataset: Dataset | None = None, preset_name: str | None = None) -> Contract:
    """Return the contract of a model without one.

    Args:
        loaded: The model; what its file says of it is not looked at.
        dataset: Gives labels, and, where it has some, decides how images are scaled.
        preset_name: How images are scaled, in place of what the model says or the data shows.

    Raises:
        ConfigError: The model takes or gives what no task reads, or there is no such preset.
    """
    found = infer(loaded.model, loaded.path)
    widths = tuple(int(tensor.shape[-1]) for tensor in loaded.model.outputs)
    spec, known, guessed = _labelled(found, widths, dataset)
    candidates, trials = found.candidates, tuple[Trial, ...]()
    if preset_name is not None:
        shape = next((one.shape for one in spec.inputs if one.preprocessing is not None), (0, 0, 3))
        spec = with_preprocessing(spec, preset(preset_name, shape[-1]))
        known, guessed = _without_pixels(known), _without_pixels(guessed)
        known.append(f"pixels {PRESETS[preset_name]}: as you say")
        candidates = ()
    elif candidates and dataset is not None:
        trials = try_presets(loaded, spec, dataset, candidates)
        best = best_of(trials)
        if best is not None:
            spec = with_preprocessing(spec, preset(best.preset, spec.inputs[0].shape[-1]))
            guessed = _without_pixels(guessed)
            said = f"pixels {PRESETS[best.preset]}: {best.accuracy:.1%} of {best.n} images are right under it"
            equal = [trial.preset for trial in trials if trial is not best and not clearly_better(best, trial)]
            (guessed if equal else known).append(said + (f", and as many under {', '.join(equal)}" if equal else ""))
            candidates = ()
    return Contract(spec=spec, known=tuple(known), guessed=tuple(guessed), trials=trials, open=candidates)


def opened(
    source: models.Source, uri: str | None = None, *, needed: bool = True, reporter: Reporter = QUIET
) -> LoadedModel:
    """Load a model with its contract, or with the one that is found out: see `described`.

    Raises:
        ConfigError, UnsupportedModelError: As `models.load` and `described`.
    """
    loaded = models.load(source, reporter=reporter)
    return described(loaded, uri=uri, preset_name=source.preset, needed=needed, reporter=reporter)


def described(
    loaded: LoadedModel,
    *,
    uri: str | None = None,
    preset_name: str | None = None,
    needed: bool = True,
    reporter: Reporter = QUIET,
) -> LoadedModel:
    """Return a model with a contract: its own, or the one that is found out, which is said in a line.

    Args:
        uri: The data that the job is about, when there is some.
        preset_name: How images are scaled.
        needed: Whether the job feeds the model: what is open then is refused.

    Raises:
        ConfigError: The model has a contract of its own and a preset is given as well, or the scaling is open.
    """
    if loaded.manifest is not None:
        if preset_name is not None:
            raise ConfigError(
                f"{loaded.path} has a contract, so --preset has nothing to say", hint="leave --preset out"
            )
        return loaded
    dataset = data.open_dataset(uri) if uri is not None else None
    found = contract_of(loaded, dataset=dataset, preset_name=preset_name)
    if found.open and needed:
        raise ConfigError(
            f"{loaded.path} does not say how it wants its pixels, and edgecv did not write it",
            hint=f"--preset {'|'.join(found.open)} says it, labelled --data show it, --spec model.toml has everything: "
            f"`edgecv spec {loaded.path.name}` writes one",
        )
    if found.open:
        reporter.warn(
            "nothing says how pixels are scaled: the file's contract says 0..1. It computes right all the same; "
            "--preset names another scale"
        )
    reporter.info(f"contract found out: {'; '.join((*found.known, *found.guessed))}")
    recipe = {**(loaded.recipe or import_of(loaded.path)), "inferred": [*found.known, *found.guessed]}
    return replace(loaded, manifest=manifest_for(found.spec, recipe=recipe, source_sha256=loaded.sha256))


def _labelled(
    found: Inferred, widths: Sequence[int], dataset: Dataset | None
) -> tuple[ModelSpec, list[str], list[str]]:
    """Return a contract with the labels of a data set, where one of its targets fits an output."""
    spec, known, guessed = found.spec, list(found.known), list(found.guessed)
    heads = []
    for head, width in zip(spec.heads, widths, strict=True):
        target = _fitting(head, dataset.targets if dataset else ())
        if target is not None and dataset is not None and not head.labels:
            if len(target.labels) == width:
                head = replace(head, labels=target.labels)
                known.append(f"{width} labels from {dataset.name}")
            else:
                guessed.append(f"{dataset.name} has {len(target.labels)} labels, output '{head.name}' {width}")
        heads.append(head)
    return replace(spec, heads=tuple(heads)), known, guessed


def _fitting(head: Head, targets: Sequence[Target]) -> Target | None:
    found = [target for target in targets if target.task == head.task]
    return found[0] if len(found) == 1 else None


def _without_pixels(sentences: Sequence[str]) -> list[str]:
    return [one for one in sentences if not one.startswith("pixels ")]
