"""A tf_keras model behind the runtime's Predictor interface: the float reference that artifacts are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np

from edgecv.core.errors import DataError
from edgecv.modelio import boundary, env
from edgecv.modelio.keras_files import LoadedModel
from edgecv.runtime.call_settings import CallSettings
from edgecv.runtime.image import preprocess_sample
from edgecv.runtime.reading import loaded_sample, read_outputs
from edgecv.values.binding import bind_inputs, bind_outputs, in_order
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
        self._call_settings = CallSettings()
        self.engine = f"tf_keras {env.keras().__version__}"
        self.accelerator = "gpu" if tf.config.list_physical_devices("GPU") else "cpu"
        self.batch = int(model.inputs[0].shape[0] or 64)
        self._call = tf.function(lambda *tensors: boundary.call(model, tensors), autograph=False, reduce_retracing=True)
        self._inputs = bind_inputs(spec, boundary.input_names(model), spec.name)
        self.bound_outputs = bind_outputs(spec, boundary.output_names(model), spec.name)

    def predict(self, image: Any, **settings: Any) -> Any:
        """Return what the model says of one sample, as `runtime.Predictor.predict` does."""
        spec = self._call_settings.of(self.spec, settings)
        sample = loaded_sample(image, self.spec)
        return read_outputs(self.run(preprocess_sample(sample, self.spec)), spec, self.bound_outputs, sample)

    def run(self, tensors: Sequence[Array]) -> list[Array]:
        """Run the model: a float32 tensor (N, …) per input of the spec in, one float32 array (N, …) per output out.

        Raises:
            DataError: The number of tensors or a shape is wrong, or a value is not finite.
        """
        wanted = [tuple(only.shape) for only in self.spec.inputs]
        if [tuple(tensor.shape[1:]) for tensor in tensors] != wanted:
            shapes = [tuple(tensor.shape) for tensor in tensors]
            takes = ", ".join(f"(N, {', '.join(map(str, shape))})" for shape in wanted)
            raise DataError(f"'{self.spec.name}' takes tensors of shape {takes}, got {shapes}")
        if not all(np.isfinite(tensor).all() for tensor in tensors):
            raise DataError(f"the input of '{self.spec.name}' holds NaN or infinity", hint="check the input data")
        ordered = in_order(tensors, self._inputs)
        outputs = self._call(*(np.asarray(tensor, np.float32) for tensor in ordered))
        return [np.asarray(output, np.float32) for output in outputs]

    def close(self) -> None:
        """Do nothing: tensorflow frees the model with its last reference."""

    def __enter__(self) -> KerasPredictor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
