"""The web, as far as releases need it: whole documents, files with their SHA-256, and where a redirect leads.

Everything goes by https; plain http only on this machine, or where a known checksum makes it harmless. Every trouble
is one sentence that names the URL.
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from http.client import HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from fleet_tasks.errors import ReleaseUnavailable
from fleet_tasks.releases import files

SILENCE = 15.0
"""Seconds a server may be silent."""
BIGGEST = 512 << 20
"""Bytes a download may have."""
HOPS = 5
"""Redirects that are followed."""
PIECE = 1 << 18
AGENT = "fleet-tasks"

_MOVED = (301, 302, 303, 307, 308)


LATER = "Try again later, or name a release: source: github:owner/repo@tag"


class Unreachable(ReleaseUnavailable):
    """No answer, or one that makes no sense."""

    guidance = "Try again when it answers, or name a local file as the agent's source: in fleet.yaml"


class Refused(Unreachable):
    """The server does not take the token."""

    guidance = "Set one that is good, or none: unset GITHUB_TOKEN GH_TOKEN"


class NotThere(ReleaseUnavailable):
    """The server knows no such thing."""

    guidance = "Check source: of the agent in fleet.yaml."


class RateLimited(Unreachable):
    """The server has answered too many questions from here."""

    guidance = "Set GITHUB_TOKEN to be allowed more, or name a release: source: github:owner/repo@tag"


def text(url: str, limit: int, headers: Mapping[str, str] | None = None) -> str:
    """A short document, redirects followed; raises NotThere, RateLimited or Unreachable."""
    with _opened(url, headers or {}, plain=False) as answer:
        data = answer.read(limit + 1)
        if len(data) > limit:
            raise Unreachable(f"{url} answered with more than {limit} bytes.")
        _whole(url, answer, len(data), None)
        return data.decode("utf-8", "replace")


def download(url: str, path: Path, *, size: int | None = None, plain: bool = False) -> str:
    """Writes a file and returns its SHA-256; raises Unreachable when it is cut short, or as ``text`` does.

    ``size`` is how many bytes it is said to have; ``plain`` allows http, since the checksum is known from elsewhere.
    """
    digest, got = hashlib.sha256(), 0
    headers = {"Accept": "application/octet-stream"}
    with _opened(url, headers, plain=plain) as answer, files.opened(path) as file:
        while piece := answer.read(PIECE):
            got += len(piece)
            if got > BIGGEST:
                raise ReleaseUnavailable(f"{url} is larger than {BIGGEST >> 20} MB.")
            digest.update(piece)
            files.write(file, piece)
        _whole(url, answer, got, size)
    return digest.hexdigest()


def redirect(url: str) -> str | None:
    """Where a URL leads, without going there; None when it leads nowhere else."""
    try:
        with _answered(url, {}, plain=False):
            return None
    except _Moved as moved:
        return moved.to


def last_part(url: str) -> str:
    """The file name at the end of a URL."""
    return unquote(urlsplit(url).path.rpartition("/")[2]) or "download"


def quoted(*parts: str) -> str:
    """Parts of a path, each as it stands in a URL."""
    return "/".join(quote(part, safe="/") for part in parts)


def is_here(url: str) -> bool:
    """Whether a URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# -- one request ----------------------------------------------------------------------------


class _Moved(Exception):
    def __init__(self, to: str) -> None:
        self.to = to


class _Standing(HTTPRedirectHandler):
    """Follows nothing: every hop is ours to judge, and no header of ours goes on to another host by itself."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


def _opener() -> OpenerDirector:
    return build_opener(_Standing())


@contextmanager
def _opened(url: str, headers: Mapping[str, str], *, plain: bool) -> Iterator[HTTPResponse]:
    """The answer at the end of all redirects; ``Authorization`` goes to the first host alone."""
    start = urlsplit(url)
    for _ in range(HOPS):
        try:
            with _answered(url, headers, plain=plain) as answer:
                yield answer
                return
        except _Moved as moved:
            there = urlsplit(moved.to)
            if (there.scheme, there.netloc) != (start.scheme, start.netloc):
                headers = {name: value for name, value in headers.items() if name != "Authorization"}
            if not _permitted(moved.to):
                raise Unreachable(f"{url} leads to {moved.to}, which is not https: it is not followed.") from None
            url = moved.to
    raise Unreachable(f"{url} leads from one place to the next without end.")


@contextmanager
def _answered(url: str, headers: Mapping[str, str], *, plain: bool) -> Iterator[HTTPResponse]:
    """One answer; raises _Moved for a redirect."""
    if not _permitted(url) and not (plain and url.startswith("http:")):
        raise ReleaseUnavailable(f"{url} is not https, so nothing is fetched from there.")
    try:
        request = Request(url, headers={"User-Agent": AGENT, **headers})
        with _opener().open(request, timeout=SILENCE) as answer:
            yield answer
    except HTTPError as error:
        with error:
            raise _refusal(url, error, known="Authorization" in headers) from error
    except (URLError, OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable(f"{url} cannot be reached: {_why(error)}.") from error


def _permitted(url: str) -> bool:
    scheme = urlsplit(url).scheme
    return scheme == "https" or (scheme == "http" and is_here(url))


def _refusal(url: str, error: HTTPError, *, known: bool) -> Exception:
    """What an answer means; ``known`` is whether a token went with the question."""
    status, headers = error.code, error.headers
    if status in _MOVED and (to := headers.get("Location")):
        return _Moved(urljoin(url, to))
    if status in (404, 410):
        return NotThere(f"There is nothing at {url}.")
    if status == 429 or (status == 403 and (headers.get("X-RateLimit-Remaining") == "0" or "Retry-After" in headers)):
        limited = RateLimited(f"{urlsplit(url).netloc} answers no more questions from here{_until(headers)}.")
        limited.guidance = LATER if known else limited.guidance
        return limited
    if status in (401, 403) and known:
        return Refused(f"{url} refuses the GITHUB_TOKEN (or GH_TOKEN) that is set here ({status}).")
    if status in (401, 403):
        return Unreachable(f"{url} is refused ({status}); a GITHUB_TOKEN that may read it would help.")
    return Unreachable(f"{url} answered with {status}.")


def _until(headers: Message) -> str:
    """How long a limit lasts, when the server tells."""
    after, reset = headers.get("Retry-After", ""), headers.get("X-RateLimit-Reset", "")
    seconds = int(after) if after.isdigit() else int(reset) - int(time.time()) if reset.isdigit() else 0
    minutes = max(1, round(seconds / 60))
    return f" for {minutes} minute{'' if minutes == 1 else 's'}" if seconds > 0 else " for now"


def _why(error: BaseException) -> str:
    reason = error.reason if isinstance(error, URLError) and isinstance(error.reason, BaseException) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({reason.verify_message})"
    if isinstance(reason, socket.gaierror):
        return "its name does not resolve"
    if isinstance(reason, TimeoutError):
        return f"it was silent for {SILENCE:g} s"
    return (getattr(reason, "strerror", None) or str(reason) or type(reason).__name__).rstrip(".")


def _whole(url: str, answer: HTTPResponse, got: int, size: int | None) -> None:
    """Raises Unreachable when fewer or more bytes came than were announced."""
    announced = answer.headers.get("Content-Length", "")
    wanted = size if size is not None else int(announced) if announced.isdigit() else got
    if got != wanted:
        raise Unreachable(f"{url} was cut short: {got} of {wanted} bytes came.")
