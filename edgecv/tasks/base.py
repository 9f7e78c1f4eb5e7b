"""What most tasks share: the defaults of `edgecv.tasks.protocol.Task`. A task overrides what differs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core import codec
from edgecv.core.errors import ConfigError, DataError
from edgecv.tasks.contradiction import Contradiction, contradiction
from edgecv.tasks.description import Description
from edgecv.tasks.frame import Frame, Piece
from edgecv.tasks.mediapipe import Joining, MediapipeHead, unread
from edgecv.tasks.protocol import Division, Form
from edgecv.tasks.recognised import Recognised, RecognisedHead, Seen
from edgecv.values.scores import Metric
from edgecv.values.specs import Head

Array = NDArray[Any]


@dataclass(frozen=True)
class NoSettings:
    """Of a task that has none."""


@cache
def _defaults(settings: type) -> Any:
    """Return the settings of a head that says nothing; they are frozen, and asked for with every answer."""
    return settings()


class BaseTask:
    """What most tasks share."""

    name = ""
    metric = Metric("")
    reads: Tuple[str, ...] = ()
    labelled = True
    named: Tuple[str, str] = ("class", "classes")
    least_labels = 1
    labels_fixed = True
    compares = 1
    exclusive = True
    is_features = False
    joins = False
    depicts = False
    divided_by: Division = "nothing"
    truth_settings: Tuple[str, ...] = ()
    figure_help: Mapping[str, str] = MappingProxyType({})
    form: Form = "numbers"
    call_settings: Tuple[str, ...] = ()
    unjudged: Tuple[str, ...] = ()
    Settings: type = NoSettings

    def settings(self, head: Head) -> Any:
        if not head.settings:
            return _defaults(self.Settings)
        return codec.decode(self.Settings, head.settings, where=f"settings of head '{head.name}' ({self.name})")

    def widths(self, head: Head) -> Tuple[int, ...]:
        return (len(head.labels),)

    def judge(
        self, truths: Sequence[Any], outputs: Sequence[Array], head: Head, frames: Sequence[Optional[Frame]]
    ) -> List[Any]:
        found = []
        for index, (truth, frame) in enumerate(zip(truths, frames)):
            prediction = self.decode([output[index] for output in outputs], head, frame)
            found.append(self.evidence(truth, prediction, head))
        return found

    if TYPE_CHECKING:

        def decode(self, outputs: Sequence[Array], head: Head, frame: Optional[Frame] = None) -> Any: ...

        def evidence(self, truth: Any, prediction: Any, head: Head) -> Any: ...

    def ties(self, evidence: Sequence[Any]) -> Optional[int]:
        return None

    def difference(
        self, base: Sequence[Array], own: Sequence[Array], head: Head, size: Tuple[int, ...]
    ) -> Tuple[float, str]:
        apart = float(np.abs(np.asarray(base[0], np.float64) - own[0]).mean())
        return apart, f"The outputs differ by {apart:.3g} on average."

    def groups(self, head: Head, shapes: Sequence[Tuple[int, ...]]) -> Tuple[Tuple[slice, ...], ...]:
        return tuple((slice(None),) for _ in shapes)

    def contradiction(self, answers: Sequence[Array], head: Head, step: float = 0.0) -> Optional[Contradiction]:
        return contradiction(answers[0], head, exclusive=self.exclusive, step=step)

    def too_coarse(self, head: Head, shapes: Sequence[Tuple[int, ...]], steps: Sequence[Optional[float]]) -> str:
        return ""

    def doubt(self, value: float, figures: Mapping[str, Optional[float]], n: int, head: Head) -> str:
        return ""

    def recognise(self, shape: Tuple[int, ...], ends_in: str) -> Optional[Recognised]:
        return None

    def recognise_outputs(
        self, outputs: Sequence[Seen], size: Tuple[int, ...], labels: int
    ) -> Optional[RecognisedHead]:
        return None

    def is_finite(self, outputs: Sequence[Array], head: Head) -> bool:
        return all(bool(np.isfinite(output).all()) for output in outputs)

    def as_truth(self, prediction: Any, head: Head) -> Any:
        raise ConfigError(
            f"answers of head '{head.name}' are no truths for {self.name}, which are not about one sample alone",
            hint="use data with truths of its own",
        )

    def check_truth(self, truth: Any, head: Head, where: str) -> None:
        return

    def strata(self, truths: Sequence[Any]) -> Array:
        return np.zeros(len(truths), np.int64)

    def describe(self, truths: Sequence[Any], labels: Tuple[str, ...]) -> Description:
        return Description()

    def told(self, truth: Any, labels: Tuple[str, ...]) -> str:
        return ""

    def check_size(self, head: Head, size: Tuple[int, int]) -> None:
        return

    def fitted(self, head: Head, truths: Sequence[Any], frames: Iterable[Optional[Frame]]) -> Head:
        return head

    def joined(self, pieces: Sequence[Piece], size: Tuple[int, int]) -> Any:
        raise ConfigError(
            f"truths for {self.name} are about an image as a whole, those of {len(pieces)} images cannot be joined",
            hint="leave mosaic out of the recipe's augmentation",
        )

    def check_teacher(self, head: Head, teacher: Head) -> None:
        return

    def new_head(self, features: Any, labels: Tuple[str, ...], name: str) -> Tuple[Any, Head]:
        raise ConfigError(
            f"transfer learning has no new head for {self.name}",
            hint="train a network that is made for it; `edgecv zoo list` tells their tasks",
        )

    def on_windows(self, head: Head, covers: Tuple[float, ...]) -> Head:
        raise ConfigError(
            f"head '{head.name}' is for {self.name}, of which no task reads a map",
            hint="a fully convolutional network is made of classifiers of probabilities or logits",
        )

    def mediapipe(self, head: Head, shapes: Sequence[Tuple[int, ...]], size: Tuple[int, ...]) -> MediapipeHead:
        raise unread(head, f"it has no task for {self.name}")

    def joining(self, head: Head, shapes: Sequence[Tuple[int, ...]]) -> Optional[Joining]:
        return None

    def _check_count(self, labels: Tuple[str, ...]) -> None:
        if len(labels) < self.least_labels:
            raise ConfigError(
                f"a head for {self.name} needs {self.least_labels} or more labels, got {', '.join(labels) or 'none'}"
            )


def paired(base: Sequence[Any], candidate: Sequence[Any]) -> int:
    """Return the number of samples of two runs. Raises DataError unless they are as many, and some."""
    if len(base) != len(candidate) or not base:
        raise DataError(
            f"paired results must be of equal length and not empty, got {len(base)} and {len(candidate)}",
            hint="evaluate both models on the same split",
        )
    return len(base)
