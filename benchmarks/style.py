"""What style transfer and pictures are worth: losses, int8 pictures beside float ones, time of int8 over float.

    python benchmarks/style.py PHOTOS --out benchmarks/reference/style.json

PHOTOS is a folder of 100 photographs or more; three quarters of them train and calibrate, the rest judge. The style and
the content of the first part are the photographs that come with scikit-learn (flower.jpg, china.jpg), or files given.

1. A picture made step by step, in both forms of the loss: the loss before the first and after the 30th step.
2. The style network, in its variants "edge" (batch normalisation, which folds) and "instance", trained alike: int8
   pictures of both formats beside the float ones, on photographs that neither training nor calibration saw; SSIM and
   PSNR with 95 % intervals by the bootstrap over photographs; operators that accelerators take (predicted); time of the
   int8 file over the float32 one, interleaved, one thread.
3. The denoiser on `scenes:noisy`: SSIM and PSNR of the noisy scenes, and of the float and int8 networks' pictures.

Trainings are short, some minutes in all: figures tell int8 from float, and say nothing of how good a style can look.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import edgecv
from edgecv.core.files import atomic_path
from edgecv.core.optional import require
from edgecv.data import open_dataset
from edgecv.jobs import evaluate, style
from edgecv.runtime.host import host_facts
from edgecv.tasks.bootstrap import draws, expanded_tail
from edgecv.tasks.imaging.likeness import likeness, psnr

STEPS, SIDE, INPUT = 30, 256, 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="a folder of photographs")
    parser.add_argument("--style", type=Path, help="default: scikit-learn's flower.jpg")
    parser.add_argument("--content", type=Path, help="default: scikit-learn's china.jpg")
    parser.add_argument("--most", type=int, default=200, help="photographs that are used")
    parser.add_argument("--epochs", type=int, default=8, help="of the style networks")
    parser.add_argument("--denoiser-epochs", type=int, default=4)
    parser.add_argument("--only", choices=("transfer", "fast_style", "dncnn_small"), help="of a file that is there")
    parser.add_argument("--out", type=Path, help="the figures as JSON")
    options = parser.parse_args()
    told = json.loads(options.out.read_text()) if options.only and options.out and options.out.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        painted = options.style or sample("flower.jpg", folder)
        shown = options.content or sample("china.jpg", folder)
        parts = divided(options.photos, folder, options.most)
        sections = {
            "transfer": lambda: {form: transferred(shown, painted, form, folder) for form in ("paper", "book")},
            "fast_style": lambda: {
                variant: network(variant, painted, parts, options.epochs, folder) for variant in ("edge", "instance")
            },
            "dncnn_small": lambda: denoiser(options.denoiser_epochs, folder),
        }
        told |= {"host": host_facts(), "photographs": {part: len(list(path.iterdir())) for part, path in parts.items()}}
        told |= {name: make() for name, make in sections.items() if options.only in (None, name)}
    print(table(told))
    if options.out:
        with atomic_path(options.out) as partial:
            partial.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def table(told: dict[str, Any]) -> str:
    """Return the figures of int8 pictures as a table of Markdown."""
    lines = [
        "| network | int8 beside float, SSIM [95 %] | PSNR, dB | least SSIM | time over float32 | GPU, Edge TPU |",
        "|---|---|---|---|---|---|",
    ]
    for variant, rows in told["fast_style"].items():
        own = rows["tflite"]
        speed, taken = own["time_int8_over_float32"], [own["operators"][name] for name in ("gpu", "edgetpu")]
        lines.append(
            f"| `fast_style`, `{variant}` | {spread(own['ssim'], 3)} | {spread(own['psnr'], 1)} | "
            f"{own['least_ssim']:.3f} | {speed['ratio']:.2f} [{speed['ci95'][0]:.2f}, {speed['ci95'][1]:.2f}] | "
            f"{', '.join(each.partition(',')[0].partition(' (')[0] for each in taken)} |"
        )
    return "\n".join(lines)


def spread(figure: dict[str, Any], digits: int) -> str:
    low, high = figure["ci95"]
    return f"{figure['mean']:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def sample(name: str, folder: Path) -> Path:
    """Write a photograph of scikit-learn's to a file."""
    pixels = require("sklearn.datasets", why="for its photographs").load_sample_image(name)
    path = (folder / name).with_suffix(".png")
    require("PIL.Image", why="to write it").fromarray(pixels).save(path)
    return path


def divided(photos: Path, folder: Path, most: int) -> dict[str, Path]:
    """Copy every fourth photograph to one folder, and the others to another."""
    found = sorted(path for path in photos.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))[:most]
    if len(found) < 8:
        raise SystemExit(f"{photos} holds {len(found)} photographs, expected 100 or so")
    parts = {"train": folder / "train", "test": folder / "test"}
    for path in parts.values():
        path.mkdir()
    for index, path in enumerate(found):
        shutil.copy(path, parts["test" if index % 4 == 3 else "train"])
    return parts


def transferred(content: Path, painted: Path, form: str, folder: Path) -> dict[str, Any]:
    plan = style.TransferPlan(
        content=content, style=painted, loss=style.LossPlan(form=form), max_side=SIDE, steps=STEPS,  # type: ignore[arg-type]
    )  # fmt: skip
    done = style.make_picture(plan, out=folder / f"{form}.png")
    falls = all(after < before for before, after in zip(done.losses, done.losses[1:], strict=False))
    return {
        "size": done.size, "steps": STEPS, "first_loss": done.first_loss, "last_loss": done.last_loss,
        "ratio": done.first_loss / done.last_loss, "falls_at_each_step": falls, "losses": done.losses,
    }  # fmt: skip


def network(variant: str, painted: Path, parts: dict[str, Path], epochs: int, folder: Path) -> dict[str, Any]:
    keras = folder / f"{variant}.keras"
    train, test = (f"folder:{parts[part]}" for part in ("train", "test"))
    plan = style.StylePlan(
        style=painted, data=train, variant=variant, input_size=INPUT, epochs=epochs, learning_rate=3e-3, style_side=192
    )
    saved = style.train_network(plan, out=keras)
    rows: dict[str, Any] = {"parameters": saved.parameters, "epochs": saved.epochs, "validation_loss": saved.value}
    float32 = folder / f"{variant}-float32.tflite"
    edgecv.convert(keras, out=float32, quiet=True)
    for suffix in ("tflite", "onnx"):
        file = folder / f"{variant}-int8.{suffix}"
        edgecv.quantize(keras, data=train, out=file, quiet=True)
        rows[suffix] = {**likened(file, f"answers:{keras}:{test}"), "bytes": file.stat().st_size}
        if suffix == "tflite":
            rows[suffix] |= {"operators": mapped(file), "time_int8_over_float32": ratio(file, float32)}
    return rows


def likened(file: Path, data: str, split: str = "all") -> dict[str, Any]:
    """Return SSIM and PSNR of a file's pictures with 95 % intervals."""
    found = evaluate.evaluate_file(file, evaluate.EvaluationRequest(data=data, split=split))
    evidence = found.first.evidence
    levels = {
        "ssim": np.array([each.ssim for each in evidence]),
        "psnr": np.array([psnr(each.mse, each.values) for each in evidence]),
    }
    told = {name: {"mean": float(values.mean()), "ci95": interval(values)} for name, values in levels.items()}
    return {"pictures": len(evidence), **told, "least_ssim": float(levels["ssim"].min())}


def interval(values: np.ndarray[Any, Any]) -> list[float]:
    """Return the expanded percentile interval of a mean over pictures: see `edgecv.tasks.bootstrap`."""
    means = np.concatenate([weights @ values / len(values) for weights in draws(len(values))])
    tail = expanded_tail(len(values))
    return [float(value) for value in np.quantile(means, [tail, 1 - tail])]


def mapped(file: Path) -> dict[str, str]:
    """Return how many operators each accelerator takes, and the names of the others."""
    found = {}
    for target in ("gpu", "edgetpu"):
        told = edgecv.inspect(file, target, quiet=True)
        left = ", ".join(sorted({op.op for op in told.ops if not op.mapped}))
        found[target] = f"{told.n_mapped} of {told.n_ops}{f', without {left}' if left else ''} ({told.kind})"
    return found


def ratio(file: Path, float32: Path) -> dict[str, Any]:
    report = edgecv.bench(file, baseline=float32, quiet=True)
    (latency,) = report.artifacts[0].latency
    return {"ratio": latency.ratio_to_baseline, "ci95": latency.ratio_ci95}


def denoiser(epochs: int, folder: Path) -> dict[str, Any]:
    keras, file = folder / "denoiser.keras", folder / "denoiser-int8.tflite"
    edgecv.train("dncnn_small", data="scenes:noisy", epochs=epochs, out=keras, quiet=True)
    edgecv.quantize(keras, data="scenes:noisy", out=file, quiet=True)
    split = open_dataset("scenes:noisy").split("test")
    noisy = [likeness(split.targets[0][i][..., None], split.image(i)[..., None]) for i in range(len(split))]
    given = {"ssim": float(np.mean([e.ssim for e in noisy])), "psnr": float(np.mean([psnr(*e[1:]) for e in noisy]))}
    rows = {name: likened(path, "scenes:noisy", "test") for name, path in (("float32", keras), ("int8", file))}
    return {"epochs": epochs, "noisy": given, **rows, "operators": mapped(file)}


if __name__ == "__main__":
    main()
