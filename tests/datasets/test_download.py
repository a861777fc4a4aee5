"""Transfers against a server that misbehaves: complete, or a reason; and a second run finishes the job."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import socket
import threading
import time
import zlib
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace

import pytest

from sluguq.config.sources import Downloads
from sluguq.datasets.download import USER_AGENT, Downloader, DownloadError, NoRoom, Request
from tests.datasets.misbehaving import Server, picture, zipped

BODY = bytes(range(256)) * 400


def fetch(server: Server, downloads: Downloads, target: Path, path: str = "/file", **wanted: object) -> Path:
    with Downloader(downloads) as downloader:
        return downloader.fetch(Request(server.root + path, target, **wanted))  # type: ignore[arg-type]


def left_over(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_fetches_once_and_says_who_it_is(server, downloads, tmp_path):
    server.files["/file"] = BODY
    target = fetch(server, downloads, tmp_path / "file")
    assert target.read_bytes() == BODY
    assert server.requests[0][1]["User-Agent"] == USER_AGENT
    fetch(server, downloads, tmp_path / "file")
    assert server.asked("/file") == 1
    assert left_over(tmp_path) == {"file"}


@pytest.mark.parametrize("status", ["404", "403", "410"])
def test_lasting_refusal_is_not_repeated(server, downloads, tmp_path, status):
    server.always["/file"] = status
    with pytest.raises(DownloadError, match=f"HTTP {status}"):
        fetch(server, downloads, tmp_path / "file")
    assert server.asked("/file") == 1
    assert left_over(tmp_path) == set()


@pytest.mark.parametrize(
    "misdeeds", [["500"], ["503", "502"], ["408"], ["cut"], ["cut", "500"], ["wrong"], ["chunked-cut"], ["reset"]]
)
def test_passing_failures_are_overcome(server, downloads, tmp_path, misdeeds):
    server.files["/file"] = BODY
    server.misdeeds["/file"] = list(misdeeds)
    digest = hashlib.sha256(BODY).hexdigest()
    assert fetch(server, downloads, tmp_path / "file", sha256=digest).read_bytes() == BODY
    assert server.asked("/file") == len(misdeeds) + 1
    assert left_over(tmp_path) == {"file"}


def test_retry_after_in_seconds_is_obeyed(server, downloads, tmp_path):
    server.files["/file"] = BODY
    server.misdeeds["/file"] = ["429 1"]
    fetch(server, downloads, tmp_path / "file")
    first, second = (moment for _, _, moment in server.requests)
    assert 0.95 <= second - first < 2


def test_retry_after_as_a_date_is_obeyed(server, downloads, tmp_path):
    server.files["/file"] = BODY
    # Dates have whole seconds: two from now is between one and two away.
    server.misdeeds["/file"] = [f"503 {formatdate(time.time() + 2, usegmt=True)}"]
    fetch(server, downloads, tmp_path / "file")
    first, second = (moment for _, _, moment in server.requests)
    assert 0.9 <= second - first < 3


def test_retry_after_holds_for_the_whole_host(server, downloads, tmp_path):
    for number in range(4):
        server.files[f"/{number}"] = BODY
    server.misdeeds["/0"] = ["429 1"]
    with Downloader(downloads.model_copy(update={"per_host": 1})) as downloader:
        assert not downloader.fetch_all([Request(f"{server.root}/{n}", tmp_path / str(n)) for n in range(4)])
    first = server.requests[0][2]
    assert server.requests[0][0] == "/0"
    assert all(moment - first > 0.9 for _, _, moment in server.requests[1:])


def test_retry_after_beyond_patience_is_a_reason(server, downloads, tmp_path):
    server.always["/file"] = "429 9999"
    with pytest.raises(DownloadError, match="asks to wait 9999 s"):
        fetch(server, downloads, tmp_path / "file")
    assert server.asked("/file") == 1


def test_cut_transfer_is_resumed_where_it_stopped(server, downloads, tmp_path):
    server.files["/file"] = BODY
    server.misdeeds["/file"] = ["cut"]
    assert fetch(server, downloads, tmp_path / "file").read_bytes() == BODY
    assert server.requests[1][1]["Range"] == f"bytes={len(BODY) // 2}-"
    assert server.sent["/file"] == len(BODY)


def test_second_run_resumes_what_the_first_left(server, downloads, tmp_path):
    server.files["/file"] = BODY
    server.misdeeds["/file"] = ["cut"]
    once = downloads.model_copy(update={"attempts": 1})
    with pytest.raises(DownloadError, match=rf"broke off \(IncompleteRead\({len(BODY) // 2} bytes read"):
        fetch(server, once, tmp_path / "file")
    assert not (tmp_path / "file").exists()
    assert fetch(server, once, tmp_path / "file").read_bytes() == BODY
    assert server.sent["/file"] == len(BODY)


def test_cut_transfer_without_range_support_starts_again(server, downloads, tmp_path):
    server.files["/file"] = BODY
    server.misdeeds["/file"] = ["cut", "no-range"]
    assert fetch(server, downloads, tmp_path / "file").read_bytes() == BODY


def test_cut_transfer_of_a_file_that_changed_starts_again(server, downloads, tmp_path):
    server.files["/file"] = BODY
    server.misdeeds["/file"] = ["cut", "changed"]
    assert fetch(server, downloads, tmp_path / "file").read_bytes() == BODY


def test_part_without_proof_of_identity_is_not_resumed(server, downloads, tmp_path):
    server.files["/file"] = BODY
    server.headers["/file"]["ETag"] = ""
    server.misdeeds["/file"] = ["cut"]
    assert fetch(server, downloads, tmp_path / "file").read_bytes() == BODY
    assert "Range" not in server.requests[1][1]


def test_whole_part_left_by_a_crash_is_completed(server, downloads, tmp_path):
    server.files["/file"] = BODY
    (tmp_path / ".file.part").write_bytes(BODY)
    (tmp_path / ".file.validator").write_text(f'"{hash(BODY)}"')
    assert fetch(server, downloads, tmp_path / "file").read_bytes() == BODY
    assert left_over(tmp_path) == {"file"}


@pytest.mark.parametrize("how", ["no-length", "chunked"])
def test_body_without_length_comes_whole(server, downloads, tmp_path, how):
    server.files["/file"] = BODY
    server.always["/file"] = how
    assert fetch(server, downloads, tmp_path / "file").read_bytes() == BODY


def test_a_file_that_will_not_fit_is_not_begun(server, downloads, tmp_path, monkeypatch):
    server.files["/file"] = BODY
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(NoRoom, match=r"0 MB are free at .*: make room, and run again"):
        fetch(server, downloads, tmp_path / "file")
    assert server.asked("/file") == 1


def test_a_full_disk_is_no_loss_of_images_but_ends_the_run(server, downloads, tmp_path, monkeypatch):
    """Else an experiment would go on with the images that found room."""
    for number in range(6):
        server.files[f"/{number}"] = BODY
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    wanted = [Request(f"{server.root}/{number}", tmp_path / str(number)) for number in range(6)]
    with Downloader(downloads) as downloader, pytest.raises(NoRoom):
        downloader.fetch_all(wanted)


def test_slow_drip_is_cut(server, downloads, tmp_path):
    server.files["/file"] = BODY
    server.always["/file"] = "drip"
    start = time.monotonic()
    with pytest.raises(DownloadError, match="slower than"):
        fetch(server, downloads.model_copy(update={"attempts": 1}), tmp_path / "file")
    assert time.monotonic() - start < 3


def test_html_in_place_of_a_picture_is_refused(server, downloads, tmp_path):
    server.always["/file"] = "html"
    with pytest.raises(DownloadError, match="HTML page"):
        fetch(server, downloads, tmp_path / "file", picture=True)
    assert not (tmp_path / "file").exists()


def test_wrong_checksum_is_a_reason_and_leaves_nothing(server, downloads, tmp_path):
    server.files["/file"] = BODY
    expected = hashlib.md5(b"other").hexdigest()
    with pytest.raises(
        DownloadError, match=f"wrong checksum: MD5 {hashlib.md5(BODY).hexdigest()} in place of {expected}"
    ):
        fetch(server, downloads, tmp_path / "file", md5=expected)
    assert left_over(tmp_path) == set()


def test_checksum_that_the_storage_sends_is_verified(server, downloads, tmp_path):
    server.files["/file"] = BODY
    server.headers["/file"]["x-goog-hash"] = (
        "crc32c=AAAAAA==,md5=" + base64.b64encode(hashlib.md5(BODY).digest()).decode()
    )
    assert fetch(server, downloads, tmp_path / "good").read_bytes() == BODY
    server.headers["/file"]["x-goog-hash"] = "md5=" + base64.b64encode(hashlib.md5(b"other").digest()).decode()
    with pytest.raises(DownloadError, match="wrong checksum"):
        fetch(server, downloads, tmp_path / "bad")


def test_redirect_is_followed_and_a_circle_is_not(server, downloads, tmp_path):
    server.files["/new"] = BODY
    server.always["/file"] = "redirect /new"
    assert fetch(server, downloads, tmp_path / "file").read_bytes() == BODY
    server.always["/a"], server.always["/b"] = "redirect /b", "redirect /a"
    with pytest.raises(DownloadError, match="in a circle"):
        fetch(server, downloads, tmp_path / "loop", "/a")
    assert server.asked("/a") + server.asked("/b") < 15


def test_address_that_is_none(downloads, tmp_path):
    with Downloader(downloads) as downloader, pytest.raises(DownloadError, match="not an address"):
        downloader.fetch(Request("atlas/picture.jpg", tmp_path / "file"))


def test_dead_host_is_given_up_and_a_living_one_finishes(server, downloads, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}"
    requests = [Request(f"{dead}/{n}", tmp_path / "dead" / str(n)) for n in range(60)]
    for number in range(10):
        server.files[f"/{number}"] = BODY
        requests.append(Request(f"{server.root}/{number}", tmp_path / str(number)))
    start = time.monotonic()
    with Downloader(downloads) as downloader:
        failures = downloader.fetch_all(requests)
    assert time.monotonic() - start < 5
    assert set(failures) == {request.target for request in requests[:60]}
    assert any("no connection" in str(reason) for reason in failures.values())
    assert sum("keeps failing" in str(reason) for reason in failures.values()) > 40
    assert all(error.may_pass for error in failures.values())
    assert all((tmp_path / str(number)).read_bytes() == BODY for number in range(10))


def test_a_host_that_stumbles_often_but_recovers_is_not_given_up(server, downloads, tmp_path):
    for number in range(30):
        server.files[f"/{number}"] = BODY
        server.misdeeds[f"/{number}"] = ["503"]
    with Downloader(downloads.model_copy(update={"per_host": 1})) as downloader:
        assert downloader.fetch_all([Request(f"{server.root}/{n}", tmp_path / str(n)) for n in range(30)]) == {}


def test_a_few_refusals_do_not_kill_a_host(server, downloads, tmp_path):
    requests = [Request(f"{server.root}/{n}", tmp_path / str(n)) for n in range(40)]
    server.files["/39"] = BODY
    with Downloader(downloads) as downloader:
        failures = downloader.fetch_all(requests)
    assert len(failures) == 39
    assert {str(error) for error in failures.values()} == {"HTTP 404 Not Found"}
    assert not any(error.may_pass for error in failures.values())
    assert (tmp_path / "39").is_file()


def test_many_files_finish_over_two_runs(server, downloads, tmp_path):
    for number in range(20):
        server.files[f"/{number}.jpg"] = picture(number)
    server.always["/3.jpg"], server.misdeeds["/5.jpg"], server.always["/7.jpg"] = "404", ["500"], "html"
    requests = [Request(f"{server.root}/{n}.jpg", tmp_path / f"{n}.jpg", picture=True) for n in range(20)]
    with Downloader(downloads) as downloader:
        failures = downloader.fetch_all(requests)
    assert {target.name for target in failures} == {"3.jpg", "7.jpg"}
    asked = len(server.requests)
    server.always.clear()
    with Downloader(downloads) as downloader:
        assert downloader.fetch_all(requests) == {}
    assert len(server.requests) == asked + 2


@pytest.mark.parametrize(("concurrency", "per_host"), [(2, 4), (6, 2)])
def test_transfers_at_a_time_are_bounded(server, downloads, tmp_path, concurrency, per_host):
    for number in range(10):
        server.files[f"/{number}"] = BODY
        server.always[f"/{number}"] = "slow"
    manners = downloads.model_copy(update={"concurrency": concurrency, "per_host": per_host})
    with Downloader(manners) as downloader:
        downloader.fetch_all([Request(f"{server.root}/{n}", tmp_path / str(n)) for n in range(10)])
    assert server.most_running == 2


def test_rate_is_bounded(server, downloads, tmp_path):
    for number in range(12):
        server.files[f"/{number}"] = BODY
    manners = downloads.model_copy(update={"per_host": 3, "requests_per_second": 20.0})
    with Downloader(manners) as downloader:
        downloader.fetch_all([Request(f"{server.root}/{n}", tmp_path / str(n)) for n in range(12)])
    moments = [moment for _, _, moment in server.requests]
    assert moments[-1] - moments[0] > 0.9 * 11 / 20


def test_proxy_of_the_environment_is_used(server, downloads, tmp_path, monkeypatch):
    server.files["http://atlas.invalid/picture"] = BODY
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server.root)
    with Downloader(downloads) as downloader:
        target = downloader.fetch(Request("http://atlas.invalid/picture", tmp_path / "file"))
    assert target.read_bytes() == BODY


def test_no_progress_bar_without_a_terminal(server, downloads, tmp_path, capsys):
    server.files["/file"] = BODY
    with Downloader(downloads) as downloader:
        downloader.fetch_all([Request(f"{server.root}/file", tmp_path / "file")])
    assert capsys.readouterr() == ("", "")


def test_closing_stops_waiting_threads(server, downloads, tmp_path):
    server.always["/file"] = "429 4"
    downloader = Downloader(downloads)
    caught: list[Exception] = []

    def work() -> None:
        try:
            downloader.fetch(Request(f"{server.root}/file", tmp_path / "file"))
        except DownloadError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not server.requests:
        time.sleep(0.01)
    downloader.__exit__(None, None, None)
    thread.join(2)
    assert not thread.is_alive()
    assert "interrupted" in str(caught[0])


def test_a_checksum_that_fails_for_ever_is_told_after_one_try_more(server, downloads, tmp_path):
    server.files["/file"] = BODY
    with pytest.raises(DownloadError, match="twice: the server has another file"):
        fetch(server, downloads, tmp_path / "file", md5=hashlib.md5(b"other").hexdigest())
    assert server.asked("/file") == 2


@pytest.mark.parametrize("kind", ["gzip", "deflate"])
def test_packing_that_was_not_asked_for_is_undone(server, downloads, tmp_path, kind):
    server.files["/file"] = gzip.compress(BODY) if kind == "gzip" else zlib.compress(BODY)
    server.headers["/file"]["Content-Encoding"] = kind
    assert fetch(server, downloads, tmp_path / "file", md5=hashlib.md5(BODY).hexdigest()).read_bytes() == BODY


def test_packed_transfers_start_anew_after_a_break(server, downloads, tmp_path):
    server.files["/file"] = gzip.compress(BODY)
    server.headers["/file"]["Content-Encoding"] = "gzip"
    (tmp_path / ".file.part").write_bytes(BODY[:10])
    (tmp_path / ".file.validator").write_text("anything")
    assert fetch(server, downloads, tmp_path / "file").read_bytes() == BODY


def test_one_malformed_address_does_not_end_the_run(server, downloads, tmp_path):
    server.files["/file"] = BODY
    bad = ["http://[bad/x.jpg", "http://", "", "http://" + "a" * 300 + ".example/x", "nonsense", "http://exa mple/x"]
    wanted = [Request(url, tmp_path / f"bad{n}") for n, url in enumerate(bad)]
    wanted.append(Request(server.root + "/file", tmp_path / "good"))
    with Downloader(downloads) as downloader:
        failures = downloader.fetch_all(wanted)
    assert (tmp_path / "good").read_bytes() == BODY
    assert set(failures) == {tmp_path / f"bad{n}" for n in range(len(bad))}


@pytest.mark.parametrize("kind", ["archive", "table"])
def test_a_page_in_place_of_what_was_wanted_is_not_kept(server, downloads, tmp_path, kind):
    good = zipped({"a.jpg": b"one"}) if kind == "archive" else b"case_id,image\n1,a.jpg\n"
    for body in (b"<!DOCTYPE html><html>sign in</html>", b"  <HTML>", b"<?xml version='1.0'?><Error>gone</Error>"):
        server.files["/file"] = body
        with pytest.raises(DownloadError, match=r"page|document"):
            fetch(server, downloads, tmp_path / "file", **{kind: True})
        assert not (tmp_path / "file").exists()
    server.files["/file"] = good
    assert fetch(server, downloads, tmp_path / "file", **{kind: True}).read_bytes() == good


def test_an_archive_that_is_cut_off_is_not_kept(server, downloads, tmp_path):
    server.files["/file"] = zipped({"a.jpg": BODY})[:-30]
    with pytest.raises(DownloadError, match="cut off"):
        fetch(server, downloads, tmp_path / "file", archive=True)
    assert left_over(tmp_path) == set()


class Scripted:
    """A server that sends the same bytes to whoever connects, and hangs up."""

    def __init__(self, head: str, body: bytes):
        self.answer = head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(20)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def __enter__(self) -> str:
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}/file"

    def __exit__(self, *_: object) -> None:
        # Wakes the thread that waits for a connection.
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(self.answer)


PICTURE = picture(kind="PNG")
ENDLESS = "HTTP/1.0 200 OK"  # the end of the connection is the end of the body


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_a_picture_that_ends_early_without_a_length_is_not_kept(downloads, tmp_path, kind):
    whole = picture(kind=kind)
    once = downloads.model_copy(update={"attempts": 1})
    for number, body in enumerate((whole, whole[: len(whole) // 2])):
        request = Request("", tmp_path / f"{number}.jpg", picture=True)
        with Scripted(ENDLESS, body) as url, Downloader(once) as downloader:
            if body == whole:
                assert downloader.fetch(replace(request, url=url)).read_bytes() == whole
                continue
            with pytest.raises(DownloadError, match="the picture ends early") as error:
                downloader.fetch(replace(request, url=url))
            assert error.value.may_pass
    assert [path.name for path in tmp_path.iterdir()] == ["0.jpg"]


@pytest.mark.parametrize(
    ("head", "body", "reason"),
    [
        ("HTTP/1.1 300 Multiple Choices\nContent-Length: 7", b"choices", "HTTP 300 Multiple Choices"),
        ("HTTP/1.1 204 No Content", b"", "HTTP 204 No Content"),
        ("HTTP/1.1 302 Found\nContent-Length: 0", b"", "HTTP 302 Found"),
        (
            f"HTTP/1.1 206 Partial\nContent-Range: bytes 0-99/{len(PICTURE)}\nContent-Length: 100",
            PICTURE[:100],
            "a part",
        ),
        ("HTTP/1.1 200 OK\nContent-Length: 9", b"Not found", "plain text, not a picture"),
        (
            "HTTP/1.1 200 OK\nContent-Encoding: br\nContent-Length: 3",
            b"abc",
            "packed with br, which is not undone here",
        ),
        (ENDLESS + "\nContent-Encoding: gzip", gzip.compress(PICTURE)[:-20], "the packed transfer ended early"),
    ],
)
def test_answers_that_are_no_file(downloads, tmp_path, head, body, reason):
    once = downloads.model_copy(update={"attempts": 1})
    with Scripted(head, body) as url, Downloader(once) as downloader, pytest.raises(DownloadError, match=reason):
        downloader.fetch(Request(url, tmp_path / "x.png", picture=True))
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(PICTURE)),
        ("x-gzip", gzip.compress(PICTURE[:99]) + gzip.compress(PICTURE[99:])),
        ("deflate", zlib.compress(PICTURE)),
        ("gzip", PICTURE),
        ("utf-8", PICTURE),
    ],
)
def test_packing_is_undone_where_there_is_some(downloads, tmp_path, encoding, body):
    head = f"HTTP/1.1 200 OK\nContent-Encoding: {encoding}\nContent-Length: {len(body)}"
    with Scripted(head, body) as url, Downloader(downloads) as downloader:
        assert downloader.fetch(Request(url, tmp_path / "x.png", picture=True)).read_bytes() == PICTURE


@pytest.mark.parametrize(
    ("body", "reason"), [(b'{"error": "sign in"}', "a JSON document, not a table"), (b"", "empty")]
)
def test_an_answer_in_place_of_a_table_is_not_kept(downloads, tmp_path, body, reason):
    head = f"HTTP/1.1 200 OK\nContent-Length: {len(body)}"
    with Scripted(head, body) as url, Downloader(downloads) as downloader, pytest.raises(DownloadError, match=reason):
        downloader.fetch(Request(url, tmp_path / "labels.csv", table=True))
    assert list(tmp_path.iterdir()) == []
