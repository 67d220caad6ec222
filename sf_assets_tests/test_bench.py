"""The benchmarks run, and their report says what was promised."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import bench.__main__ as benchmarks
from bench import peers, report
from bench.report import Line


@pytest.mark.more
def test_exports_are_measured_against_the_file_and_the_peers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmarks, "HOME", tmp_path)
    sizes = replace(benchmarks.QUICK, rows=3000, page_rows=1000, tap_rows=500, rest_rows=500)
    lines = list(benchmarks.exports(sizes))
    assert [line.part for line in lines] == list("aaaaabbbbeeee")
    assert all(line.value > 0 for line in lines)


def test_the_report_tells_which_promises_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    lines = [
        Line("a", "pace", 0.7, least=0.6),
        Line("a", "memory", 612.0, "MB", most=600),
        Line("e", "rows read by others", 12_345.0, "rows/s"),
    ]
    text = report.publish("trial", {"cores": 2}, lines)
    assert "| a | pace | 0.7 | ≥ 0.6 | kept |" in text
    assert "| a | memory | 612 MB | ≤ 600 | **missed** |" in text
    assert "| e | rows read by others | 12,345 rows/s |  |  |" in text
    assert (tmp_path / "trial.md").read_text(encoding="utf-8") == text
    document = json.loads((tmp_path / "trial.json").read_text(encoding="utf-8"))
    assert [line["kept"] for line in document["results"]] == [True, False, None]


def test_a_peer_that_loses_repeats_or_changes_records_is_told_how_many() -> None:
    blank = dict.fromkeys((*peers.TEXTS, *peers.AMOUNTS))
    said = {str(n): blank | {"Id": str(n), "Name": "NA", "Amount": 0.1} for n in range(3)}
    read = blank | {"Id": "0", "Name": None, "Amount": "0.10"}
    found = peers.compare(iter([read, read | {"Amount": 0.1000001}, said["1"]]), said)
    assert list(found.values()) == [1, 1, 2, 1]
