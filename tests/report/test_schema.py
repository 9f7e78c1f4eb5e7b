import copy
import dataclasses
import json

import jsonschema
import pytest

from edgecv.core import codec
from edgecv.report import completed, report_schema, schema_path
from edgecv.report.schema import schema_text
from edgecv.report.store import to_json

VALIDATOR = jsonschema.Draft202012Validator(report_schema())


@pytest.fixture
def document(report):
    return copy.deepcopy(json.loads(to_json(report)))


def test_the_published_schema_is_the_generated_one():
    assert schema_path().read_text(encoding="utf-8") == schema_text(), "write schema_text() to report.schema.json"


def test_the_schema_is_valid():
    jsonschema.Draft202012Validator.check_schema(report_schema())


def test_a_whole_report_is_valid(document):
    assert list(VALIDATOR.iter_errors(document)) == []


def test_a_report_of_unknowns_is_valid(report):
    artifact = dataclasses.replace(
        report.artifacts[0], metric=None, value=None, drop=None, drop_ci95=None, mapping=None, latency=()
    )
    empty = dataclasses.replace(report, artifacts=(artifact,), baseline=None, dataset=None)
    assert list(VALIDATOR.iter_errors(json.loads(to_json(completed(empty))))) == []


def test_the_contract_keys_are_required():
    # The keys that the contract names; reports may have more, never less.
    contract = {
        "Report": "schema created host dataset baseline artifacts warnings",
        "DatasetInfo": "name split n sha256",
        "Baseline": "engine accelerator device metric value latency_ms kind",
        "LatencySummary": "p50 p90 p99 samples",
        "ArtifactResult": "name path format scheme method sparsity target size_bytes sha256 metric value drop drop_ci95"
        " mapping latency",
        "MappingSummary": "target n_ops n_mapped unmapped kind",
        "Unmapped": "index op layer reason",
        "Latency": "device engine threads load_ms first_ms p50 p90 p99 samples ratio_to_baseline ratio_ci95"
        " peak_rss_bytes arena_bytes kind",
    }
    schema = report_schema()
    for name, keys in contract.items():
        definition = schema if name == "Report" else schema["$defs"][name]
        assert set(keys.split()) <= set(definition["required"]), name


def artifact(document):
    return document["artifacts"][0]


BREAKS = {
    "another schema": lambda d: d.update(schema="edgecv.report/1"),
    "missing key": lambda d: d.pop("host"),
    "missing artifact key": lambda d: artifact(d).pop("drop"),
    "unknown key": lambda d: artifact(d).update(colour="red"),
    "unknown kind": lambda d: artifact(d)["latency"][0].update(kind="guessed"),
    "unknown format": lambda d: artifact(d).update(format="pb"),
    "unknown method": lambda d: artifact(d).update(method="magic"),
    "absolute path": lambda d: artifact(d).update(path="/m.tflite"),
    "short sha256": lambda d: artifact(d).update(sha256="abc"),
    "negative size": lambda d: artifact(d).update(size_bytes=-1),
    "size as text": lambda d: artifact(d).update(size_bytes="10"),
    "null size": lambda d: artifact(d).update(size_bytes=None),
    "sparsity above 1": lambda d: artifact(d).update(sparsity=50),
    "interval of one": lambda d: artifact(d).update(drop_ci95=[0.1]),
    "interval of three": lambda d: artifact(d).update(drop_ci95=[0.1, 0.2, 0.3]),
    "zero ratio": lambda d: artifact(d)["latency"][0].update(ratio_to_baseline=0),
    "no samples at all": lambda d: artifact(d)["latency"][0].update(samples=None),
    "zero samples in the data set": lambda d: d["dataset"].update(n=0),
    "metric as a name": lambda d: artifact(d).update(metric="top1"),
    "a third way to be good": lambda d: artifact(d)["metric"].update(better="sideways"),
    "confusion of before": lambda d: artifact(d).update(confusion=[[1]]),
    "cell as text": lambda d: artifact(d)["heads"][0]["tables"][0]["cells"][0].append("1"),
    "exhibit without a path": lambda d: artifact(d).update(exhibits=[{"title": "x"}]),
    "NaN as text": lambda d: artifact(d).update(value="NaN"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_wrong_report_is_invalid(document, name):
    BREAKS[name](document)
    assert not VALIDATOR.is_valid(document)


def test_nan_never_reaches_the_file(report):
    with pytest.raises(Exception, match="non-finite"):
        codec.encode(dataclasses.replace(report.artifacts[0], value=float("nan")))


def test_a_report_of_before_the_benchmark_additions_is_valid_and_read(document, tmp_path):
    from edgecv.report import read

    for key in ("baselines", "devices", "failures", "sweeps"):
        del document[key]
    for one in document["artifacts"]:
        for latency in one["latency"]:
            for key in ("mode", "conditions", "sustained", "profile"):
                del latency[key]
    VALIDATOR.validate(document)
    (tmp_path / "report.json").write_text(json.dumps(document))
    latency = read(tmp_path / "report.json").artifacts[0].latency[0]
    assert (latency.mode, latency.conditions, latency.sustained, latency.profile) == ("burst", None, None, None)
