"""A model on one split of a data set, as the model takes it: what every job asks."""

from __future__ import annotations

from edgecv.core.progress import QUIET, Reporter
from edgecv.data import Dataset, fitted
from edgecv.evaluate.evaluating import Evaluable, evaluate
from edgecv.values.evaluation import Evaluation


def assess(
    predictor: Evaluable, dataset: Dataset, split: str, *, name: str | None = None, reporter: Reporter = QUIET
) -> Evaluation:
    """Return how well a model answers on one split of a data set.

    Args:
        predictor: A loaded model.
        dataset: Any that has a target for each head; pairs are drawn of identities for a model that compares them.
        split: Its name.
        name: What to call the model in progress; None takes its spec's name.
        reporter: Told of each sample.

    Raises:
        ConfigError: There is no such split, a head's task is unknown, or the targets are not the heads'.
        DataError: The split is empty, a truth does not fit, an answer is not finite, or an image is corrupt.
        DeviceError: The interpreter or the accelerator failed.
    """
    whole = fitted(dataset, predictor.spec)
    return evaluate(predictor, whole.split(split), whole.name, targets=whole.targets, name=name, reporter=reporter)
