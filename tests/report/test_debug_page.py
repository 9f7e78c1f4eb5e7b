import re
from html.parser import HTMLParser

import pytest

from edgecv.diagnose.layer_cost import LayerCost, Ranking, Trial
from edgecv.diagnose.layer_noise import LayerNoise
from edgecv.report import debug_page
from edgecv.values.scores import Drop

DROP = Drop(value=0.25, ci95=(0.1, 0.4))


def cost(layer, value=0.0, **settings):
    return LayerCost(
        layer=layer, op="CONV_2D", ops=(3, 4), drop=Drop(value=value, ci95=(value - 0.1, value + 0.1)),
        answer_sqnr_db=None, reason="costs nothing on these samples", **settings,
    )  # fmt: skip


@pytest.fixture
def ranking():
    worst = LayerCost(
        layer="<stem>", op="CONV_2D", ops=(0,), drop=DROP, answer_sqnr_db=12.34, regained=DROP, action="equalise",
        reason="even it out", trials=(Trial(remedy="int16", drop=DROP),),
    )  # fmt: skip
    return Ranking(
        metric="top1", value=0.9, int8_value=0.6, simulated=0.61, simulated_drop=DROP, cured=0.89, n=64,
        layers=(worst, cost("a/long/" + "name" * 12), *(cost(f"layer{i}") for i in range(40)), cost("better", -0.05)),
        left_out={"odd": "other operators"},
    )  # fmt: skip


@pytest.fixture
def page(ranking):
    noise = LayerNoise(layer="layer7", op="CONV_2D", sqnr_db=33.3, lost_db=1.0, range=(0, 1), seen=(0, 1))
    return debug_page.render("x/q & a.tflite", "x/f.tflite", ranking, [noise])


class Balanced(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.count = [], 0

    def handle_starttag(self, tag, attrs):
        self.count += 1
        if tag not in {"meta", "br", "hr", "input"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else(page):
    parser = Balanced()
    parser.feed(page)
    assert (parser.open, parser.count > 300) == ([], True)
    assert "http" not in page
    assert "<script" not in page
    assert "url(" not in page


def test_names_are_escaped_and_figures_are_labelled(page):
    assert "<stem>" not in page
    assert "&lt;stem&gt;" in page
    assert "q &amp; a.tflite" in page
    assert "Simulated." in page
    assert "measured on 64 samples" in page


def test_all_layers_are_in_the_table_and_the_first_in_the_chart(page, ranking):
    svg = page.split("<svg", 1)[1].split("</svg>", 1)[0]
    assert svg.count("<rect") == debug_page.SHOWN
    assert page.count('scope="row"') == len(ranking.layers)
    assert f"{len(ranking.layers) - debug_page.SHOWN} more layers are in the table" in page
    assert "odd: other operators" in page
    assert re.search(r"layer7.*?33\.3", page)


def test_bars_are_as_long_as_the_drops():
    two = Ranking(
        metric="top1", value=1, int8_value=1, simulated=1, simulated_drop=DROP, cured=1, n=9,
        layers=(cost("a", 0.4), cost("b", 0.2), cost("c", -0.1)), left_out={},
    )  # fmt: skip
    svg = debug_page.render("q", "f", two, []).split("<svg", 1)[1].split("</svg>", 1)[0]
    widths = [float(w) for w in re.findall(r'<rect [^>]*width="([\d.]+)"', svg)]
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.01)
    assert widths[2] == pytest.approx(widths[1] / 2, rel=0.01)
    assert svg.count('class="bar gain"') == 1
