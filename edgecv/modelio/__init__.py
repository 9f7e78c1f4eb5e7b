"""Reading and writing keras models together with their manifest, on tf_keras (the Keras 2 API)."""

from edgecv.modelio.keras_files import LoadedModel, load_keras, save_keras
from edgecv.modelio.provenance import manifest_for, tool_versions

__all__ = ["LoadedModel", "load_keras", "manifest_for", "save_keras", "tool_versions"]
