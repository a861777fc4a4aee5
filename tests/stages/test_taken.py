"""What jobs took, beside what was planned."""

import pytest

from sluguq.config import resolve
from sluguq.stages.cost import cost_of
from sluguq.stages.taken import duration, expected_seconds, left, plan_and_taken, taken
from tests.stages.test_cost import SMALL


@pytest.fixture
def logs(tmp_path, monkeypatch):
    for name, text in {
        "logs/small/train/A-seed-0.tsv": "s\th:m:s\tmax_rss\n60.5\t0:01:00\t800.0\n",
        "logs/small/train/B-seed-0.tsv": "s\th:m:s\tmax_rss\n39.5\t0:00:39\t900.5\n",
        "logs/small/score/A-seed-0-skin.tsv": "s\th:m:s\tmax_rss\n3.0\t0:00:03\tNA\n",
        "logs/small/rivals/A-seed-0.tsv": "s\th:m:s\tmax_rss\n9.0\t0:00:09\tNA\n",
        "logs/small/claims.tsv": "s\th:m:s\tmax_rss\n7.0\t0:00:07\t10\n",
        "logs/small/figures/half.tsv": "s\th:m:s\n",
        "logs/prepare/skin-32px.tsv": "s\th:m:s\tmax_rss\n5.0\t0:00:05\t100\n",
        "logs/another/train/A-seed-0.tsv": "s\th:m:s\tmax_rss\n1000\t0:16:40\t1\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("logs")
def test_measurements_are_summed_by_stage():
    found = taken("small")
    assert found["train"] == (2, 100.0, 900.5)
    assert found["score"] == (1, 3.0, 0.0)
    assert found["rivals"] == (1, 9.0, 0.0)
    assert found["aggregate and figures"] == (1, 7.0, 10.0)
    assert found["acquire and prepare"].jobs == 1
    assert expected_seconds({"train": 3, "eigenbasis": 5, "score": 2, "claims": 1}, "small") == pytest.approx(163)
    rows = {row["stage"]: row for row in plan_and_taken(cost_of(resolve(SMALL)))}
    assert (rows["train"]["jobs planned"], rows["train"]["jobs measured"]) == ("6", "2")
    assert rows["eigenbasis"]["hours taken"] == ""


@pytest.mark.usefixtures("logs")
def test_what_is_left_is_listed_dearest_first():
    lines = left(cost_of(resolve(SMALL)), {"claims": 1, "train": 3, "eigenbasis_until_scored": 2, "all": 1, "total": 7})
    assert [line.split(":")[0] for line in lines] == ["eigenbasis_until_scored", "train", "claims"]
    assert lines[1].endswith("PFLOP, about 2 min")
    assert lines[2] == "claims: 1 jobs, about 7 s"


def test_without_measurements_nothing_is_said(tmp_path):
    assert taken("small", tmp_path) == {}
    assert expected_seconds({"train": 3}, "small", tmp_path) == 0


def test_times_in_words():
    assert [duration(seconds) for seconds in (3, 600, 7200)] == ["3 s", "10 min", "2.0 h"]
