"""One or several values for each sample."""

from edgecv.tasks.regression.task import Regression, RegressionTask

__all__ = ["Regression", "RegressionTask"]
