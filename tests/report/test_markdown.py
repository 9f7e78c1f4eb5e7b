import dataclasses

from edgecv.report import markdown
from edgecv.values.scores import Table


def test_the_first_line_says_that_the_baseline_is_the_cpu(report):
    first = markdown.render(report).splitlines()[0]
    assert first.startswith("Baseline: the float model on the host CPU, since no GPU was used")
    assert "top1 0.9861" in first
    assert "0.400 ms (measured)" in first


def test_the_first_line_names_the_gpu(report):
    baseline = dataclasses.replace(report.baseline, accelerator="gpu", device="Example GPU 9", kind="measured")
    first = markdown.render(dataclasses.replace(report, baseline=baseline)).splitlines()[0]
    assert "Example GPU 9" in first
    assert "CPU" not in first


def test_the_first_line_without_a_baseline(report):
    first = markdown.render(dataclasses.replace(report, baseline=None)).splitlines()[0]
    assert first == "Baseline: none was given, so drops and ratios are unknown."


def table_rows(text, heading):
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    return [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]


def test_every_artifact_has_a_row_with_its_figures(report):
    rows = table_rows(markdown.render(report), "Artifacts")
    assert len(rows) == 1 + len(report.artifacts)
    by_title = dict(zip(rows[0], rows[4], strict=True))
    assert by_title["Artifact"] == "lenet5-int8-ptq-tflite"
    assert by_title["Size ratio"] == "0.280"
    assert by_title["Ratio (measured)"] == "0.410 (0.400 to 0.418)"
    assert by_title["Mapped ops (measured)"] == "9/9 cpu"


def test_kinds_never_share_a_column(report):
    latency = dataclasses.replace(report.artifacts[0].latency[0], kind="simulated")
    other = dataclasses.replace(report.artifacts[0], latency=(latency,))
    rows = table_rows(markdown.render(dataclasses.replace(report, artifacts=(other, report.artifacts[1]))), "Artifacts")
    measured, simulated = rows[0].index("p50 (measured)"), rows[0].index("p50 (simulated)")
    assert rows[1][measured].strip() == ""
    assert rows[1][simulated].endswith("ms")
    assert rows[2][simulated].strip() == ""
    assert rows[2][measured].endswith("ms")


def test_a_simulated_metric_has_a_column_of_its_own(report):
    simulated = dataclasses.replace(report.artifacts[0], metric_kind="simulated")
    rows = table_rows(
        markdown.render(dataclasses.replace(report, artifacts=(simulated, report.artifacts[1]))), "Artifacts"
    )
    measured, other = rows[0].index("top1 (measured)"), rows[0].index("top1 (simulated)")
    assert [row[measured].strip() for row in rows[1:]] == ["", "0.9861"]
    assert [row[other].strip() for row in rows[1:]] == ["0.9889", ""]


def test_unknown_is_a_word_and_never_zero(report):
    artifact = dataclasses.replace(report.artifacts[0], value=None, metric=None, drop=None, drop_ci95=None, latency=())
    rows = table_rows(
        markdown.render(dataclasses.replace(report, artifacts=(artifact, report.artifacts[1]))), "Artifacts"
    )
    by_title = dict(zip(rows[0], rows[1], strict=True))
    assert {by_title[t] for t in ("top1 (measured)", "top1 drop (measured)", "p50 (measured)", "Ratio (measured)")} == {
        "unknown"
    }


def test_heads_have_a_table_and_their_matrices(report):
    text = markdown.render(dataclasses.replace(report, artifacts=report.artifacts[:2]))
    rows = table_rows(text, "Heads")
    assert rows[0] == ["Artifact", "top1", "Drop", "top3"]
    assert rows[1][0] == "lenet5-float32-tflite"
    assert rows[1][3] == "0.9972"
    details = text.split("## Each artifact\n")[1]
    assert details.count("### lenet5-") == 2
    assert "| true \\\\ predicted | 0 | 1 |" in details
    assert "| 8 | 0 | 4 | 0 |" in details


def test_a_large_table_is_left_to_json(report):
    names = tuple(map(str, range(21)))
    table = Table("confusion", names, names, ((1,) * 21,) * 21)
    head = dataclasses.replace(report.artifacts[0].heads[0], tables=(table,))
    artifact = dataclasses.replace(report.artifacts[0], heads=(head,))
    text = markdown.render(dataclasses.replace(report, artifacts=(artifact,)))
    assert "confusion: 21 rows; report.json has them." in text


def test_warnings_and_the_host_come_last(report):
    assert f"## Warnings\n\n- {report.warnings[0]}\n\n## Data and host\n" in markdown.render(report)


def test_names_cannot_break_the_table(report):
    artifact = dataclasses.replace(report.artifacts[0], name="a|b\n<script>[x](y)")
    text = markdown.render(dataclasses.replace(report, artifacts=(artifact,)))
    assert "a\\|b \\<script\\>\\[x\\](y)" in text
    assert "<script>" not in text
