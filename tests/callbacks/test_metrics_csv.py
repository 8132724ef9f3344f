import csv

import pytest

from callbacks.metrics_csv import MetricsCSV


def read(path):
    with path.open() as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def test_values_of_an_epoch_share_a_row(tmp_path):
    log = MetricsCSV(tmp_path)
    log.log_metrics({"a": 1.5, "epoch": 0})
    log.log_metrics({"b": 2.5, "epoch": 0})
    log.log_metrics({"a": 3.5, "epoch": 1})
    log.log_metrics({"b": 0.1 + 0.2, "a": 4.5, "epoch": 1})
    log.log_metrics({"time/speed": 9.0, "epoch": 1})
    assert read(tmp_path / "metrics.csv") == [
        {"epoch": 0, "a": 1.5, "b": 2.5},
        {"epoch": 1, "a": 4.5, "b": 0.1 + 0.2},
    ]


def test_a_late_value_finds_its_row(tmp_path):
    log = MetricsCSV(tmp_path)
    for epoch in range(4):
        log.log_metrics({"a": epoch, "epoch": epoch})
    log.log_metrics({"late": 7.0, "epoch": 1})
    log.log_metrics({"a": 4.0, "epoch": 4})
    rows = read(tmp_path / "metrics.csv")
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3, 4]
    assert rows[1] == {"epoch": 1, "a": 1, "late": 7.0}


@pytest.mark.parametrize("torn", ["", "3,", "3,1."])
def test_a_resumed_run_drops_the_rows_that_it_repeats(tmp_path, torn):
    log = MetricsCSV(tmp_path)
    for epoch in range(3):
        log.log_metrics({"a": epoch, "epoch": epoch})
    with log.path.open("a") as file:
        file.write(torn)
    again = MetricsCSV(tmp_path)
    again.log_metrics({"a": 9.0, "epoch": 1})
    assert read(tmp_path / "metrics.csv") == [{"epoch": 0, "a": 0}, {"epoch": 1, "a": 9}]


def test_nan_is_kept(tmp_path):
    MetricsCSV(tmp_path).log_metrics({"a": float("nan"), "epoch": 0})
    assert "nan" in (tmp_path / "metrics.csv").read_text()
