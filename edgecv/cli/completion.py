"""What the shell offers after an option: names that edgecv knows, none of which needs TensorFlow to find out."""

from __future__ import annotations

from collections.abc import Iterable


def targets(incomplete: str) -> list[str]:
    from edgecv.values.profiles import target_names

    return _beginning(incomplete, target_names())


def architectures(incomplete: str) -> list[str]:
    from edgecv.zoo.catalog import names

    return _beginning(incomplete, names())


def calibrations(incomplete: str) -> list[str]:
    from edgecv.values.profiles import calibration_names

    return _beginning(incomplete, calibration_names())


def recipes(incomplete: str) -> list[str]:
    from edgecv.train import recipe_names

    return _beginning(incomplete, recipe_names())


def devices(incomplete: str) -> list[str]:
    from edgecv.core.errors import EdgecvError
    from edgecv.jobs.devices import listed

    try:
        return _beginning(incomplete, (device.name for device in listed()))
    except EdgecvError:
        # A declaration that is wrong is an error of the command, not of the shell's line.
        return []


def schemes(incomplete: str) -> list[str]:
    from edgecv.values.specs import SCHEMES

    return _beginning(incomplete, SCHEMES)


def presets(incomplete: str) -> list[str]:
    from edgecv.values.presets import PRESETS

    return _beginning(incomplete, PRESETS)


def demos(incomplete: str) -> list[str]:
    from edgecv.jobs.demo import demo_names

    return _beginning(incomplete, demo_names())


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
