"""The benchmark runs, and says what it measured."""

import json
import sys

import pytest

from cls_vla_ros.benchmark import benchmark


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("benchmark") / "report.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sys,
            "argv",
            [
                *("benchmark", "--device", "cpu", "--architecture", "tiny", "--cameras", "2"),
                *("--picture", "64x48", "--inferences", "8", "--eager-inferences", "8"),
                *("--dtypes", "float32", "bfloat16", "--out", str(out)),
            ],
        )
        benchmark.main()
    return json.loads(out.read_text())


def test_all_cases_are_timed_on_both_paths(report):
    rows = {(row["case"], row["path"]): row for row in report["figures"]}
    assert set(rows) == {
        ("stock eager float32", "full"),
        ("ours eager float32 torch", "full"),
        ("ours eager float32 torch", "reuse"),
        ("ours eager bfloat16 torch", "full"),
        ("ours eager bfloat16 torch", "reuse"),
    }
    stock = rows["stock eager float32", "full"]
    assert stock["ratio"] == 1
    for (_, path), row in rows.items():
        assert 0 < row["median_ms"] <= row["p95_ms"] <= row["p99_ms"] <= row["max_ms"]
        assert row["ratio"] == pytest.approx(stock["median_ms"] / row["median_ms"])
        if row["parts_ms"]:
            assert row["parts_ms"]["denoise"] > 0
            assert (row["parts_ms"]["prefix"] > 0) == (path == "full")
            assert (row["parts_ms"]["refresh"] > 0) == (path == "reuse")


def test_parity_is_with_stock_on_the_same_noise(report):
    assert len(report["parity"]) == 6
    for row in report["parity"]:
        assert row["largest"] > 1  # else an error of nothing would be easy
        if "float32" in row["case"]:
            assert row["max_error"] < 1e-4
        assert row["cosine"] > 0.999


def test_the_machine_and_the_date_are_said(report):
    assert report["machine"]["device"] == "CPU"
    assert report["date"]
    assert "random weights of the tiny architecture" in report["setting"]


def test_a_picture_size_is_width_by_height():
    assert benchmark.picture_size("640x480") == (480, 640)


@pytest.mark.slow
def test_the_profile_says_where_the_time_goes(monkeypatch, capsys):
    small = ("--device", "cpu", "--architecture", "tiny", "--cameras", "1", "--picture", "64x48")
    counts = ("--inferences", "2", "--eager-inferences", "2", "--case", "ours eager float32")
    monkeypatch.setattr(sys, "argv", ["benchmark", *small, *counts, "--profile"])
    benchmark.main()
    said = capsys.readouterr().out
    assert "ours eager float32 torch, reuse" in said
    assert "aten::" in said
