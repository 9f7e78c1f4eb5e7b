"""A contract with settings that hold for one call: the least score, the overlap of two boxes, a threshold."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from edgecv.core.errors import ConfigError, nearest
from edgecv.tasks.registry import task_of
from edgecv.values.specs import Head, ModelSpec


def with_settings(spec: ModelSpec, given: Mapping[str, Any], *, judged: bool = False) -> ModelSpec:
    """Return a contract in which settings of heads are replaced.

    Args:
        spec: The model's contract.
        given: Settings of the first head by name; those of another head as a mapping under its name.
        judged: Whether answers are judged and not only told: what the metric says itself is refused then.

    Raises:
        ConfigError: A head's task takes no such setting with a call, or its value is wrong.
    """
    by_head = _by_head(spec, given)
    heads = [_changed(head, by_head[head.name], judged) if head.name in by_head else head for head in spec.heads]
    return replace(spec, heads=tuple(heads))


def _by_head(spec: ModelSpec, given: Mapping[str, Any]) -> Dict[str, Dict[str, Any]]:
    found: Dict[str, Dict[str, Any]] = {}
    own = task_of(spec.head).call_settings
    for key, value in given.items():
        named = key not in own and isinstance(value, Mapping) and any(head.name == key for head in spec.heads)
        found.setdefault(key if named else spec.head.name, {}).update(value if named else {key: value})
    return found


def _changed(head: Head, given: Mapping[str, Any], judged: bool) -> Head:
    task = task_of(head)
    unjudged = task.unjudged if judged else ()
    known = tuple(name for name in task.call_settings if name not in unjudged)
    for key in given:
        if key in unjudged:
            raise ConfigError(
                f"'{key}' of head '{head.name}' changes nothing here: {task.metric.name} is measured at a {key} of its "
                "own",
                hint=_known(known, ""),
            )
        if key not in known:
            raise ConfigError(
                f"head '{head.name}' ({head.task}) takes no setting '{key}' with a call", hint=_hint(head, key, known)
            )
    made = replace(head, settings={**head.settings, **given})
    task.settings(made)
    return made


def _hint(head: Head, key: str, known: Sequence[str]) -> str:
    if key in {field.name for field in fields(task_of(head).Settings)}:
        return f"'{key}' says what the network is: change it in the contract; {_known(known, '')}"
    match = nearest(key, known)
    return _known(known, f"did you mean '{match}'? " if match else "")


def _known(known: Sequence[str], guess: str) -> str:
    return f"{guess}known: {', '.join(known) or 'none'}"


class CallSettings:
    """Keeps the contract of the last call, so that settings which stay the same are checked once."""

    def __init__(self) -> None:
        self._last: List[Tuple[ModelSpec, Dict[str, Any], ModelSpec]] = []

    def of(self, spec: ModelSpec, given: Mapping[str, Any]) -> ModelSpec:
        """Return `with_settings(spec, given)`. Raises as it does."""
        if not given:
            return spec
        for base, settings, made in self._last:
            if base is spec and settings == given:
                return made
        made = with_settings(spec, given)
        self._last = [(spec, _copied(given), made)]
        return made


def _copied(given: Mapping[str, Any]) -> Dict[str, Any]:
    """A copy that the caller's later changes do not reach."""
    return {key: dict(value) if isinstance(value, Mapping) else value for key, value in given.items()}
