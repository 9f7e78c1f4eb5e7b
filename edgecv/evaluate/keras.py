"""A tf_keras model behind the runtime's Predictor interface: the float reference that artifacts are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np

from edgecv.core.errors import DataError
from edgecv.modelio import env
from edgecv.modelio.keras_files import LoadedModel
from edgecv.runtime.image import load_image, preprocess
from edgecv.tasks.prediction import Prediction, read_outputs
from edgecv.values.manifest import Manifest
from edgecv.values.specs import ModelSpec

Array = np.ndarray[Any, Any]


class KerasPredictor:
    """A float model that is asked as a `runtime.Predictor` is, and takes several images at once.

    Args:
        loaded: The model and its manifest, from which the spec comes.

    Attributes:
        engine: "tf_keras 2.21.0".
        accelerator: "gpu" when tensorflow sees one, else "cpu".
        batch: Images that `evaluate` gives `run` at once.

    Raises:
        ConfigError: The model has no manifest.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self._setup(loaded.model, loaded.require_spec(), loaded.manifest)

    @classmethod
    def of(cls, model: Any, spec: ModelSpec) -> KerasPredictor:
        """Return a predictor for a model that is in no file yet."""
        made = cls.__new__(cls)
        made._setup(model, spec, None)
        return made

    def _setup(self, model: Any, spec: ModelSpec, manifest: Manifest | None) -> None:
        tf = env.tensorflow()
        self.spec = spec
        self.manifest = manifest
        self.engine = f"tf_keras {env.keras().__version__}"
        self.accelerator = "gpu" if tf.config.list_physical_devices("GPU") else "cpu"
        self.batch = 64
        self._call = tf.function(lambda images: model(images, training=False), reduce_retracing=True)

    def predict(self, image: Any) -> Prediction:
        """Return what the model says of one image, as `runtime.Predictor.predict` does."""
        pixels = load_image(image) if self.spec.preprocessing else image
        return read_outputs(self.run([preprocess(pixels, self.spec)]), self.spec)

    def run(self, tensors: Sequence[Array]) -> list[Array]:
        """Run the model: one float32 tensor (N, …) in, one float32 array (N, …) per output out.

        Raises:
            DataError: Not exactly one tensor, its shape is wrong, or a value is not finite.
        """
        if len(tensors) != 1 or tuple(tensors[0].shape[1:]) != tuple(self.spec.input_shape):
            shapes = [tuple(tensor.shape) for tensor in tensors]
            raise DataError(f"'{self.spec.name}' takes one tensor of shape (N, *{self.spec.input_shape}), got {shapes}")
        if not np.isfinite(tensors[0]).all():
            raise DataError(f"the input of '{self.spec.name}' holds NaN or infinity", hint="check the input data")
        outputs = self._call(np.asarray(tensors[0], np.float32))
        several = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        return [np.asarray(output, np.float32) for output in several]

    def close(self) -> None:
        """Do nothing: tensorflow frees the model with its last reference."""

    def __enter__(self) -> KerasPredictor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
