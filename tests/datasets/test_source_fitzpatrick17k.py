"""Fitzpatrick17k and its cleaned subset, from atlases, a record, a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
import pytest
from pydantic import TypeAdapter

from sluguq.config.sources import Source
from sluguq.datasets.acquisition import acquire
from sluguq.datasets.base import AcquisitionError
from sluguq.datasets.registry import Registry
from sluguq.stages.prepare import prepare
from sluguq.stores.tables import read_images, read_missing
from tests.datasets.misbehaving import Server, mirrored, picture, table, zipped

PICTURES = [picture(seed) for seed in range(10)]
NAMES = [hashlib.md5(content).hexdigest() for content in PICTURES]


def options(source: str = "fitzpatrick17k", **keys: object):
    return TypeAdapter(Source).validate_python({"source": source, "accept_licence": True, **keys})


def label_rows(root: str) -> list[dict[str, object]]:
    """Ten rows in the true layout; the last one has no address, the one before no skin type."""
    rows: list[dict[str, object]] = []
    for number, name in enumerate(NAMES):
        path = f"/site/images/x{number}.jpg" if number % 2 else f"/img?imageId={number}"
        rows.append(
            {
                "md5hash": name,
                "fitzpatrick_scale": number % 6 + 1 if number != 8 else -1,
                "fitzpatrick_centaur": 6 - number % 6,
                "label": "lupus",
                "nine_partition_label": "inflammatory",
                "three_partition_label": "non-neoplastic",
                "qc": "3 Wrongly labelled" if number == 1 else "",
                "url": "" if number == 9 else f"{root}{path}",
                "url_alphanum": "".join(c for c in path if c.isalnum()) + ".jpg",
            }
        )
    return rows


@pytest.fixture
def registry(server: Server) -> Registry:
    server.files["/fitzpatrick17k/labels"] = table(label_rows(server.root))
    for number in range(1, 9, 2):
        server.files[f"/site/images/x{number}.jpg"] = PICTURES[number]
    # The second atlas tells its pictures apart by the query alone; one picture stands for all of them here.
    server.files["/img"] = PICTURES[0]
    return mirrored(server)


def images_of(raw: Path) -> pd.DataFrame:
    return read_images(raw / "images.csv").set_index("id")


def test_from_the_atlases_with_losses_and_a_second_run(server, registry, manners, tmp_path):
    server.always["/site/images/x3.jpg"] = "404"
    server.misdeeds["/site/images/x5.jpg"] = ["500", "cut"]
    server.always["/site/images/x7.jpg"] = "html"
    wanted = options(downloads=manners)
    acquire(wanted, tmp_path, registry=registry)
    images, missing = images_of(tmp_path), read_missing(tmp_path / "missing.csv").set_index("id")
    assert set(images.index) == {NAMES[n] for n in (0, 1, 5)}
    assert images.loc[NAMES[1], "fst"] == 2
    assert images.loc[NAMES[1], "label_condition"] == "lupus"
    assert (tmp_path / images.loc[NAMES[5], "file"]).read_bytes() == PICTURES[5]
    reasons = missing["reason"].to_dict()
    assert reasons[NAMES[3]] == "HTTP 404 Not Found"
    assert "HTML" in reasons[NAMES[7]]
    assert "no url" in reasons[NAMES[9]]
    assert all("wrong checksum: MD5" in reasons[NAMES[n]] for n in (2, 4, 6))
    assert NAMES[8] not in reasons, "an image without an FST was not asked for"
    assert missing.loc[NAMES[3], ["fst", "url"]].tolist() == [4, f"{server.root}/site/images/x3.jpg"]

    server.always.clear()
    fetched = server.asked("/site/images/x1.jpg")
    acquire(wanted, tmp_path, registry=registry)
    assert {NAMES[3], NAMES[7]} <= set(images_of(tmp_path).index)
    assert server.asked("/site/images/x1.jpg") == fetched
    assert server.asked("/fitzpatrick17k/labels") == 1


def test_licence_is_shown_before_the_first_download(server, registry, tmp_path, capsys):
    with pytest.raises(AcquisitionError, match=r"CC BY-NC-SA 3\.0(.|\n)*accept_licence: true"):
        acquire(options(accept_licence=False), tmp_path, registry=registry)
    assert server.requests == []
    acquire(options(fst=[2]), tmp_path, registry=registry)
    shown = capsys.readouterr().err
    assert shown.count("CC BY-NC-SA") == 1
    assert "Groh" in shown


def test_labels_of_the_other_annotators_and_filters(registry, manners, tmp_path):
    acquire(options(fst_column="fitzpatrick_centaur", fst=[5], downloads=manners), tmp_path, registry=registry)
    assert images_of(tmp_path)["fst"].to_dict() == {NAMES[1]: 5, NAMES[7]: 5}
    acquire(options(exclude_quality=["3"], fst=[2], downloads=manners), tmp_path, registry=registry)
    assert NAMES[1] not in images_of(tmp_path).index
    assert NAMES[7] in images_of(tmp_path).index


def test_without_md5_and_with_unlabelled_images(registry, manners, tmp_path):
    acquire(options(verify_md5=False, unlabelled=True, downloads=manners), tmp_path, registry=registry)
    images = images_of(tmp_path)
    assert set(images.index) == set(NAMES[:9])
    assert images.loc[NAMES[8], "fst"] == -1


def record() -> bytes:
    """The zip of the record: folders by condition, the first eight digits of the MD5 at the end of each name."""
    return zipped({f"set/lu_{n}/lu_f{n % 6}_{n}_{NAMES[n][:8]}.jpg": PICTURES[n] for n in range(10) if n != 4})


def test_from_the_record(server, registry, manners, tmp_path):
    server.files["/fitzpatrick17k/images"] = record()
    acquire(options(images="record", downloads=manners), tmp_path, registry=registry)
    images = images_of(tmp_path)
    assert set(images.index) == {name for n, name in enumerate(NAMES) if n not in (4, 8)}
    assert Path(tmp_path, images.loc[NAMES[9], "file"]).read_bytes() == PICTURES[9]
    missing = read_missing(tmp_path / "missing.csv")
    assert missing[["id", "fst"]].to_numpy().tolist() == [[NAMES[4], 5]]
    acquire(options(images="record", downloads=manners), tmp_path, registry=registry)
    assert server.asked("/fitzpatrick17k/images") == 1


def test_a_record_that_climbs_out_of_its_folder(server, registry, manners, tmp_path):
    server.files["/fitzpatrick17k/images"] = zipped({"good.jpg": PICTURES[0], "../../evil.jpg": PICTURES[1]})
    with pytest.raises(AcquisitionError, match="would leave the folder"):
        acquire(options(images="record", downloads=manners), tmp_path / "raw", registry=registry)
    assert {path.name for path in tmp_path.iterdir()} == {"raw"}


def test_a_record_that_cannot_be_had_says_where_to_put_it(server, registry, manners, tmp_path):
    server.always["/fitzpatrick17k/images"] = "503"
    with pytest.raises(AcquisitionError, match=r"HTTP 503(.|\n)*put the file at .*CategorizedAbbrvs\.zip"):
        acquire(options(images="record", downloads=manners), tmp_path, registry=registry)


@pytest.mark.parametrize("name", ["md5", "address", "zip"])
def test_from_a_folder_of_ones_own_without_any_request(server, tmp_path, name):
    rows = label_rows(server.root)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "fitzpatrick17k.csv").write_bytes(table(rows))
    names = [row["url_alphanum"] if name == "address" else f"{row['md5hash']}.jpg" for row in rows]
    members = {f"images/{name}": content for name, content in zip(names, PICTURES, strict=True)}
    if name == "zip":
        (folder / "images.zip").write_bytes(zipped(members))
    else:
        (folder / "images").mkdir()
        for member, content in members.items():
            (folder / member).write_bytes(content)
    acquire(options(folder=folder, accept_licence=False), tmp_path / "raw", registry=mirrored(server))
    assert set(images_of(tmp_path / "raw").index) == {name for n, name in enumerate(NAMES) if n != 8}
    assert server.requests == []
    assert not list(folder.glob("*unpacked*"))


def test_a_skin_type_that_is_none_is_listed(server, registry, manners, tmp_path):
    rows = label_rows(server.root)
    rows[1]["fitzpatrick_scale"] = 9
    (tmp_path / "labels.csv").write_bytes(table(rows))
    acquire(options(table=tmp_path / "labels.csv", downloads=manners), tmp_path / "raw", registry=registry)
    reasons = read_missing(tmp_path / "raw" / "missing.csv").set_index("id")["reason"]
    assert "'9' is no Fitzpatrick skin type" in reasons[NAMES[1]]


def test_the_cleaned_subset(server, registry, manners, tmp_path):
    keep = [NAMES[1], NAMES[5].upper(), "0" * 32]
    server.files["/fitzpatrick17k_c/keep"] = table([{"md5hash": name, "fst": 2} for name in keep])
    acquire(options("fitzpatrick17k_c", downloads=manners), tmp_path, registry=registry)
    assert set(images_of(tmp_path).index) == {NAMES[1], NAMES[5]}
    missing = read_missing(tmp_path / "missing.csv")
    assert missing["id"].tolist() == ["0" * 32]
    assert "not in the label table" in missing["reason"][0]


def test_the_cleaned_subset_needs_the_licence_accepted(server, registry, tmp_path):
    with pytest.raises(AcquisitionError, match="accept_licence"):
        acquire(options("fitzpatrick17k_c", accept_licence=False), tmp_path, registry=registry)
    assert server.requests == []


def test_first_rows_of_the_true_table(server, manners, shared, tmp_path):
    rows = pd.read_csv(shared / "fitzpatrick17k" / "fitzpatrick17k.csv", dtype=str, keep_default_na=False)
    rows = pd.concat([rows.head(30), rows[rows["url"].str.contains("atlas")].head(10), rows[rows["url"] == ""].head(2)])
    for number, url in enumerate(rows["url"]):
        path = url.partition("//")[2].partition("/")[2]
        server.files[f"/{path.partition('?')[0]}"] = picture(number)
    for host in ("https://www.dermaamin.com", "http://atlasdermatologico.com.br"):
        rows["url"] = rows["url"].str.replace(host, server.root)
    server.files["/fitzpatrick17k/labels"] = rows.to_csv(index=False).encode()
    dead = rows["url"].iloc[2]
    server.always[dead.removeprefix(server.root)] = "404"
    labelled = rows[rows["fitzpatrick_scale"] != "-1"]
    acquire(options(verify_md5=False, downloads=manners), tmp_path, registry=mirrored(server))
    images, missing = images_of(tmp_path), read_missing(tmp_path / "missing.csv").set_index("id")
    assert len(images) + len(missing) == len(labelled)
    assert missing.loc[rows["md5hash"].iloc[2], "url"] == dead
    assert (missing["reason"] == "the label table gives no url").sum() == (labelled["url"] == "").sum()
    expected = labelled.set_index("md5hash")["fitzpatrick_scale"].astype(int)
    assert images["fst"].equals(expected[images.index].rename_axis("id").rename("fst"))
    rejected = prepare(tmp_path / "images.csv", tmp_path / "s.zarr", tmp_path / "r.csv", size=32)
    assert len(rejected) == 0
