"""The page of views is whole, offline, escaped, and says what was seen."""

import re

import numpy as np
import pytest

from edgecv.diagnose.views import Sight, Silent, ViewedLayer
from edgecv.report import view_page
from edgecv.report.view_page import Heat, ViewPage
from tests.report.test_debug_page import Balanced

RNG = np.random.default_rng(0)


class Whole(Balanced):
    def handle_starttag(self, tag, attrs):
        if tag != "img":
            super().handle_starttag(tag, attrs)


def sight(name, channels=6, *, db=30.0, compared=True, pool=False):
    maps = RNG.random((8, 8, channels)).astype(np.float32)
    silent = (Silent(channel=1, why="dead"), Silent(channel=2, why="duplicate", like=3, correlation=0.99))
    figures = ViewedLayer(
        layer=name, op="CONV_2D", shape=maps.shape, range=(0.0, 1.0), silent=silent, compared=compared,
        sqnr_db=db if compared else None,
    )  # fmt: skip
    return Sight(
        figures=figures, maps=maps, other=maps + 0.01 if compared else None, kernel=RNG.random((3, 3, 2, channels)),
        other_kernel=RNG.random((3, 3, 2, channels)) if compared else None,
        before=RNG.random((16, 16, channels)) if pool else None,
    )  # fmt: skip


def vector():
    figures = ViewedLayer(layer="fc", op="Dense", shape=(10,), range=(-1.0, 1.0), compared=True, sqnr_db=None)
    return Sight(figures=figures, maps=np.zeros(10, np.float32))


def page(sights, **changes):
    image = RNG.integers(0, 255, (8, 8, 3), np.uint8)
    settings = {
        "title": "edgecv view, <x>.png", "models": {"a & b.keras": "net", "c.tflite": "int8"}, "image": image,
        "image_name": "<x>.png", "answers": {"a & b.keras": image}, "sights": sights, "samples": 9, "source": "nine",
        "heats": [Heat(title="a, occlusion", note="Hot.", values=RNG.random((4, 4)))], "pictured": sights[:-1],
        "removal": ["Over 9 samples, 3 channels say nothing."], "command": "edgecv slim 'a & b.keras'",
        "cautions": ("Little data.",), **changes,
    }  # fmt: skip
    return view_page.render(ViewPage(**settings))


@pytest.fixture
def made():
    return page([sight("one", db=12.0), sight("two", 70, pool=True), sight("three", compared=False), vector()])


def test_it_is_whole_and_needs_nothing_else(made):
    parser = Whole()
    parser.feed(made)
    assert (parser.open, parser.count > 100) == ([], True)
    for outside in ("http:", "https:", "<script", "url(", "@import", "<link"):
        assert outside not in made
    sources = re.findall(r'<img src="([^"]{22})', made)
    assert sources
    assert set(sources) == {"data:image/png;base64,"}
    assert "default-src 'none'" in made


def test_names_are_escaped(made):
    assert "<x>" not in made
    assert "a &amp; b.keras" in made
    assert "edgecv slim &#x27;a &amp; b.keras&#x27;" in made


def test_every_layer_is_in_the_table_and_its_pictures_where_asked(made):
    assert made.count('scope="row"') == 4
    assert re.findall(r'id="(layer-\d)"', made) == ["layer-0", "layer-1", "layer-2"]
    assert 'href="#layer-2"' in made
    assert 'href="#layer-3"' not in made
    assert "1 further layers are in the table alone" in made


def test_noise_is_marked(made):
    assert '<span class="bad">12.0 dB</span>' in made
    assert "30.0 dB" in made
    assert "not there" in made
    assert "equal" in made


def test_channels_pools_and_kernels_are_told(made):
    assert "dead: 1; duplicates: 2 (like 3, 0.990)" in made
    assert "the first 64 of 70 maps" in made
    assert "What the pool keeps of the first 8 maps" in made
    assert "6 kernels of 3x3 over 2 inputs: a row per input" in made
    assert "where they differ: white is" in made


def test_one_model_alone_says_nothing_of_another():
    alone = page([sight("one", compared=False), sight("two", compared=False)], models={"m.keras": "net"}, cautions=(),
                 removal=(), command="", heats=(), samples=1)  # fmt: skip
    assert "signal to noise" not in alone
    assert "Over the image alone" in alone
    assert "may go" not in alone
    assert 'class="warnings"' not in alone


def test_many_channels_are_counted():
    many = [Silent(channel=index, why="dead") for index in range(40)]
    assert view_page.silent_words(many).endswith(f"{view_page.NAMED - 1} and 16 more")
    assert view_page.silent_words([]) == ""
