"""`--min-mapped`: the least that a target must map for a file to pass."""

from __future__ import annotations

from dataclasses import dataclass

from edgecv.core.errors import ConfigError
from edgecv.values.inspection import Inspection


@dataclass(frozen=True, slots=True, kw_only=True)
class Minimum:
    """A share of the operators in 0..1, or a number of them; the other is None."""

    text: str
    share: float | None = None
    count: int | None = None

    def failure(self, found: Inspection) -> str:
        """Return why an inspection falls short, "" when it does not."""
        least = self.count if self.count is not None else (self.share or 0.0) * found.n_ops
        if found.n_mapped >= least:
            return ""
        first = next((v for v in found.ops if not v.mapped), None)
        why = (
            f"; the first one that does not: {first.index} {first.op}: {first.reason or first.status}" if first else ""
        )
        return (
            f"{found.n_mapped} of {found.n_ops} operators map to {found.target} ({found.kind}), "
            f"--min-mapped is {self.text}{why}"
        )


def parse_minimum(text: str) -> Minimum:
    """Read SHARE or COUNT: "0.95", "95%" and "1" (all of them) are shares, whole numbers above 1 are counts.

    Raises:
        ConfigError: It is neither.
    """
    hint = "give a share such as 0.95 or 95%, where 1 means all, or a number of operators above 1"
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        raise ConfigError(f"--min-mapped takes a share or a number of operators, got '{text}'", hint=hint) from None
    if text.endswith("%"):
        value /= 100
    elif value > 1 and value.is_integer():
        return Minimum(text=text, count=int(value))
    if not 0 <= value <= 1:
        raise ConfigError(f"--min-mapped takes a share in 0..1 or a number of operators, got '{text}'", hint=hint)
    return Minimum(text=text, share=value)
