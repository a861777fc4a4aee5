"""What was registered stays, and what changed since shows."""

from __future__ import annotations

import json

import pytest

from sluguq.claims import CLAIMS, judge, rules_version
from sluguq.claims.catalogue import added_claims
from sluguq.claims.registration import RegistrationError, entry, read_registration, register, standing
from sluguq.machine import code, extensions
from tests.figures.stand_in import aggregated

PLANNED = {"seeds": [0, 1], "test_images": 24}


def new(date: str = "2026-01-05T10:00:00+00:00", configuration: str = "seeds: 2") -> dict:
    return entry(configuration, PLANNED, date, "abc")


def test_a_registration_holds_rules_sizes_and_its_hash(tmp_path):
    path = tmp_path / "registration.json"
    assert register(path, new())
    (one,) = read_registration(path)
    assert one["rules_version"] == rules_version()
    assert one["planned"] == PLANNED
    assert set(one["claims"]) == {claim.key for claim in CLAIMS}
    assert one["claims"]["gap_under_A"]["smallest"].startswith("a ratio of 1.05")


OWN = """
from sluguq.machine.extensions import add_claim


def parts(run):
    from sluguq.claims.rules import counted

    return [counted("all", 0.2, 10, LIMIT)]


LIMIT = 0.5
add_claim("own", parts, statement="s", statistic="t", rule="below LIMIT", fewest_seeds=0)
"""


def test_claims_of_extensions_are_registered_with_the_code_of_their_rules(tmp_path, monkeypatch):
    for name in ("_LOADED", "CLAIMS"):
        monkeypatch.setattr(extensions, name, {})
    monkeypatch.setattr(extensions, "_REGISTRIES", (extensions.CLAIMS,))
    monkeypatch.delenv(extensions.VARIABLE, raising=False)
    plain = rules_version()
    own = tmp_path / "own.py"
    own.write_text(OWN)
    extensions.load([own])
    monkeypatch.delenv(extensions.VARIABLE, raising=False)
    one = new()
    assert one["claims"]["own"]["rule"] == "below LIMIT"
    assert one["rules_version"] not in (plain, "")
    (claim,) = added_claims()
    assert standing(claim, [one], "seeds: 2") == "registered 2026-01-05"
    own.write_text(OWN.replace("LIMIT = 0.5", "LIMIT = 0.1"))
    code._content.cache_clear()
    assert standing(claim, [one], "seeds: 2").endswith("changed since: the code of the rules")


def test_it_only_grows(tmp_path):
    path = tmp_path / "registration.json"
    register(path, new())
    assert not register(path, new("2026-02-01T10:00:00+00:00"))
    assert register(path, new("2026-03-01T10:00:00+00:00", "seeds: 3"))
    assert [one["date"][:7] for one in read_registration(path)] == ["2026-01", "2026-03"]


def test_an_edit_by_hand_is_told(tmp_path):
    path = tmp_path / "registration.json"
    register(path, new())
    path.write_text(path.read_text().replace('"test_images": 24', '"test_images": 512'))
    with pytest.raises(RegistrationError, match="was edited after it was written"):
        read_registration(path)
    for text in ("[1]", "{", '{"a": 1}', "3"):
        path.write_text(text)
        with pytest.raises(RegistrationError, match="is no registration"):
            read_registration(path)


def test_what_changed_since_is_said_beside_the_verdict():
    claim = next(claim for claim in CLAIMS if claim.key == "gap_under_A")
    assert standing(claim, [], "seeds: 2") == "not registered"
    assert standing(claim, [new()], "seeds: 2") == "registered 2026-01-05"
    assert standing(claim, [new()], "seeds: 9") == "registered 2026-01-05; changed since: the configuration"
    older = json.loads(json.dumps(new()))
    older["rules_version"] = "1-000000000000"
    assert "changed since: the code of the rules" in standing(claim, [older], "seeds: 2")
    older["claims"]["gap_under_A"]["rule"] = "the interval is above -1"
    assert standing(claim, [older], "seeds: 2") == "rule changed since the registration of 2026-01-05"
    del older["claims"]["gap_under_A"]
    assert standing(claim, [older], "seeds: 2") == "added since the registration of 2026-01-05"
    # An amendment does not make it as registered: the first entry counts.
    assert standing(claim, [older, new()], "seeds: 2").startswith("added since")


def test_claims_bear_it():
    store = aggregated(maps=False)
    table = judge({"home": store}, replicates=20, registration=[new(configuration=store.attrs["configuration"])])
    assert table["registered"].eq("registered 2026-01-05").all()
    assert judge({"home": store}, replicates=20)["registered"].eq("not registered").all()
