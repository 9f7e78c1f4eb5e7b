"""A device's state from its agent: temperatures, clock, energy; and what went on between two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgecv.bench.link import AgentLink
from edgecv.bench.records import Reading, Run
from edgecv.core import codec
from edgecv.core.errors import ConfigError
from edgecv.values.latency import Conditions, DeviceState, Energy

STATE_TIMEOUT_S = 60.0
FIGURES = ("temperatures_c", "governor", "frequency_mhz", "throttled", "energy_uj", "power_mw")
OLDER_AGENT = "the edgecv on the device is older than here: its agent does not tell"
# RAPL counters wrap at a value of their own, in minutes to hours: readings in between make the wrap visible.
MAX_GAP_S = 30.0


def read_state(agent: AgentLink) -> DeviceState:
    """Ask an agent for its device's state. An agent that does not know the question is no error."""
    try:
        answer = agent.ask("reading the device's state", STATE_TIMEOUT_S, command="state")
    except ConfigError as error:
        reason = OLDER_AGENT if "unknown agent command" in error.message else error.message
        return DeviceState(missing=dict.fromkeys(FIGURES, reason))
    return codec.decode(DeviceState, answer, where="the agent's answer to state")


def conditions(runs: Sequence[Run]) -> Conditions | None:
    """Return the first and the last reading of a case's processes, None when nothing was read."""
    readings = [reading for run in runs for reading in run.readings]
    return Conditions(before=readings[0].state, after=readings[-1].state) if readings else None


def energies(readings: Sequence[Reading], inferences: int) -> tuple[Energy, ...]:
    """Return the energy that each counter and power sensor saw between the first and the last reading.

    Counters: the sum of differences; a step back is a counter that wrapped, and leaves that counter unknown. Power
    sensors: the trapezoidal rule over the readings, at least one per `MAX_GAP_S`.

    Args:
        readings: In order of time.
        inferences: Between the first and the last one.
    """
    joules = {**_counted(readings), **_integrated(readings)}
    return tuple(
        Energy(source=name, joules=value, per_inference_mj=1e3 * value / inferences)
        for name, value in joules.items()
        if inferences > 0
    )


def energy_missing(readings: Sequence[Reading]) -> str:
    """Return why no energy is known: the device's own words."""
    missing: Mapping[str, str] = readings[-1].state.missing if readings else {}
    words = (missing.get("energy_uj", ""), missing.get("power_mw", ""))
    return "not available: " + ("; ".join(word for word in words if word) or "its counters did not move or wrapped")


def _counted(readings: Sequence[Reading]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in readings[0].state.energy_uj if readings else ():
        values = [reading.state.energy_uj.get(name) for reading in readings]
        known = [value for value in values if value is not None]
        steps = [after - before for before, after in zip(known, known[1:], strict=False)]
        if len(known) == len(values) and steps and min(steps) >= 0 and sum(steps) > 0:
            found[name] = sum(steps) / 1e6
    return found


def _integrated(readings: Sequence[Reading]) -> dict[str, float]:
    found: dict[str, float] = {}
    gaps = [after.at_s - before.at_s for before, after in zip(readings, readings[1:], strict=False)]
    if not gaps or max(gaps) > MAX_GAP_S:
        return found
    for name in readings[0].state.power_mw:
        values = [reading.state.power_mw.get(name) for reading in readings]
        known = [value for value in values if value is not None]
        if len(known) == len(values):
            pairs = zip(known, known[1:], gaps, strict=False)
            found[name] = sum((before + after) / 2 * gap for before, after, gap in pairs) / 1e3
    return found
