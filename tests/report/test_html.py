import dataclasses
import re
from html.parser import HTMLParser

import pytest

from edgecv.report import html
from edgecv.report.html_charts import _point, _shared_prefix
from edgecv.values.inspection import Unmapped
from edgecv.values.manifest import Provenance
from edgecv.values.report import Exhibit, HeadResult
from edgecv.values.scores import Metric, Table

TOP1 = Metric("top1")
MAE = Metric("mae", unit="label", better="lower")

EVIL = "<script>alert(1)</script>\"'&]]>${title}"
VOID = {"meta", "img", "input", "br", "hr"}


class Page(HTMLParser):
    """Collects tags, and fails where they are not balanced."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="session")
def page(report):
    return Page(html.render(report))


def test_the_page_refers_to_nothing_outside(report, page):
    for _, attrs in page.tags:
        for name in ("src", "href", "xlink:href", "data", "action"):
            assert attrs.get(name, "#").startswith("#")
    text = html.render(report)
    assert not re.search(r"https?:|url\(|@import", text)
    policy = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy[0].startswith("default-src 'none'")


def test_anchors_lead_somewhere_and_ids_are_unique(page):
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in page.all("a")} <= set(ids)
    labelled = {attrs["aria-labelledby"] for _, attrs in page.tags if "aria-labelledby" in attrs}
    assert labelled <= set(ids)


def test_the_page_is_accessible(page):
    assert page.all("html")[0]["lang"] == "en"
    assert all(th.get("scope") in ("col", "row") for th in page.all("th"))
    drawings = [svg for svg in page.all("svg") if svg.get("aria-hidden") != "true"]
    assert drawings
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in drawings)
    assert {label["for"] for label in page.all("label")} == {i["id"] for i in page.all("input")}


def test_everything_of_the_report_is_there(report, page):
    words = " ".join(page.words)
    for artifact in report.artifacts:
        for fact in (artifact.name, artifact.sha256, artifact.path, f"{artifact.size_bytes:,} bytes"):
            assert fact in words
    assert "Baseline: the float model on the host CPU" in words
    assert report.warnings[0] in words
    assert report.dataset.sha256 in words
    assert "its input is float32" in words


def test_every_point_of_the_scatter_is_drawn_and_labelled(report):
    text = html.render(report)
    for view in re.findall(r"<svg[^>]*scatter.*?</svg>", text, re.S):
        assert view.count('class="mark ') == len(report.artifacts)
    assert text.count(">int8-qat-tflite</text>") == 2
    # A phone gets numbers, and the names in a list.
    keys = re.findall(r'<ol class="key">(.*?)</ol>', text, re.S)
    assert [key.count("<li>") for key in keys] == [len(report.artifacts)] * 2


def test_each_cell_of_a_card_says_what_it_is(page):
    assert all(td.get("data-label") for td in page.all("td") if "data-sort" in td)


def test_the_contents_lead_to_every_section(page):
    sections = [s["id"] for s in page.all("section") if s.get("aria-labelledby")]
    links = [a["href"][1:] for a in page.all("a")][: len(sections)]
    assert links == sections


def test_bars_of_errors_lie_where_the_value_can_be(report):
    first = dataclasses.replace(report.artifacts[0], value=0.9, drop=0.05, drop_ci95=(0.02, 0.09))
    assert _point(first, "x", 1.0, None, "").y_bar == pytest.approx((0.86, 0.93))
    # The baseline's error is 0.85; it grows by 0.02 to 0.09.
    errors = dataclasses.replace(first, metric=MAE)
    assert _point(errors, "x", 1.0, None, "").y_bar == pytest.approx((0.87, 0.94))


def with_heads(report, *heads, **changes):
    """The report with its first artifact alone, which has these heads."""
    artifact = dataclasses.replace(
        report.artifacts[0], metric=heads[0].metric, value=heads[0].value, heads=heads, **changes
    )
    return dataclasses.replace(report, artifacts=(artifact,))


AGE = HeadResult(
    head="age", task="regression", metric=MAE, value=3.25, drop=0.125, drop_ci95=(0.0, 0.25),
    figures={"mae": 3.25, "rmse": 4.5, "r2": None},
)  # fmt: skip


def rows_of(text, title):
    """The rows of cells of the tables whose caption begins so."""
    found = re.findall(rf"<table[^>]*><caption>{re.escape(title)}.*?</table>", text, re.S)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for table in found for row in table.split("<tr")[1:]]


def test_every_head_is_shown(report):
    kind = HeadResult(head="kind", task="classification", metric=TOP1, value=0.75)
    text = html.render(with_heads(report, AGE, kind))
    (_, age), (_, other) = (rows_of(text, f"Head {name} (") for name in ("age", "kind"))
    assert age[1:] == ["3.2500", "+0.1250<small>0.0000 to 0.2500</small>", "4.5000", "unknown"]
    assert other[1:] == ["0.7500", "unknown"]
    words = " ".join(Page(text).words)
    for told in ("Head age: regression", "Head kind: classification", "unit: label", "artifact minus baseline"):
        assert told in words


def test_many_figures_are_cut_to_what_fits_and_said_in_words(report):
    names = ("ap50", "ap75", "precision", "recall", "ap_small", "ap_large", "ar1", "ar10", "ar100", "voc07_ap50")
    figures = {name: None if name == "ap_large" else 0.5 for name in names}
    head = dataclasses.replace(AGE, head="objects", task="detection", metric=Metric("ap"), figures=figures)
    text = html.render(with_heads(report, head))
    header = re.sub("<.*?>", " ", " ".join(rows_of(text, "Head objects (detection)")[0])).split()
    assert "ap_small" in header
    assert "ap_large" not in header  # nobody has it
    assert "voc07_ap50" not in header  # the ninth that somebody has
    assert "2 further figures stand with each artifact." in text
    assert "share of the objects that are found" in text
    assert text.count("<dt>voc07_ap50</dt>") == 2  # its value, and what it is


def test_heads_of_two_kinds_share_no_table(report):
    simulated = dataclasses.replace(report.artifacts[0], metric_kind="simulated")
    text = html.render(dataclasses.replace(report, artifacts=(simulated, report.artifacts[1])))
    assert len(rows_of(text, "Head digit (classification): simulated.")) == 2
    assert len(rows_of(text, "Head digit (classification): measured.")) == 2


def test_figures_per_label_are_a_table(report):
    head = dataclasses.replace(AGE, per_label={"left": {"mae": 1.5, "r2": None}, "right": {"mae": 5.0}})
    text = html.render(with_heads(report, head))
    titles, left, right = rows_of(text, "Per label")
    assert [re.sub("<.*?>", "", title) for title in titles] == ["Label", "mae", "r2"]
    assert (left, right) == (["left", "1.5000", "unknown"], ["right", "5", ""])


def test_a_confusion_matrix_says_what_is_largest_off_the_diagonal(report):
    matrix = Table("confusion", ("cat", "dog"), ("cat", "dog"), ((9.0, 1.0), (4.0, 6.0)), corner="true \\ predicted")
    text = html.render(with_heads(report, dataclasses.replace(AGE, tables=(matrix,))))
    words = " ".join(Page(text).words)
    assert "Largest off the diagonal: true dog, predicted cat: 4; true cat, predicted dog: 1." in words
    drawn = re.search(r"<table[^>]*matrix.*?</table>", text, re.S).group()
    assert re.findall(r"<td[^>]*>(\d+)</td>", drawn) == ["9", "1", "4", "6"]
    assert re.findall(r"class=\"(right|wrong)", drawn) == ["right", "wrong", "wrong", "right"]


def test_another_table_is_shown_as_it_is(report):
    table = Table("by size", ("small", "large"), ("ap",), ((0.25,), (None,)), corner="area")
    rows = rows_of(html.render(with_heads(report, dataclasses.replace(AGE, tables=(table,)))), "by size")
    assert rows[1:] == [["small", "0.2500"], ["large", "unknown"]]


def test_exhibits_are_in_the_page(report):
    exhibits = (Exhibit(title="Float beside int8", path="a.png", note="Left: float."), Exhibit(title="x", path="b.png"))
    shown = html.render(with_heads(report, AGE, exhibits=exhibits), pictures={"a.png": "data:image/png;base64,AAAA"})
    page = Page(shown)
    assert [(i["src"], i["alt"]) for i in page.all("img")] == [("data:image/png;base64,AAAA", "Float beside int8")]
    words = " ".join(page.words)
    assert "Float beside int8. Left: float." in words
    assert "The picture b.png was not at hand." in words


def test_everything_is_escaped(report):
    first = report.artifacts[0]
    mapping = dataclasses.replace(
        first.mapping, target=EVIL, unmapped=(Unmapped(index=0, op=EVIL, layer=EVIL, reason=EVIL),)
    )
    latency = dataclasses.replace(first.latency[0], device=EVIL, engine=EVIL, accelerator=EVIL)
    matrix = Table(EVIL, (EVIL, "b"), (EVIL, "b"), ((1, 2), (3, 4)), corner=EVIL)
    head = HeadResult(
        head=EVIL, task=EVIL, metric=Metric(EVIL, EVIL), value=1.0, figures={EVIL: 1.0}, per_label={EVIL: {EVIL: 1.0}},
        tables=(matrix, dataclasses.replace(matrix, columns=("c", EVIL))),
    )  # fmt: skip
    evil = dataclasses.replace(
        first, name=EVIL, path=EVIL, format=EVIL, scheme=EVIL, method=EVIL, target=EVIL, sha256=EVIL,
        metric=Metric(EVIL, EVIL),
        mapping=mapping, other_mappings=(mapping,), latency=(latency,), heads=(head,),
        exhibits=(Exhibit(title=EVIL, path=EVIL, note=EVIL),),
    )  # fmt: skip
    dataset = dataclasses.replace(report.dataset, name=EVIL, split=EVIL, sha256=EVIL, labels=(EVIL,) * 10)
    baseline = dataclasses.replace(report.baseline, engine=EVIL, accelerator=EVIL, device=EVIL, metric=Metric(EVIL))
    bad = dataclasses.replace(
        report, created=EVIL, host={EVIL: EVIL}, dataset=dataset, baseline=baseline, artifacts=(evil,), warnings=(EVIL,)
    )
    provenance = Provenance(recipe={EVIL: EVIL}, tools={EVIL: EVIL}, parents=({EVIL: EVIL},))
    page = Page(html.render(bad, provenance={EVIL: provenance}))
    assert len(page.all("script")) == 1
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert any(EVIL in word for word in page.words)


def test_measured_and_predicted_are_marked(page):
    badges = {attrs["class"] for attrs in page.all("span") if "badge" in (attrs.get("class") or "")}
    assert badges == {"badge measured", "badge predicted"}


def test_a_report_of_unknowns_renders(report):
    artifact = dataclasses.replace(
        report.artifacts[0], metric=None, value=None, drop=None, drop_ci95=None, mapping=None, other_mappings=(),
        latency=(), heads=(),
    )  # fmt: skip
    empty = dataclasses.replace(report, artifacts=(artifact,), baseline=None, dataset=None, host={}, warnings=())
    words = " ".join(Page(html.render(empty)).words)
    assert "There is nothing to draw" in words
    assert "Mapping: unknown" in words
    assert artifact.name in words
    assert artifact.name not in " ".join(Page(html.render(dataclasses.replace(empty, artifacts=()))).words)


def test_extreme_figures_render(report):
    first = report.artifacts[0]
    flat = dataclasses.replace(first.latency[0], samples=(0.0,), p50=0.0, p90=0.0, p99=0.0, ratio_to_baseline=1e-9)
    same = dataclasses.replace(first, value=0.0, drop=0.0, drop_ci95=(0.0, 0.0), size_bytes=0, latency=(flat,))
    names = tuple(map(str, range(100)))
    head = dataclasses.replace(first.heads[0], tables=(Table("confusion", names, names, ((1,) * 100,) * 100),))
    huge = dataclasses.replace(first, name="huge", size_bytes=10**12, heads=(head,))
    words = " ".join(Page(html.render(dataclasses.replace(report, artifacts=(same, huge)))).words)
    assert "huge" in words
    assert not {"nan", "inf", "-inf"} & set(words.lower().split())


def test_shared_prefix():
    assert _shared_prefix(["lenet5-int8", "lenet5-int8-qat"]) == "lenet5-"
    assert _shared_prefix(["a", "b"]) == ""
    assert _shared_prefix(["only-one"]) == ""


def test_provenance_is_shown(report):
    provenance = Provenance(recipe={"step": "convert"}, tools={"tensorflow": "2.21.0"}, seed=7)
    words = " ".join(Page(html.render(report, provenance={report.artifacts[0].name: provenance})).words)
    assert "step: convert" in words
    assert "tensorflow 2.21.0" in words
