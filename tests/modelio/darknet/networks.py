"""Small Darknet networks as text, with random weights by edgecv's own writer."""

from __future__ import annotations

import numpy as np

from edgecv.modelio.darknet import Header, Weights, plan, read_cfg, write_weights

CONV = "[convolutional]\nbatch_normalize=1\nfilters={0}\nsize={1}\nstride={2}\npad=1\nactivation=leaky\n"


def conv(filters, size=3, stride=1):
    return CONV.format(filters, size, stride)


def linear(filters):
    return f"[convolutional]\nsize=1\nstride=1\npad=1\nfilters={filters}\nactivation=linear\n"


def pool(size=2, stride=2):
    return f"[maxpool]\nsize={size}\nstride={stride}\n"


def net(height=64, width=64, channels=3):
    return f"[net]\nbatch=1\nheight={height}\nwidth={width}\nchannels={channels}\n"


YOLO = """[yolo]
mask = {0}
anchors = 10,14, 23,27, 37,58, 81,82, 35,69, 44,19
classes=3
num=6
ignore_thresh = .7
"""
V3 = "".join([
    net(96, 64), conv(8), pool(), conv(8), pool(), conv(8), pool(), conv(12), pool(), conv(16), pool(3, 1), conv(16),
    conv(16, 3, 2), "[route]\nlayers=-1\n", conv(8, 1), conv(16), "[shortcut]\nfrom=-3\nactivation=linear\n",
    linear(24), YOLO.format("3,4,5"), "[route]\nlayers=-6\n", conv(8, 1), "[upsample]\nstride=2\n",
    "[route]\nlayers=-1,10\n", conv(16), linear(24), YOLO.format("0,1,2"),
])  # fmt: skip
"""Two scales, every kind of section of YOLO v3, and a pool of odd size."""
V2 = "".join([
    net(64, 96), conv(8), pool(), conv(8), pool(), conv(16), pool(), conv(16), pool(), conv(16), pool(), conv(16),
    conv(8, 1), conv(12), "[route]\nlayers=8\n", conv(8, 1), "[reorg]\nstride=2\n", "[route]\nlayers=-1,-4\n",
    conv(16), linear(40),
    "[region]\nanchors=.57,.68, 1.87,2.06, 3.34,5.47, 7.88,3.53, 9.77,9.17\nclasses=3\ncoords=4\nnum=5\nsoftmax=1\n",
])  # fmt: skip
"""One scale with a pass-through."""


def written(folder, text, *, seed=0, header=None, variance=(0.5, 1.5)):
    """Write a cfg file and weights for it; return both paths and the arrays."""
    cfg, file = folder / "net.cfg", folder / "net.weights"
    cfg.write_text(text)
    blobs = plan(read_cfg(cfg)).blobs
    rng = np.random.default_rng(seed)
    arrays = {}
    for blob in blobs:
        if blob.name in ("variance", "scale"):
            drawn = rng.uniform(*variance, blob.shape)
        else:
            fan = np.prod(blob.shape[1:]) if blob.name == "kernel" else 100.0
            drawn = rng.normal(0, np.sqrt(2 / fan), blob.shape)
        arrays[blob.layer, blob.name] = drawn.astype(np.float32)
    write_weights(file, Weights(header=header or Header(seen=32013312), arrays=arrays), blobs)
    return cfg, file, arrays
