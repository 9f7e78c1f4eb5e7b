"""How a figure came to be: every figure carries its kind, and kinds are never mixed in a column."""

from __future__ import annotations

from typing import Literal

Kind = Literal["measured", "simulated", "predicted"]
