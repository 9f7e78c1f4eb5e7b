"""Maps of numbers: what filters answer, and where they answer most."""

from edgecv.tasks.response.prediction import Peak, Response
from edgecv.tasks.response.task import ResponseTask

__all__ = ["Peak", "Response", "ResponseTask"]
