"""The architectures that edgecv builds, and what each costs."""

from edgecv.zoo.catalog import build, entries, get, names
from edgecv.zoo.entry import Variant, ZooEntry
from edgecv.zoo.profiling import ModelProfile, profile

__all__ = ["ModelProfile", "Variant", "ZooEntry", "build", "entries", "get", "names", "profile"]
