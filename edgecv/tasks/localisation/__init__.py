"""Localisation: which class the one object of an image is of, and where it lies."""

from edgecv.tasks.localisation.task import Localisation, LocalisationSettings

__all__ = ["Localisation", "LocalisationSettings"]
