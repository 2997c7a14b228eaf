"""A stand-in for a host of releases: its API, its pages, its files; and everything that can go wrong with them.

    with releases() as host:
        host.publish("sipeed/picoclaw", "v0.2.9", {"picoclaw_Linux_x86_64.tar.gz": tar({"picoclaw": b"..."})})
        host.api                                 # the base for releases_api:
        host.trouble["api"] = Trouble(status=403, headers={"X-RateLimit-Remaining": "0"})
        host.asked                               # every path that was asked for, in order
        host.tokens                              # the Authorization header of each

``publish(sums="goreleaser")`` adds the list of checksums by goreleaser's rule; ``"build"`` is sha256sums.txt with
folders in it; ``None`` is no list. ``digests=True`` lets the API tell digests. Kinds of trouble are by the kind of
request: ``api``, ``page``, ``sums``, ``file``.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import io
import json
import lzma
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


@dataclass(frozen=True)
class Trouble:
    """What goes wrong: a status instead of an answer, a place to go instead, an end after so many bytes, a wait.

    ``hang`` is a wait, in seconds, after the bytes of ``cut``.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    to: str | None = None
    cut: int | None = None
    body: bytes | None = None
    delay: float = 0.0
    hang: float = 0.0


@dataclass
class Published:
    """One release: the files by name, and which of them the API gives a digest."""

    tag: str
    files: dict[str, bytes]
    digests: bool


@dataclass
class Releases:
    """The running stand-in. ``repositories`` holds releases, the latest one last."""

    url: str
    repositories: dict[str, list[Published]] = field(default_factory=dict)
    trouble: dict[str, Trouble] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    @property
    def api(self) -> str:
        """The base of its API."""
        return f"{self.url}/api"

    def publish(
        self,
        repository: str,
        tag: str,
        files: Mapping[str, bytes],
        sums: str | None = "goreleaser",
        digests: bool = False,
    ) -> None:
        """A new latest release; one of the same tag is replaced."""
        there = dict(files)
        name = repository.rpartition("/")[2]
        if sums == "goreleaser":
            there[f"{name}_{tag.removeprefix('v')}_checksums.txt"] = _list(files, "{sum}  {name}\n")
        elif sums == "build":
            there["sha256sums.txt"] = _list(files, "{sum}  build/{name}\n")
        others = [each for each in self.repositories.get(repository, []) if each.tag != tag]
        self.repositories[repository] = [*others, Published(tag, there, digests)]

    def downloads(self) -> list[str]:
        """The names of the files that were downloaded, lists of checksums not counted."""
        names = [path.rpartition("/")[2] for path in self.asked if "/releases/download/" in path]
        return [name for name in names if kind_of(name) == "file"]

    def find(self, repository: str, tag: str) -> Published | None:
        """A release by its tag, or the latest."""
        there = self.repositories.get(repository, [])
        if tag == "latest":
            return there[-1] if there else None
        return next((each for each in there if each.tag == tag), None)


@contextlib.contextmanager
def releases() -> Iterator[Releases]:
    """Serve on a free port of 127.0.0.1 until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    running = Releases(f"http://127.0.0.1:{server.server_port}")
    server.releases = running  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def tar(files: Mapping[str, bytes], pack: str = "gz", links: Mapping[str, str] | None = None) -> bytes:
    """An archive of files by name, and of links by name and target."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, target in (links or {}).items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
    return _PACKERS[pack](buffer.getvalue())


_PACKERS: Mapping[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    "gz": lambda data: gzip.compress(data, mtime=0),
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip archive of files by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def kind_of(name: str) -> str:
    """Whether a file is a list of checksums, or one to be checked."""
    return "sums" if "sha256" in name.lower() or "checksums" in name else "file"


def _list(files: Mapping[str, bytes], line: str) -> bytes:
    lines = (line.format(sum=hashlib.sha256(data).hexdigest(), name=name) for name, data in files.items())
    return "".join(lines).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _host(self) -> Releases:
        found: Releases = self.server.releases  # type: ignore[attr-defined]
        return found

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: what was asked is kept."""

    def do_GET(self) -> None:
        """Everything there is."""
        path = unquote(self.path)
        self._host.asked.append(path)
        self._host.tokens.append(self.headers.get("Authorization", ""))
        parts = path.strip("/").split("/")
        if parts[0] == "api":
            self._answer("api", self._described("/".join(parts[2:4]), parts[-1]))
        elif parts[2:] == ["releases", "latest"]:
            found = self._host.find("/".join(parts[:2]), "latest")
            to = f"{self._host.url}/{parts[0]}/{parts[1]}/releases/tag/{found.tag}" if found else None
            self._answer("page", None, Trouble(to=to) if to else Trouble(status=404))
        elif parts[2:4] == ["releases", "download"]:
            found = self._host.find("/".join(parts[:2]), parts[4])
            self._answer(kind_of(parts[-1]), found.files.get(parts[-1]) if found else None)
        else:
            self._answer("page", None)

    def _described(self, repository: str, tag: str) -> bytes | None:
        found = self._host.find(repository, tag)
        if found is None:
            return None
        base = f"{self._host.url}/{repository}/releases/download/{found.tag}"
        assets = [
            {
                "name": name,
                "browser_download_url": f"{base}/{name}",
                "size": len(data),
                "digest": f"sha256:{hashlib.sha256(data).hexdigest()}" if found.digests else None,
            }
            for name, data in found.files.items()
        ]
        return json.dumps({"tag_name": found.tag, "prerelease": False, "assets": assets}).encode()

    def _answer(self, kind: str, data: bytes | None, usual: Trouble = Trouble()) -> None:
        trouble = self._host.trouble.get(kind, usual)
        if trouble.delay:
            threading.Event().wait(trouble.delay)
        data = trouble.body if trouble.body is not None else data
        status = trouble.status or (302 if trouble.to else 200 if data is not None else 404)
        body = data if status == 200 and data is not None else b"sorry\n"
        self.send_response(status)
        for name, value in trouble.headers.items():
            self.send_header(name, value)
        if trouble.to:
            self.send_header("Location", trouble.to)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body[: trouble.cut])
        if trouble.hang:
            threading.Event().wait(trouble.hang)
        if trouble.cut is not None:
            self.close_connection = True
