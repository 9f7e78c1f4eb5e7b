"""What deployment targets can run: reads the data in the top-level folder `targets/` and judges model files by it."""

from edgecv.targets import cpu, edgetpu, gpu, table  # each registers its verdict procedure
from edgecv.targets.inspection import inspect, summarize
from edgecv.targets.minimum import parse_minimum

__all__ = ["cpu", "edgetpu", "gpu", "inspect", "parse_minimum", "summarize", "table"]
