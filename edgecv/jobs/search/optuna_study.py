"""Optuna beside the search: its samplers for large spaces, and its storage as the one format of studies.

Trials of our own search go into the study as well, so that what reads Optuna's storage shows them too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edgecv.core import codec, optional
from edgecv.core.errors import ConfigError
from edgecv.jobs.search import engine
from edgecv.jobs.search.candidates import Candidate, candidate
from edgecv.jobs.search.driver import Sampler
from edgecv.jobs.search.engine import Ask, Study
from edgecv.jobs.search.knobs import Value
from edgecv.jobs.search.space import Space
from edgecv.values.search import Finding, Objective

NAME = "edgecv optimize"
SAME = 100
"""Suggestions in a row that are known already, after which a sampler has nothing new to say."""
REFUSED = 1e3
"""Value of a candidate that is refused or has no file: worse than any."""


@contextlib.contextmanager
def opened(
    storage: str, given: Space, candidates: tuple[Candidate, ...], sought: Objective, *, sampler: str, seed: int
) -> Iterator[Sampler]:
    """Yield a sampler that keeps an Optuna study.

    Args:
        storage: A journal file, or the address of a database: "sqlite:///study.db".
        given: The space.
        candidates: Of it.
        sought: What is looked for.
        sampler: "latency": our own decides, and is recorded; "tpe" or "nsga2": Optuna's.
        seed: Of Optuna's sampler.

    Raises:
        MissingDependencyError: Optuna is not installed.
        ConfigError: The storage cannot be opened, or holds a study of another space.
    """
    optuna = optional.require("optuna", why="for --storage, and --sampler tpe or nsga2")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(
            study_name=NAME,
            storage=_storage(optuna, storage),
            load_if_exists=True,
            sampler=_made(optuna, sampler, seed),
            directions=["minimize"] * (2 if sought.goal == "front" else 1),
        )
    except Exception as error:
        raise ConfigError(f"the study in {storage} cannot be opened: {error}", hint="name another --storage") from error
    _check_space(study, given, storage)
    yield _Recorder(optuna, study, given, candidates, own=sampler == "latency")


def _storage(optuna: Any, address: str) -> Any:
    if "://" in address:
        return address
    Path(address).parent.mkdir(parents=True, exist_ok=True)
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(address))


def _made(optuna: Any, sampler: str, seed: int) -> Any:
    if sampler == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed)


def _check_space(study: Any, given: Space, storage: str) -> None:
    document = codec.encode(given.document)
    known = study.user_attrs.get("space")
    if known is not None and known != document:
        raise ConfigError(
            f"the study in {storage} is of another space", hint="name another --storage, or search that space"
        )
    if known is None:
        study.set_user_attr("space", document)


class _Recorder:
    """A sampler: asks the engine, or Optuna, and tells the study of every judgement in full."""

    def __init__(self, optuna: Any, study: Any, given: Space, candidates: tuple[Candidate, ...], *, own: bool) -> None:
        self._optuna, self._study, self._own = optuna, study, own
        self._by_id = {one.id: one for one in candidates}
        self._values = {knob.name: {_plain(value): value for value in knob.values} for knob in given.knobs}
        self._open: dict[str, Any] = {}
        self._told = {
            trial.user_attrs["candidate"]
            for trial in study.get_trials(deepcopy=False)
            if "candidate" in trial.user_attrs and trial.state.is_finished()
        }

    def __call__(self, study: Study, *, pending: Sequence[Ask] = ()) -> Ask | str:
        for finding in study.findings:
            if finding.level == "full" and finding.candidate not in self._told:
                self._tell(study, finding)
        return engine.ask(study, pending=pending) if self._own else self._suggested(study, pending)

    def _suggested(self, study: Study, pending: Sequence[Ask]) -> Ask | str:
        out, busy = engine.reasons(study), {one.candidate.id for one in pending}
        if not any(one.id not in out and one.id not in busy for one in study.candidates):
            return "done"
        for known in self._told:
            if known in self._by_id and known not in busy and study.finding(known, "full") is None:
                # Of an earlier run: the records have what it came to.
                return Ask(candidate=self._by_id[known], level="full", expected=0.0)
        for _ in range(SAME):
            trial = self._study.ask()
            one = self._by_id.get(self._candidate(trial).id)
            found = None if one is None else study.finding(one.id, "full")
            if one is not None and one.id in busy:
                self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
            elif one is None or found is not None or one.id in out:
                self._finish(trial, study, found)
            else:
                self._open[one.id] = trial
                coarse = one.id in study.coarse and study.finding(one.id, "coarse") is None
                return Ask(candidate=one, level="coarse" if coarse else "full", expected=0.0)
        return "the sampler repeats itself"

    def _candidate(self, trial: Any) -> Candidate:
        chosen: dict[str, Value] = {}
        for name, values in self._values.items():
            chosen[name] = values[trial.suggest_categorical(name, list(values))]
        return candidate(chosen)

    def _tell(self, study: Study, finding: Finding) -> None:
        self._told.add(finding.candidate)
        trial = self._open.pop(finding.candidate, None)
        if trial is None:
            self._study.add_trial(self._recorded(study, finding))
        else:
            self._finish(trial, study, finding)

    def _finish(self, trial: Any, study: Study, finding: Finding | None) -> None:
        if finding is not None:
            for name, value in self._facts(study, finding).items():
                trial.set_user_attr(name, value)
        if study.objective.max_drop is not None:
            trial.set_constraint("drop", _over(study, finding))
        self._study.tell(trial, _scores(study, finding))

    def _recorded(self, study: Study, finding: Finding) -> Any:
        one = self._by_id[finding.candidate]
        params = {name: _plain(one[name]) for name, values in self._values.items() if _plain(one[name]) in values}
        choices = self._optuna.distributions.CategoricalDistribution
        return self._optuna.trial.create_trial(
            params=params,
            distributions={name: choices(list(self._values[name])) for name in params},
            values=_scores(study, finding),
            user_attrs=self._facts(study, finding),
        )

    def _facts(self, study: Study, finding: Finding) -> dict[str, Any]:
        return {
            "candidate": finding.candidate,
            "label": self._by_id[finding.candidate].label,
            "finding": codec.encode(finding),
            "cost": codec.encode(study.costs[finding.candidate]),
        }


def _scores(study: Study, finding: Finding | None) -> list[float]:
    """Return what is to be small."""
    drop = REFUSED if finding is None or finding.drop is None else finding.drop
    price = REFUSED if finding is None else study.objective.price(study.costs[finding.candidate]) or REFUSED
    return {"front": [price, drop], "accurate": [drop]}.get(study.objective.goal, [price])


def _over(study: Study, finding: Finding | None) -> float:
    """Return by how much the upper end of an interval is beyond what may be lost."""
    high = REFUSED if finding is None or finding.drop_ci95 is None else finding.drop_ci95[1]
    return high - (study.objective.max_drop or 0.0)


def _plain(value: Value) -> Any:
    """Return a value as Optuna keeps it: lists of layers as one text."""
    return "+".join(value) if isinstance(value, tuple) else value
