"""The architectures that edgecv builds, and what each costs."""

from edgecv.zoo.catalog import build, entries, get, inference, names
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.profiling import ModelProfile, profile
from edgecv.zoo.stored import Readiness, readiness, stored_profile
from edgecv.zoo.weightless import weightless

__all__ = [
    "Build",
    "ModelProfile",
    "Readiness",
    "Variant",
    "ZooEntry",
    "build",
    "entries",
    "get",
    "inference",
    "names",
    "profile",
    "readiness",
    "stored_profile",
    "weightless",
]
