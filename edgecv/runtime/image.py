"""From an image to the float input tensor: the one preprocessing that everything uses, on the host and on devices.

Pure numpy. Training, calibration, evaluation, benchmark and the runtime all call `preprocess`, so a model never sees
pixels on a device that differ from those it was made with.
"""

from __future__ import annotations

import os
from typing import Any, Callable, List, Optional, Sequence, Tuple, Union

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, DataError
from edgecv.core.optional import require
from edgecv.runtime.decoding import pixels_of
from edgecv.runtime.resizing import mix, nearest, resize
from edgecv.tasks.frame import Frame, Window, crop_size, letterbox_size
from edgecv.values.specs import InputSpec, ModelSpec, Preprocessing

Array = NDArray[Any]

# R, G, B weights of luma. Source: ITU-R Recommendation BT.601-7, section 2.5.1.
LUMA = (0.299, 0.587, 0.114)


AnySpec = Union[InputSpec, ModelSpec]


def preprocess(image: Any, spec: AnySpec) -> Array:
    """Return the input tensor of one image.

    Args:
        image: uint8 (H, W), (H, W, 1) or (H, W, 3), RGB, 0..255. For an input without preprocessing: numbers of its
            shape, which are only cast.
        spec: The input's contract, or that of a model of one input.

    Returns:
        float32 (1, H, W, C) of the input's shape, normalised to `(pixel - mean) / std`.

    Raises:
        DataError: The image is empty, not uint8, not finite, has 2 or 4 channels, or is too large for "pad".
    """
    return preprocess_batch([image], spec)


def preprocess_sample(sample: Sequence[Any], spec: ModelSpec) -> List[Array]:
    """Return the input tensors, batch 1, of one sample: an image or vector for each of the model's inputs.

    Raises:
        DataError: There are more or fewer than the model takes, or one is wrong as for `preprocess`.
    """
    if len(sample) != len(spec.inputs):
        wanted = ", ".join(one.name for one in spec.inputs)
        raise DataError(
            f"'{spec.name}' takes {len(spec.inputs)} inputs ({wanted}), got {len(sample)}",
            hint="pass one image per input, as a tuple, in that order",
        )
    return [preprocess(image, one) for image, one in zip(sample, spec.inputs)]


def preprocess_batch(images: Sequence[Any], spec: AnySpec) -> Array:
    """Return the input tensors of several images, which may differ in size and channels: float32 (N, H, W, C).

    Each row is bitwise what `preprocess` gives for that image. Raises DataError as `preprocess` does.
    """
    only = _only_input(spec)
    settings = only.preprocessing
    if settings is None:
        return np.stack([_features(image, only) for image in images])
    arrays = [check_image(image) for image in images]
    if not arrays:
        return np.zeros((0,) + tuple(only.shape), np.float32)
    height, width, _ = only.shape
    if len(arrays) > 1 and len({array.shape for array in arrays}) == 1:
        return _transform(np.stack(arrays), settings, height, width)
    return np.concatenate([_transform(array[None], settings, height, width) for array in arrays])


def _only_input(spec: AnySpec) -> InputSpec:
    if isinstance(spec, InputSpec):
        return spec
    if len(spec.inputs) != 1:
        raise DataError(f"'{spec.name}' takes {len(spec.inputs)} inputs, got one", hint="pass one image per input")
    return spec.input


def moved_batch(images: Sequence[Any], spec: InputSpec, frames: Sequence[Frame]) -> Array:
    """Return the input tensors of images that lie in the input as `frames` say: float32 (N, H, W, C).

    One sampling takes image pixels to the input: what `preprocess` does when a frame is `frame_of` the image's size, up
    to rounding. Only where "center_crop" enlarges, the outermost pixels see beyond the crop; in `preprocess` they do
    not.
    Pixels outside the image repeat its edge where the image fills the input, else they are `pad_value`.

    Args:
        images: uint8 (H, W) or (H, W, 3), RGB.
        spec: Of an input with preprocessing.
        frames: One per image.
    """
    settings = spec.preprocessing
    assert settings is not None
    rows = [sample_through(check_image(image), frame, settings) for image, frame in zip(images, frames)]
    return normalised(np.stack(rows), settings)


def joined_batch(rows: Sequence[Sequence[Tuple[Any, Frame, Window]]], spec: InputSpec) -> Array:
    """Return input tensors that show several images each: float32 (N, H, W, C).

    Args:
        rows: Of each tensor its images, as `moved_batch` takes them, and the windows that they fill.
        spec: Of an input with preprocessing.
    """
    settings = spec.preprocessing
    assert settings is not None
    made = np.zeros((len(rows), *spec.shape), np.float32)
    for row, images in zip(made, rows):
        for image, frame, window in images:
            left, top, right, bottom = window
            seen = sample_through(check_image(image), frame, settings, window)
            row[top:bottom, left:right] = normalised(seen[None], settings)[0]
    return made


def sample_through(image: Array, frame: Frame, settings: Preprocessing, window: Optional[Window] = None) -> Array:
    """Return float32 (h, w, C): an image (H, W, C) seen through its frame, by the rule's interpolation.

    With a window, what that part of the input shows.
    """
    left, top, right, bottom = window or (0, 0, frame.input_size[1], frame.input_size[0])
    grid = np.stack(np.meshgrid(np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5), axis=-1)
    points = frame.to_image(grid).astype(np.float32)
    x, y = points[..., 0], points[..., 1]
    if settings.interpolation == "nearest":
        found = image[_clipped(np.floor(y), image.shape[0]), _clipped(np.floor(x), image.shape[1])].astype(np.float32)
    else:
        found = _bilinear_at(image, y - 0.5, x - 0.5)
    if settings.resize in ("letterbox", "pad"):
        outside = (x < 0) | (y < 0) | (x >= image.shape[1]) | (y >= image.shape[0])
        found[outside] = settings.pad_value
    return found


def _bilinear_at(image: Array, rows: Array, columns: Array) -> Array:
    rows, columns = np.clip(rows, 0, image.shape[0] - 1), np.clip(columns, 0, image.shape[1] - 1)
    top, left = rows.astype(np.intp), columns.astype(np.intp)
    bottom, right = np.minimum(top + 1, image.shape[0] - 1), np.minimum(left + 1, image.shape[1] - 1)
    down, across = (rows - top)[..., None].astype(np.float32), (columns - left)[..., None].astype(np.float32)
    upper = mix(image[top, left], image[top, right], across)
    return mix(upper, mix(image[bottom, left], image[bottom, right], across), down)


def _clipped(index: Array, size: int) -> Array:
    return np.clip(index, 0, size - 1).astype(np.intp)


def check_image(image: Any) -> Array:
    """Return `image` as uint8 (H, W, 1) or (H, W, 3).

    Raises:
        DataError: It is neither; the message names the property that is wrong.
    """
    array = _as_array(image)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError("the image holds NaN or infinite pixels", hint="pass uint8 pixels, 0..255")
    if array.dtype != np.uint8:
        raise _wrong_dtype(array)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3:
        raise DataError(f"expected an image of shape (H, W) or (H, W, C), got {array.shape}")
    if array.size == 0:
        raise DataError(f"the image is empty: its shape is {array.shape}")
    if array.shape[2] not in (1, 3) and array.shape[0] in (1, 3):
        raise DataError(
            f"the image has its channels first: shape {array.shape}, expected height, width, channels",
            hint="pass image.transpose(1, 2, 0)",
        )
    if array.shape[2] not in (1, 3):
        raise DataError(
            f"expected an image of 1 or 3 channels, got {array.shape[2]} (shape {array.shape})",
            hint="drop or blend an alpha channel first: image[:, :, :3] for RGBA; layout is height, width, channels",
        )
    return array


def _wrong_dtype(array: Array) -> DataError:
    message = f"expected an image of dtype uint8, got {array.dtype}"
    scaled = "the model's own scaling is applied for you"
    if array.dtype.kind == "f" and array.size and array.min() >= 0 and array.max() <= 1:
        return DataError(
            f"{message} of 0 to 1: the pixels were divided by 255 already",
            hint=f"pass them as they were, or (image * 255).round().astype(np.uint8): {scaled}",
        )
    return DataError(message, hint=f"pass the pixels as 0..255 integers: {scaled}")


def load_image(source: Any) -> Array:
    """Return an image as uint8 (H, W) or (H, W, 3), RGB.

    Args:
        source: A path (".npy" needs numpy only, everything else Pillow), an array, or a PIL image. EXIF orientation
            is applied, palettes and CMYK become RGB. An alpha channel is dropped when it is opaque everywhere.

    Raises:
        ConfigError: The path does not exist, or is a folder.
        DataError: The file is corrupt or no image; or it has transparency, or its file more than 8 bits a channel.
        MissingDependencyError: Pillow is needed and not installed.
    """
    if isinstance(source, (str, os.PathLike)):
        return _load_path(os.fspath(source))
    if hasattr(source, "convert") and hasattr(source, "getbands"):
        return _named("image", lambda: pixels_of(source, "image"))
    return _squeeze(check_image(source))


def fitted_image(image: Array, only: InputSpec) -> Array:
    """Return an image as an input's network sees it before colours and scale: uint8 (H, W) or (H, W, 3) of its size.

    Interpolated pixels are rounded. An image that has the size already comes back as it is.

    Args:
        image: uint8 (H, W) or (H, W, 3), RGB.
        only: The contract of an image input.
    """
    assert only.preprocessing is not None
    fitted = _fit(np.asarray(check_image(image), np.float32)[None], only.preprocessing, only.shape[0], only.shape[1])[0]
    return _squeeze(np.clip(np.rint(fitted), 0, 255).astype(np.uint8))


def fitted_pixels(image: Array, settings: Preprocessing, height: int, width: int) -> Optional[Array]:
    """Return an image (H, W, C) brought to an input's size as uint8, where that takes no interpolation; else None."""
    if settings.resize == "center_crop":
        image = _crop(image[None], height, width)[0]
    elif settings.resize != "stretch" and image.shape[:2] != (height, width):
        return None
    if image.shape[:2] == (height, width):
        return image
    if settings.interpolation != "nearest":
        return None
    rows, columns = nearest(image.shape[0], height), nearest(image.shape[1], width)
    return np.take(np.take(image, rows, axis=0), columns, axis=1)


def _transform(stack: Array, settings: Preprocessing, height: int, width: int) -> Array:
    # Colour comes after the resize: both are linear, and the result has fewer pixels than the photo.
    return normalised(_fit(stack, settings, height, width), settings)


def normalised(stack: Array, settings: Preprocessing) -> Array:
    """Return resized images (N, H, W, 1 or 3), RGB, as float32 (N, H, W, C) in the colours and scale of an input."""
    coloured = _recolour(stack, settings.color)
    coloured = coloured - np.asarray(settings.mean, np.float32)
    coloured /= np.asarray(settings.std, np.float32)
    return coloured


def _recolour(stack: Array, color: str) -> Array:
    channels = stack.shape[3]
    if color == "gray":
        return stack if channels == 1 else stack @ np.asarray(LUMA, np.float32)[:, None]
    rgb = stack if channels == 3 else np.repeat(stack, 3, axis=3)
    return rgb if color == "rgb" else rgb[..., ::-1]


def _fit(stack: Array, settings: Preprocessing, height: int, width: int) -> Array:
    if settings.resize == "stretch":
        return resize(stack, height, width, settings.interpolation)
    if settings.resize == "center_crop":
        return resize(_crop(stack, height, width), height, width, settings.interpolation)
    if settings.resize == "letterbox":
        size = letterbox_size((stack.shape[1], stack.shape[2]), (height, width))
        return _centre(resize(stack, size[0], size[1], settings.interpolation), height, width, settings.pad_value)
    if stack.shape[1] > height or stack.shape[2] > width:
        raise DataError(
            f"an image of {stack.shape[1]}x{stack.shape[2]} does not fit the model's {height}x{width} input, "
            "and its resize rule 'pad' never scales",
            hint="resize the image first, or make the model with another resize rule",
        )
    return _centre(stack.astype(np.float32), height, width, settings.pad_value)


def _crop(stack: Array, height: int, width: int) -> Array:
    """Cut the largest centred window of the wanted aspect."""
    rows, columns = crop_size((stack.shape[1], stack.shape[2]), (height, width))
    top, left = (stack.shape[1] - rows) // 2, (stack.shape[2] - columns) // 2
    return stack[:, top : top + rows, left : left + columns]


def _centre(stack: Array, height: int, width: int, pad_value: int) -> Array:
    if stack.shape[1:3] == (height, width):
        return stack
    out = np.full((stack.shape[0], height, width, stack.shape[3]), pad_value, np.float32)
    top, left = (height - stack.shape[1]) // 2, (width - stack.shape[2]) // 2
    out[:, top : top + stack.shape[1], left : left + stack.shape[2]] = stack
    return out


def _features(values: Any, spec: InputSpec) -> Array:
    array = _as_array(values)
    if array.dtype.kind not in "fiu" or array.shape != tuple(spec.shape):
        raise DataError(
            f"input '{spec.name}' takes numbers of shape {tuple(spec.shape)}, got {array.dtype} of shape {array.shape}"
        )
    if not np.isfinite(array).all():
        raise DataError(f"input '{spec.name}' holds NaN or infinite values")
    return array.astype(np.float32)


def _as_array(values: Any) -> Array:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"the input is no rectangular array: {error}") from error


def _squeeze(array: Array) -> Array:
    return array[:, :, 0] if array.shape[2] == 1 else array


def _load_path(path: str) -> Array:
    if not os.path.exists(path):
        raise ConfigError(f"image {path} does not exist", hint="check the path")
    if os.path.isdir(path):
        raise ConfigError(f"image {path} is a folder", hint="name one image file")
    if path.lower().endswith(".npy"):
        return _squeeze(_named(path, lambda: check_image(np.load(path, allow_pickle=False))))
    pil = require("PIL.Image", why=f"to read {path}")
    return _named(path, lambda: _open(pil, path))


def _open(pil: Any, path: str) -> Array:
    with pil.open(path) as image:
        return pixels_of(image, path)


def _named(path: str, read: Callable[[], Array]) -> Array:
    """Run `read`, turning whatever a decoder raises on a broken file into a DataError that names the file."""
    try:
        return read()
    except DataError as error:
        if path in error.message:
            raise
        raise DataError(f"{path}: {error.message}", hint=error.hint) from error
    except Exception as error:
        raise DataError(
            f"{path} cannot be read as an image: {error}", hint="the file is corrupt or not an image"
        ) from error
