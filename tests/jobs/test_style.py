"""Style from paths: pictures with silhouettes and previews; networks whose int8 files make the same pictures."""

import json

import numpy as np
import pytest
from PIL import Image

from edgecv import runtime
from edgecv.cli import render_style
from edgecv.cli.main import main
from edgecv.core.errors import ConfigError
from edgecv.data import open_dataset
from edgecv.jobs import convert, evaluate, models, style
from edgecv.modelio import load_keras
from tests.jobs.killing import finish, kill_when
from tests.train.style.test_transfer import CONTENT, STYLE


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for name, pixels in (("content", CONTENT), ("style", STYLE)):
        Image.fromarray(np.rint(255 * pixels).astype(np.uint8)).save(folder / f"{name}.png")
    mask = np.zeros(CONTENT.shape[:2], np.uint8)
    mask[:, 32:] = 255
    mask[0, 0] = 200  # gray is not white
    Image.fromarray(mask).save(folder / "mask.png")
    scenes = open_dataset("scenes").split("train")
    (folder / "photos").mkdir()
    for index in range(40):
        Image.fromarray(scenes.image(index)).save(folder / "photos" / f"{index}.png")
    return folder


def test_a_silhouette_stays_white_and_previews_are_written(images, tmp_path):
    plan = style.TransferPlan(
        content=images / "content.png", style=images / "style.png", steps=4, silhouette=images / "mask.png",
        previews=tmp_path / "previews", preview_every=2,
    )  # fmt: skip
    done = style.make_picture(plan, out=tmp_path / "out.png")
    assert [path.name for path in sorted((tmp_path / "previews").iterdir())] == ["step_00002.png", "step_00004.png"]
    assert (len(done.losses), done.losses[-1] < done.losses[0], done.network) == (5, True, "embedded")
    pixels = np.asarray(Image.open(tmp_path / "out.png"))
    assert pixels.shape == (48, 64, 3)
    assert (pixels[:, 32:] == 255).all()
    assert (pixels[:, :32].reshape(-1, 3) < 255).any(axis=1).mean() > 0.9
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(ConfigError, match="already exists"):
        style.make_picture(plan, out=tmp_path / "out.png")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": "middle"}, "unknown start"),
        ({"loss": style.LossPlan(form="poem")}, "unknown form"),
        ({"loss": style.LossPlan(pooling="min")}, "unknown pooling"),
        ({"loss": style.LossPlan(weights="no.h5")}, "does not exist"),
        ({"max_side": 20}, "32 a side"),
    ],
)
def test_wrong_options_are_told(images, tmp_path, changes, message):
    plan = style.TransferPlan(content=images / "content.png", style=images / "style.png", steps=1)
    options = {name: getattr(plan, name) for name in plan.__slots__} | changes
    with pytest.raises(ConfigError, match=message):
        style.make_picture(style.TransferPlan(**options), out=tmp_path / "out.png")
    with pytest.raises(ConfigError, match="no picture's name"):
        style.make_picture(plan, out=tmp_path / "out.txt")


def test_a_style_that_is_too_small_to_train_on_is_told(tmp_path):
    Image.new("RGB", (40, 3)).save(tmp_path / "thin.png")
    with pytest.raises(ConfigError, match="the style has 40x3 pixels, expected 32") as refused:
        style.train_network(style.StylePlan(style=tmp_path / "thin.png", input_size=32), out=tmp_path / "s.keras")
    assert "--style-side" in refused.value.hint


@pytest.mark.parametrize(("last", "told"), [(2.0, "5.0 times less"), (40.0, "4.0 times more"), (0.0, "inf times less")])
def test_a_loss_that_grew_is_called_so(last, told, capsys):
    found = style.Stylised(
        path="p.png", size=(2, 3), steps=1, network="embedded", form="paper", first_loss=10.0, last_loss=last,
        content=0.0, style=last, losses=(10.0, last), previews=(),
    )  # fmt: skip
    render_style.stylised(found)
    assert told in capsys.readouterr().out


def test_silhouettes_fit_and_mark_something(images, tmp_path):
    for pixels, message in ((np.zeros((48, 64)), "nowhere white"), (np.full((64, 48), 255), "other proportions")):
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "mask.png")
        plan = style.TransferPlan(
            content=images / "content.png", style=images / "style.png", silhouette=tmp_path / "mask.png"
        )
        with pytest.raises(ConfigError, match=message):
            style.make_picture(plan, out=tmp_path / "out.png")


@pytest.mark.slow
def test_the_command_goes_on_after_a_kill(images, tmp_path):
    def command(out):
        return [
            "style", "transfer", str(images / "content.png"), str(images / "style.png"), "--steps", "400",
            "--out", str(tmp_path / out),
        ]  # fmt: skip

    state = models.state_path(tmp_path / "killed.png")
    kill_when(command("killed.png"), lambda _: state.exists(), log=tmp_path / "log")
    assert not (tmp_path / "killed.png").exists()
    assert "resuming after step" in finish(command("killed.png"))
    finish(command("whole.png"))
    assert (tmp_path / "killed.png").read_bytes() == (tmp_path / "whole.png").read_bytes()


@pytest.mark.slow
def test_training_goes_on_after_a_kill(images, tmp_path):
    def command(out):
        return [
            "style", "train", str(images / "style.png"), "--data", f"folder:{images / 'photos'}", "--input-size", "32",
            "--epochs", "12", "--out", str(tmp_path / out),
        ]  # fmt: skip

    state = models.state_path(tmp_path / "killed.keras")
    kill_when(command("killed.keras"), lambda _: state.exists(), log=tmp_path / "log")
    assert not (tmp_path / "killed.keras").exists()
    assert "resuming after epoch" in finish(command("killed.keras"))
    finish(command("whole.keras"))
    first, second = (load_keras(tmp_path / f"{name}.keras").model.get_weights() for name in ("killed", "whole"))
    for own, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(own, other)


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "style.keras"
    plan = style.StylePlan(
        style=images / "style.png", data=f"folder:{images / 'photos'}", input_size=64, epochs=3, learning_rate=5e-3
    )
    return out, style.train_network(plan, out=out)


def test_a_network_learns_a_style(trained):
    out, saved = trained
    assert (saved.metric, saved.name, saved.variant) == ("perceptual_loss", "fast_style", "edge")
    manifest = runtime.read_manifest(out)
    assert manifest.spec.head.task == "imaging"
    assert manifest.provenance.recipe["network"] == "embedded"
    assert not list(out.parent.glob(".*"))


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
def test_int8_pictures_are_like_the_float_ones(trained, images, tmp_path, suffix):
    out, _ = trained
    photos, file = f"folder:{images / 'photos'}", tmp_path / f"int8.{suffix}"
    convert.make(models.Source(path=out), convert.Plan(scheme="int8", data=photos), out=file)
    request = evaluate.EvaluationRequest(data=f"answers:{out}:{photos}", split="all")
    found = evaluate.evaluate_file(file, request)
    assert (found.metric.name, found.n) == ("ssim", 40)
    assert found.value >= 0.95
    assert found.first.figures["psnr"] > 25
    with runtime.load(file) as predictor:
        picture = predictor.predict(images / "content.png")
    assert picture.pixels.shape == (48, 64, 3)
    if suffix == "tflite":
        from edgecv.targets import inspect

        for target in ("gpu", "edgetpu"):
            verdict = inspect(file, target, predicted=True)
            assert (verdict.n_mapped, verdict.n_ops > 20) == (verdict.n_ops, True)


def test_the_command_tells_what_it_made(images, tmp_path, capsys):
    arguments = [images / "content.png", images / "style.png", "--steps", "2", "--out", tmp_path / "o.jpg", "--json"]
    with pytest.raises(SystemExit) as stop:
        main(["style", "transfer", *map(str, arguments)])
    assert not stop.value.code
    told = json.loads(capsys.readouterr().out)
    assert (told["size"], told["steps"], len(told["losses"])) == ([48, 64], 2, 3)
    assert Image.open(tmp_path / "o.jpg").size == (64, 48)
