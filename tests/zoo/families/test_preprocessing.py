"""What an application does to pixels is what Keras' own preprocess_input does."""

import numpy as np
import pytest

from edgecv import zoo
from edgecv.modelio import env
from edgecv.runtime.image import preprocess_batch

# Of tf_keras.applications: the module that an entry's network comes from.
MODULES = {
    "vgg16": "vgg16", "vgg19": "vgg19", "resnet50_v1": "resnet50", "resnet50_v2": "resnet_v2", "resnet152": "resnet",
    "resnet152_v2": "resnet_v2", "inception_v3": "inception_v3", "inception_resnet_v2": "inception_resnet_v2",
    "xception": "xception", "densenet121": "densenet", "densenet169": "densenet", "densenet201": "densenet",
    "mobilenet_v1": "mobilenet", "mobilenet_v2": "mobilenet_v2", "nasnet_mobile": "nasnet", "nasnet_large": "nasnet",
    "efficientnet_b0": "efficientnet",
}  # fmt: skip


def test_every_application_is_compared():
    canonical = {e.name for e in zoo.entries() if e.variants["canonical"].title.startswith("tf_keras.applications")}
    assert canonical == set(MODULES)


@pytest.mark.parametrize(("name", "module"), MODULES.items())
def test_pixels_become_what_keras_makes_of_them(name, module):
    spec = zoo.get(name).spec(input_shape=(64, 64, 3))
    pixels = np.random.default_rng(0).integers(0, 256, spec.input_shape, dtype=np.uint8)
    theirs = getattr(env.keras().applications, module).preprocess_input(pixels[np.newaxis].astype(np.float32))
    assert preprocess_batch([pixels], spec) == pytest.approx(np.asarray(theirs), abs=2e-3)
