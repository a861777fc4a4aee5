"""Downloading as a good citizen and a stubborn one.

A file appears under its name only when it is whole and verified, so a file that is there is never fetched again.
A broken transfer is resumed where the server can prove that it is still the same file. Failures that may pass
(5xx, 429, 408, time-outs, cut connections) are tried again with growing, jittered waits; Retry-After holds for
the whole host; a host that keeps failing is given up for the run. Proxies come from the environment.
"""

from __future__ import annotations

import base64
import binascii
import email.utils
import hashlib
import random
import re
import shutil
import tarfile
import threading
import time
import zipfile
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3
from tqdm import tqdm

from sluguq.config.sources import Downloads
from sluguq.datasets.base import AcquisitionError
from sluguq.datasets.hosts import Host
from sluguq.datasets.transfers import CutTransfer, Unpacker, is_cut_off, packing_of
from sluguq.images.decoding import not_a_picture
from sluguq.images.signatures import kind_of_file
from sluguq.machine.disk import full_disk_told

USER_AGENT = "sluguq/0.1 (research on fairness of skin image models; python-requests)"
"""What every request says it is: no browser is feigned."""

LARGEST_PICTURE = 100 * 2**20
"""A picture that grows beyond this is no photograph."""

MAX_REDIRECTS = 8
LONGEST_BACK_OFF = 60.0

_BLOCK = 64 * 2**10
_PAGES = frozenset({"an HTML page", "an XML document", "a PHP script"})
_SPAN = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})


class DownloadError(AcquisitionError):
    """A file could not be had; the message is the reason, for missing.csv.

    :ivar may_pass: whether the server may give it at another time.
    """

    def __init__(self, reason: str, *, may_pass: bool = False):
        super().__init__(reason)
        self.may_pass = may_pass


class NoRoom(AcquisitionError):
    """The disk has no room for a file. This is no loss to be listed: all that is still to come would be one."""


class _WrongChecksum(Exception):
    """What came is not what was promised."""


class _TryAgain(Exception):
    """An attempt failed in a way that may pass."""

    def __init__(self, reason: str, *, wait: float | None = None, strike: bool = True):
        super().__init__(reason)
        self.wait = wait
        self.strike = strike


@dataclass(frozen=True)
class Request:
    """One file to fetch.

    :ivar url: address.
    :ivar target: where the file is to lie.
    :ivar md5: hexadecimal MD5 that it must have, if known.
    :ivar sha256: hexadecimal SHA-256 that it must have, if known.
    :ivar picture: refuse what is surely no picture (dead links that answer 200 with a page).
    :ivar archive: refuse what is neither a zip nor a tar file.
    :ivar table: refuse pages and documents where a table was expected.
    """

    url: str
    target: Path
    md5: str | None = None
    sha256: str | None = None
    picture: bool = False
    archive: bool = False
    table: bool = False


class Downloader:
    """Fetches files with the manners of `Downloads`; use it as a context manager."""

    def __init__(self, options: Downloads | None = None):
        self.options = options or Downloads.model_validate({})
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._hosts: dict[str, Host] = {}
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(self.options.concurrency)
        self._stop = threading.Event()

    def __enter__(self) -> Downloader:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for session in self._sessions:
            session.close()

    def fetch(self, request: Request) -> Path:
        """Fetch one file unless it is there already.

        :raises DownloadError: with the reason, after the last attempt.
        """
        if request.target.is_file():
            return request.target
        name = _host_of(request.url)
        if not name:
            raise DownloadError("not an address that can be fetched")
        host = self._host(name)
        request.target.parent.mkdir(parents=True, exist_ok=True)
        reason, wrong = "", 0
        for attempt in range(self.options.attempts):
            if host.dead:
                raise DownloadError(f"the host {name} keeps failing{reason and ': ' + reason}", may_pass=True)
            self._wait_until(host.reserve())
            try:
                with self._slots:
                    self._attempt(request, host)
                return request.target
            except _WrongChecksum as failure:
                # Once more, as a transfer may be spoilt; a file that is another one stays so.
                reason, wrong = str(failure), wrong + 1
                if wrong > 1:
                    raise DownloadError(f"{reason}, twice: the server has another file") from failure
            except _TryAgain as failure:
                reason = str(failure)
                if failure.strike:
                    host.struck()
                if failure.wait is not None:
                    if failure.wait > self.options.longest_wait:
                        words = f"{reason}; the host asks to wait {failure.wait:.0f} s"
                        raise DownloadError(words, may_pass=True) from failure
                    host.hold(failure.wait)
                elif attempt + 1 < self.options.attempts:
                    wait = min(LONGEST_BACK_OFF, self.options.first_wait * 2**attempt)
                    self._wait_until(time.monotonic() + wait * random.uniform(0.5, 1.0))
        raise DownloadError(f"{reason} ({self.options.attempts} attempts)", may_pass=True)

    def fetch_all(self, wanted: Sequence[Request], *, title: str = "download") -> dict[Path, DownloadError]:
        """Fetch many files, each host by a few threads of its own, with one progress bar.

        :returns: the reason for each target that could not be had; empty where all came.
        """
        by_host: dict[str, list[Request]] = {}
        for request in wanted:
            if not request.target.is_file():
                by_host.setdefault(_host_of(request.url), []).append(request)
        failures: dict[Path, DownloadError] = {}
        if not by_host:
            return failures
        total = len(wanted)
        waiting = sum(map(len, by_host.values()))
        with tqdm(total=total, initial=total - waiting, desc=title, unit="file", disable=None) as bar:

            def work(queue: list[Request]) -> None:
                while not self._stop.is_set():
                    with self._lock:
                        if not queue:
                            return
                        request = queue.pop()
                    try:
                        self.fetch(request)
                    except DownloadError as error:
                        failures[request.target] = error
                    bar.update()

            queues = [list(reversed(queue)) for queue in by_host.values()]
            threads = len(queues) * self.options.per_host
            with ThreadPoolExecutor(threads, thread_name_prefix="download") as pool:
                # More threads than places at a time: those of a slow host must not keep a fast one waiting.
                jobs = [pool.submit(work, queue) for queue in queues for _ in range(self.options.per_host)]
                try:
                    for job in jobs:
                        job.result()
                except BaseException:
                    self._stop.set()
                    raise
        return failures

    def _attempt(self, request: Request, host: Host) -> None:
        part = request.target.with_name(f".{request.target.name}.part")
        validator_file = request.target.with_name(f".{request.target.name}.validator")
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        start = 0
        if part.is_file() and validator_file.is_file() and part.stat().st_size:
            start = part.stat().st_size
            headers |= {"Range": f"bytes={start}-", "If-Range": validator_file.read_text(encoding="utf-8")}
        try:
            with self._session().get(
                request.url, headers=headers, stream=True, timeout=(self.options.timeout, self.options.timeout)
            ) as response:
                self._check_status(response, part, host)
                start = self._resume_point(response, start)
                packing = _packing(response)
                if packing:
                    # What is undone on the way cannot be taken up again by its length.
                    validator_file.unlink(missing_ok=True)
                    if start:
                        part.unlink()
                        raise _TryAgain("a part of a packed transfer", strike=False)
                else:
                    _remember_validator(response, validator_file)
                self._receive(response, part, start, request, packing)
                hashes = _published_hashes(response)
                whole = not packing and response.headers.get("Content-Length", "").isdigit()
        except DownloadError as error:
            if not error.may_pass:
                # What is another thing must not be resumed.
                part.unlink(missing_ok=True)
                validator_file.unlink(missing_ok=True)
            raise
        except requests.TooManyRedirects:
            raise DownloadError(f"more than {MAX_REDIRECTS} redirects, probably in a circle") from None
        except (
            requests.exceptions.InvalidURL,
            requests.exceptions.InvalidSchema,
            requests.exceptions.MissingSchema,
            urllib3.exceptions.LocationValueError,
            UnicodeError,
        ):
            raise DownloadError("not an address that can be fetched") from None
        except requests.exceptions.SSLError as error:
            raise _TryAgain(f"no secure connection ({_root_cause(error)})") from error
        except requests.Timeout as error:
            raise _TryAgain(f"no answer within {self.options.timeout:g} s") from error
        except requests.ConnectionError as error:
            raise _TryAgain(f"no connection ({_root_cause(error)})") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, zlib.error, CutTransfer) as error:
            raise _TryAgain(f"the transfer broke off ({_root_cause(error)})", strike=False) from error
        _verify(part, request, hashes)
        with part.open("rb") as file:
            what = not_a_picture(file.read(1024)) if request.picture else None
        if what:
            part.unlink()
            raise DownloadError(what)
        if request.picture and not whole and is_cut_off(part.read_bytes()):
            part.unlink()
            validator_file.unlink(missing_ok=True)
            raise _TryAgain("the picture ends early, and the server does not say how long it is", strike=False)
        part.replace(request.target)
        validator_file.unlink(missing_ok=True)

    def _check_status(self, response: requests.Response, part: Path, host: Host) -> None:
        status = f"HTTP {response.status_code} {response.reason or ''}".rstrip()
        if response.status_code in _PASSING:
            raise _TryAgain(status, wait=_retry_after(response), strike=response.status_code >= 500)
        host.answered()
        if response.status_code == 416:
            part.unlink(missing_ok=True)
            raise _TryAgain(status, strike=False)
        # 203 comes from proxies; other answers below 400 are no file.
        if response.status_code not in (200, 203, 206):
            raise DownloadError(status)

    def _resume_point(self, response: requests.Response, start: int) -> int:
        """Where the body begins: at `start` only if the server says so."""
        if response.status_code == 206:
            span = response.headers.get("Content-Range", "")
            match = _SPAN.fullmatch(span.strip())
            if match and start and int(match[1]) == start and match[3] in ("*", str(int(match[2]) + 1)):
                return start
            raise _TryAgain(f"a part that was not asked for ({span!r})", strike=False)
        return 0

    def _receive(self, response: requests.Response, part: Path, start: int, request: Request, packing: str) -> None:
        length = response.headers.get("Content-Length", "")
        coming = int(length) if length.isdigit() else None
        free = shutil.disk_usage(part.parent).free
        if request.picture and coming is not None and coming > LARGEST_PICTURE:
            raise DownloadError(f"more than {LARGEST_PICTURE} bytes, too large for a photograph")
        if coming is not None and coming > free:
            raise NoRoom(
                f"{request.url}: {coming / 1e6:,.0f} MB to come, but only {free / 1e6:,.0f} MB are free at "
                f"{part.parent}: make room, and run again to go on where it stopped"
            )
        received = 0
        unpacker = Unpacker(packing) if packing else None
        window_start, window_bytes = time.monotonic(), 0
        with (
            part.open("r+b" if start else "wb") as out,
            tqdm(
                total=None if coming is None else start + coming,
                initial=start,
                desc=request.target.name,
                unit="B",
                unit_scale=True,
                leave=False,
                delay=5,
                disable=None,
            ) as bar,
        ):
            out.seek(start)
            out.truncate()
            # read1 gives what has come, where a plain read would wait for a whole block on a dripping line. A body
            # shorter than its Content-Length is an error of urllib3.
            while sent := response.raw.read1(_BLOCK, decode_content=False):
                block = unpacker.unpack(sent) if unpacker else sent
                if not block:
                    continue
                if start + received == 0 and (what := _unwanted(request, block)):
                    raise DownloadError(what)
                with full_disk_told(part.parent):
                    out.write(block)
                received += len(block)
                if received > free:
                    raise NoRoom(
                        f"the disk at {part.parent} is full: make room, and run again to go on where it stopped"
                    )
                window_bytes += len(block)
                bar.update(len(block))
                if request.picture and start + received > LARGEST_PICTURE:
                    raise DownloadError(f"more than {LARGEST_PICTURE} bytes, too large for a photograph")
                if self._stop.is_set():
                    raise DownloadError("interrupted", may_pass=True)
                if (passed := time.monotonic() - window_start) > self.options.timeout:
                    if window_bytes < self.options.slowest * passed:
                        raise _TryAgain(f"slower than {self.options.slowest} bytes a second", strike=False)
                    window_start, window_bytes = time.monotonic(), 0
        if unpacker:
            unpacker.finish()
        if start + received == 0 and (request.picture or request.table or request.archive):
            raise DownloadError("the file is empty")

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.max_redirects = MAX_REDIRECTS
            self._local.session = session
            with self._lock:
                self._sessions.append(session)
        return session

    def _host(self, name: str) -> Host:
        with self._lock:
            new = Host(1 / self.options.requests_per_second, max(10, 2 * self.options.attempts))
            return self._hosts.setdefault(name, new)

    def _wait_until(self, moment: float) -> None:
        while (seconds := moment - time.monotonic()) > 0:
            if self._stop.wait(seconds):
                raise DownloadError("interrupted", may_pass=True)


def _host_of(url: str) -> str:
    """The host of an address; empty where it is none."""
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


def _packing(response: requests.Response) -> str:
    try:
        return packing_of(response.headers)
    except ValueError as error:
        raise DownloadError(str(error)) from None


def _unwanted(request: Request, start: bytes) -> str | None:
    """What a body is, where its first bytes, however few, say that it is surely not what was asked for."""
    kind = kind_of_file(start) if request.picture or request.archive or request.table else None
    if kind and request.picture:
        return f"{kind}, not a picture"
    if kind in (_PAGES if request.archive else _PAGES | {"a PDF document", "a JSON document"}):
        return f"{kind}, not {'an archive' if request.archive else 'a table'}"
    return None


def _remember_validator(response: requests.Response, file: Path) -> None:
    """Keep what proves later that a file on the server is still the same one: a strong ETag, or its date."""
    tag = response.headers.get("ETag", "")
    proof = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")
    if proof:
        file.write_text(proof, encoding="utf-8")
    else:
        file.unlink(missing_ok=True)


def _published_hashes(response: requests.Response) -> dict[str, str]:
    """The MD5 that Google Cloud Storage sends with every object, in hexadecimal."""
    for item in response.headers.get("x-goog-hash", "").split(","):
        name, _, value = item.strip().partition("=")
        if name == "md5":
            try:
                return {"md5": base64.b64decode(value).hex()}
            except binascii.Error:
                return {}
    return {}


def _verify(part: Path, request: Request, published: dict[str, str]) -> None:
    hashes = {"md5": request.md5 or published.get("md5"), "sha256": request.sha256}
    for name, value in hashes.items():
        if not value:
            continue
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, name).hexdigest()
        if digest != value.lower():
            # What is wrong must not be resumed.
            part.unlink()
            part.with_suffix(".validator").unlink(missing_ok=True)
            raise _WrongChecksum(f"wrong checksum: {name.upper()} {digest} in place of {value.lower()}")
    if request.archive and not (zipfile.is_zipfile(part) or tarfile.is_tarfile(part)):
        part.unlink()
        part.with_suffix(".validator").unlink(missing_ok=True)
        raise _TryAgain("neither a zip nor a tar file, or one that is cut off", strike=False)


def _retry_after(response: requests.Response) -> float | None:
    """Seconds that the host asks to wait, whether it says seconds or a date."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    if value:
        moment = email.utils.parsedate_tz(value)
        if moment:
            return max(0.0, email.utils.mktime_tz(moment) - time.time())
    return None


def _root_cause(error: BaseException) -> str:
    """The innermost reason, in few words."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        inner = getattr(current, "reason", None)
        nested = next((arg for arg in current.args if isinstance(arg, BaseException)), None)
        current = inner if isinstance(inner, BaseException) else nested or current.__cause__
    last = chain[-1]
    return str(getattr(last, "strerror", None) or last).split("(Caused")[0][:160] or type(last).__name__
