"""An interpreter in a process of its own, as a session: a file that crashes it, or never ends, is an error here."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional, Sequence

from numpy.typing import NDArray

from edgecv.core.apart import TIMEOUT_VARIABLE, Apart, Limits, limits
from edgecv.core.files import PathLike
from edgecv.runtime.engines import open_session
from edgecv.runtime.engines.base import Session

Array = NDArray[Any]

COMPILE_S = 300.0
"""What an accelerator may take to compile a file, unless the user sets the time limit."""
_FACTS = (
    "engine", "threads", "inputs", "outputs", "accelerator", "adapter", "is_software_adapter", "fully_accelerated",
    "n_accelerated", "n_operators", "compile_ms", "from_cache",
)  # fmt: skip


class ApartSession(Session):
    """A session whose interpreter is in a child process. Closing it ends the child.

    Args:
        path: The file.
        options: As `open_session` takes them.

    Raises:
        CrashError: The file ends the child, or takes more time or memory than `apart.limits` allows.
        EdgecvError: As `open_session`.
    """

    def __init__(self, path: PathLike, options: Dict[str, Any]) -> None:
        name = os.fspath(path)
        on_cpu = options.get("accelerator", "cpu") == "cpu"
        self._child = Apart(
            "edgecv.runtime.apart_session:Opened", name, options, about=name, allowed=None if on_cpu else _compiling()
        )
        try:
            facts = self._child.call("facts")
        except BaseException:
            self._child.close(at_once=True)
            raise
        super().__init__(facts["engine"], facts["threads"], facts["inputs"], facts["outputs"])
        for fact in _FACTS[4:]:
            setattr(self, fact, facts[fact])
        self._given: List[Array] = []
        self._answers: List[Array] = []

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._child.pid

    @property
    def precision(self) -> Optional[str]:
        found: Optional[str] = self._child.call("precision")
        return found

    def set_inputs(self, arrays: Sequence[Array]) -> None:
        self._given = list(arrays)

    def invoke(self) -> None:
        self._answers = self._child.call("run", self._given)

    def get_outputs(self) -> List[Array]:
        return list(self._answers)

    def close(self) -> None:
        self._child.close()


class Opened:
    """The child's side: a session, and what is asked of it."""

    def __init__(self, path: str, options: Dict[str, Any]) -> None:
        self._session = open_session(path, **options)

    def facts(self) -> Dict[str, Any]:
        return {fact: getattr(self._session, fact) for fact in _FACTS}

    def precision(self) -> Optional[str]:
        return self._session.precision

    def run(self, arrays: Sequence[Array]) -> List[Array]:
        return self._session.run(arrays)


def _compiling() -> Limits:
    allowed = limits()
    return allowed if TIMEOUT_VARIABLE in os.environ else Limits(COMPILE_S, allowed.memory_bytes)
