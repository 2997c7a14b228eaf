from __future__ import annotations

import gzip
import hashlib
import io
import logging
import os
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_tasks.errors import ChecksumMismatch, DeviceError, ReleaseUnavailable, RequestError, WrongPlatform
from fleet_tasks.releases import Fetched, Wish, fetch, files, github, parse, sums, web
from tests.bench.fleet import ROOT
from tests.bench.releases import Releases, Trouble, releases, tar, zipped

REPOSITORY = "sipeed/picoclaw"
NAME = "picoclaw_Linux_x86_64.tar.gz"
PROGRAM = b"#!/bin/sh\necho one\n"
OTHER = b"#!/bin/sh\necho two\n"


@pytest.fixture
def host() -> Iterator[Releases]:
    with releases() as running:
        running.publish(REPOSITORY, "v0.2.9", {NAME: tar({"LICENSE": b"MIT", "picoclaw": PROGRAM})})
        yield running


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GITHUB_TOKEN", "GH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FLEET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def get(host: Releases, tag: str = "", names: tuple[str, ...] = (NAME,), **more: str) -> Fetched:
    return fetch(Wish(f"github:{REPOSITORY}{tag}", names, member="picoclaw", api=host.api, **more))


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def warnings(caplog: pytest.LogCaptureFixture) -> str:
    return " ".join(record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)


# -- the usual way --------------------------------------------------------------------------


def test_the_latest_release_is_found_checked_unpacked_and_kept(host: Releases, cache: Path) -> None:
    got = get(host)
    assert (got.path.read_bytes(), got.version, got.sha256) == (PROGRAM, "v0.2.9", digest(PROGRAM))
    assert got.path.is_relative_to(cache) and got.path.stat().st_mode & 0o777 == 0o755
    assert get(host) == got
    assert host.downloads() == [NAME]


def test_without_the_variable_it_is_kept_in_the_users_folder_for_such_things(host: Releases, own_home: Path) -> None:
    got = fetch(Wish(f"github:{REPOSITORY}", (NAME,), member="picoclaw", api=host.api), environ={})
    assert got.path.is_relative_to(own_home / ".cache" / "fleet-tasks")


def test_a_pinned_release_that_is_kept_needs_no_network(host: Releases) -> None:
    got = get(host, "@v0.2.9")
    asked = len(host.asked)
    assert get(host, "@v0.2.9") == got
    assert len(host.asked) == asked


def test_a_new_latest_release_is_taken_and_a_pin_stays(host: Releases) -> None:
    get(host)
    host.publish(REPOSITORY, "v0.2.10", {NAME: tar({"picoclaw": OTHER})})
    assert (get(host).version, get(host).path.read_bytes()) == ("v0.2.10", OTHER)
    assert get(host, "@v0.2.9").path.read_bytes() == PROGRAM


def test_a_tag_that_moves_is_looked_at_each_time(host: Releases) -> None:
    host.publish(REPOSITORY, "nightly", {NAME: tar({"picoclaw": PROGRAM})}, sums=None, digests=True)
    assert get(host, "@nightly").path.read_bytes() == PROGRAM
    host.publish(REPOSITORY, "nightly", {NAME: tar({"picoclaw": OTHER})}, sums=None, digests=True)
    assert get(host, "@nightly").path.read_bytes() == OTHER


def test_an_older_latest_release_is_taken_but_not_in_silence(host: Releases, caplog: pytest.LogCaptureFixture) -> None:
    get(host)
    host.publish(REPOSITORY, "v0.2.8", {NAME: tar({"picoclaw": OTHER})})
    assert get(host).version == "v0.2.8"
    assert "is now v0.2.8, older than v0.2.9" in warnings(caplog)


def test_raw_programs_are_found_by_pattern_with_folders_in_the_list(host: Releases) -> None:
    host.publish(
        "EricGrill/picoclaw", "v1.0.0", {"picoclaw-linux-arm64": PROGRAM, "picoclaw-linux-amd64": b"x"}, "build"
    )
    got = fetch(Wish("github:EricGrill/picoclaw", ("nothing", "*linux-arm64"), member="picoclaw", api=host.api))
    assert got.path.read_bytes() == PROGRAM


def test_zips_are_unpacked_as_well(host: Releases) -> None:
    host.publish(REPOSITORY, "v1.0.0", {"p.zip": zipped({"picoclaw.exe": PROGRAM})})
    got = fetch(Wish(f"github:{REPOSITORY}", ("p.zip",), member="picoclaw.exe", api=host.api))
    assert got.path.read_bytes() == PROGRAM


def test_an_archive_without_the_program_is_named_as_it_is_published(host: Releases) -> None:
    host.publish(REPOSITORY, "v0.2.9", {NAME: tar({"other": b""})})
    with pytest.raises(ReleaseUnavailable, match=f"^There is no file picoclaw in the archive {NAME}.$"):
        get(host)


def test_names_that_are_not_there_or_mean_several_are_named(host: Releases) -> None:
    host.publish(REPOSITORY, "v1.0.0", {"a-linux": b"1", "b-linux": b"2"})
    with pytest.raises(WrongPlatform, match=r"v1.0.0 has no c or d; it has a-linux, b-linux"):
        get(host, names=("c", "d"))
    with pytest.raises(WrongPlatform, match=r"several files like \*-linux: a-linux, b-linux"):
        get(host, names=("*-linux",))


def test_the_token_goes_to_the_api_alone(host: Releases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GH_TOKEN", "token-canary")
    get(host)
    by_path = dict(zip(host.asked, host.tokens, strict=True))
    assert by_path.pop(f"/api/repos/{REPOSITORY}/releases/latest") == "Bearer token-canary"
    assert set(by_path.values()) == {""} and len(by_path) == 2


def test_the_token_does_not_follow_a_redirect_to_another_host(host: Releases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "token-canary")
    with releases() as other:
        other.publish(REPOSITORY, "v0.2.9", {NAME: tar({"picoclaw": OTHER})})
        host.trouble["api"] = Trouble(to=f"{other.api}/repos/{REPOSITORY}/releases/latest")
        assert get(host).path.read_bytes() == OTHER
        assert set(other.tokens) == {""}


# -- checksums ------------------------------------------------------------------------------


def test_the_digest_of_the_api_is_enough(host: Releases) -> None:
    host.publish(REPOSITORY, "v1.0.0", {NAME: tar({"picoclaw": PROGRAM})}, sums=None, digests=True)
    assert get(host).version == "v1.0.0"


def test_without_any_checksum_nothing_is_used_unless_that_was_written_down(host: Releases) -> None:
    host.publish(REPOSITORY, "v1.0.0", {NAME: tar({"picoclaw": PROGRAM})}, sums=None)
    with pytest.raises(ReleaseUnavailable, match="Nothing says which SHA-256") as refused:
        get(host)
    assert "checksum: none" in refused.value.guidance
    assert get(host, checksum="none").version == "v1.0.0"
    with pytest.raises(ReleaseUnavailable, match="Nothing says which SHA-256"):
        get(host, "@v1.0.0")


def test_a_wrong_sum_is_refused_and_nothing_is_kept(host: Releases, cache: Path) -> None:
    host.trouble["sums"] = Trouble(body=f"{'0' * 64}  {NAME}\n".encode())
    with pytest.raises(ChecksumMismatch, match="it is not used"):
        get(host)
    assert [path for path in cache.rglob("*") if path.is_file()] == []
    del host.trouble["sums"]
    assert get(host).path.read_bytes() == PROGRAM


def test_a_list_and_a_digest_must_both_be_right(host: Releases) -> None:
    host.publish(REPOSITORY, "v1.0.0", {NAME: tar({"picoclaw": PROGRAM})}, digests=True)
    host.trouble["sums"] = Trouble(body=f"{'0' * 64}  {NAME}\n".encode())
    with pytest.raises(ChecksumMismatch):
        get(host)


def test_a_checksum_that_was_written_down_wins(host: Releases) -> None:
    data = tar({"picoclaw": PROGRAM})
    host.publish(REPOSITORY, "v1.0.0", {NAME: data})
    host.trouble["sums"] = Trouble(body=f"{'0' * 64}  {NAME}\n".encode())
    assert get(host, checksum=digest(data)).path.read_bytes() == PROGRAM
    with pytest.raises(ChecksumMismatch):
        get(host, checksum="1" * 64)


def test_a_copy_that_was_damaged_is_fetched_again(host: Releases) -> None:
    get(host).path.write_bytes(b"worm")
    assert get(host, "@v0.2.9").path.read_bytes() == PROGRAM
    assert host.downloads() == [NAME, NAME]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{'a' * 64}  x\n{'B' * 64} *y\r\n", {"x": {"a" * 64}, "y": {"b" * 64}}),
        (f"{'a' * 64}  build/x\n{'b' * 64}  ./x y\n", {"x": {"a" * 64}, "x y": {"b" * 64}}),
        (f"SHA256 (build/x) = {'c' * 64}\n", {"x": {"c" * 64}}),
        (f"{'d' * 64}\n", {"": {"d" * 64}}),
        (f"{'e' * 128}  sha512\nwords\n\n{'f' * 63}  short\n", {}),
    ],
)
def test_lists_of_checksums(text: str, found: dict[str, set[str]]) -> None:
    assert sums.read(text) == found


@given(st.text())
def test_any_text_is_a_list_of_checksums_or_none(text: str) -> None:
    assert all(len(each) == 64 for values in sums.read(text).values() for each in values)


# -- what hosts do --------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_disk_that_is_full_here_is_not_the_servers_fault(host: Releases) -> None:
    url = f"{host.url}/{REPOSITORY}/releases/download/v0.2.9/{NAME}"
    with pytest.raises(ReleaseUnavailable, match=r"/dev/full cannot be written: No space left on device\.") as full:
        web.download(url, Path("/dev/full"))
    assert "FLEET_CACHE" in full.value.guidance


def test_a_token_that_is_refused_is_not_passed_over(host: Releases, caplog: pytest.LogCaptureFixture) -> None:
    host.trouble["api"] = Trouble(status=401)
    wish = Wish(f"github:{REPOSITORY}", (NAME,), member="picoclaw", api=host.api)
    assert fetch(wish, environ={"GITHUB_TOKEN": "ghp_0123456789"}).version == "v0.2.9"
    assert "refuses the GITHUB_TOKEN (or GH_TOKEN) that is set here (401)" in warnings(caplog)


@pytest.mark.parametrize("status", [401, 403])
def test_whether_a_token_was_refused_or_is_wanted_is_told(host: Releases, status: int) -> None:
    host.trouble.update(api=Trouble(status=status), page=Trouble(status=500))
    wish = Wish("github:o/private", (NAME,), member="picoclaw", api=host.api)
    with pytest.raises(ReleaseUnavailable, match="refuses the GITHUB_TOKEN") as refused:
        fetch(wish, environ={"GITHUB_TOKEN": "ghp_0123456789"})
    assert "unset GITHUB_TOKEN" in refused.value.guidance
    with pytest.raises(ReleaseUnavailable, match="a GITHUB_TOKEN that may read it would help"):
        fetch(wish, environ={})
    host.trouble.update(api=LIMITS[1], page=LIMITS[1])
    with pytest.raises(ReleaseUnavailable, match="no more questions") as limited:
        fetch(wish, environ={"GITHUB_TOKEN": "ghp_0123456789"})
    assert "GITHUB_TOKEN" not in limited.value.guidance
    host.trouble.clear()
    with pytest.raises(ReleaseUnavailable, match="has no releases") as missing:
        fetch(wish, environ={})
    assert "A private one wants a GITHUB_TOKEN" in missing.value.guidance


LIMITS = [
    Trouble(status=403, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999"}),
    Trouble(status=429, headers={"Retry-After": "120"}),
]


@pytest.mark.parametrize("limit", LIMITS)
def test_beyond_the_rate_limit_the_pages_lead_to_the_release(host: Releases, limit: Trouble) -> None:
    host.trouble["api"] = limit
    assert (get(host).version, get(host).path.read_bytes()) == ("v0.2.9", PROGRAM)
    assert get(host, "@v0.2.9").path.read_bytes() == PROGRAM


@pytest.mark.parametrize("checksum", ["none", digest(tar({"picoclaw": PROGRAM}))], ids=["none", "explicit"])
def test_by_the_pages_alone_names_are_tried(host: Releases, checksum: str) -> None:
    host.publish(REPOSITORY, "v1.0.0", {NAME: tar({"picoclaw": PROGRAM})}, sums=None)
    host.trouble["api"] = Trouble(status=503)
    assert get(host, names=("no", NAME), checksum=checksum).path.read_bytes() == PROGRAM
    with pytest.raises(ReleaseUnavailable, match=r"v1\.0\.0 has no no or never"):
        get(host, names=("no", "never"), checksum=checksum)


@pytest.mark.parametrize(
    ("limit", "says"),
    [(LIMITS[0], "answers no more questions from here for \\d+ minutes?"), (LIMITS[1], "for 2 minutes")],
)
def test_beyond_every_limit_there_is_a_sentence_or_the_copy(
    host: Releases, caplog: pytest.LogCaptureFixture, limit: Trouble, says: str
) -> None:
    host.trouble.update(api=limit, page=limit)
    with pytest.raises(ReleaseUnavailable, match=says) as refused:
        get(host)
    assert "GITHUB_TOKEN" in refused.value.guidance
    host.trouble.clear()
    got = get(host)
    host.trouble.update(api=limit, page=limit)
    assert get(host) == got
    assert "The copy of sipeed/picoclaw v0.2.9 from earlier is used" in warnings(caplog)


def test_offline_there_is_a_sentence_or_the_copy(host: Releases, caplog: pytest.LogCaptureFixture) -> None:
    got = get(host)
    with releases() as gone:
        pass
    wish = Wish(f"github:{REPOSITORY}", (NAME,), member="picoclaw", api=gone.api)
    assert fetch(wish) == got
    assert "cannot be reached: Connection refused" in warnings(caplog)
    with pytest.raises(ReleaseUnavailable, match="cannot be reached") as refused:
        fetch(Wish("github:nobody/else", (NAME,), member="picoclaw", api=gone.api))
    assert refused.value.code == "release-unavailable"


def test_a_name_that_does_not_resolve_is_a_sentence() -> None:
    with pytest.raises(ReleaseUnavailable, match="its name does not resolve"):
        fetch(Wish("github:a/b", (NAME,), api="https://nowhere.invalid"))


def test_a_server_that_says_nothing_is_given_up(host: Releases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "SILENCE", 0.2)
    host.trouble.update(api=Trouble(delay=1), page=Trouble(delay=1))
    with pytest.raises(ReleaseUnavailable, match=r"it was silent for 0.2 s"):
        get(host)


@pytest.mark.parametrize("what", ["", "@v7"])
def test_releases_and_repositories_that_are_not_there(host: Releases, what: str) -> None:
    with pytest.raises(ReleaseUnavailable, match=f"nobody/picoclaw has no {'release v7' if what else 'releases'}"):
        fetch(Wish(f"github:nobody/picoclaw{what}", (NAME,), api=host.api))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"tag_name": 7}', b'{"tag_name": "v1", "assets": [{}]}', b"[" * 100_000]
)
def test_answers_that_make_no_sense(host: Releases, body: bytes) -> None:
    host.trouble.update(api=Trouble(body=body), page=Trouble(status=500))
    with pytest.raises(ReleaseUnavailable, match="answered with something that is no release"):
        get(host)


def test_a_download_that_is_cut_short_is_noticed(host: Releases, cache: Path) -> None:
    host.trouble["file"] = Trouble(cut=50)
    with pytest.raises(ReleaseUnavailable, match=r"was cut short: 50 of \d+ bytes"):
        get(host)
    assert not list(cache.rglob("program"))


def test_a_download_is_cut_short_where_the_copy_of_an_earlier_release_helps(
    host: Releases, caplog: pytest.LogCaptureFixture
) -> None:
    get(host)
    host.publish(REPOSITORY, "v0.3.0", {NAME: tar({"picoclaw": OTHER})})
    host.trouble["file"] = Trouble(cut=50)
    assert get(host).version == "v0.2.9"
    assert "cut short" in warnings(caplog)


def test_redirects_are_followed_on_this_machine_and_never_to_http_elsewhere(host: Releases) -> None:
    with releases() as other:
        other.publish(REPOSITORY, "v0.2.9", host.repositories[REPOSITORY][0].files, sums=None)
        host.trouble["file"] = Trouble(to=f"{other.url}/{REPOSITORY}/releases/download/v0.2.9/{NAME}")
        assert get(host).path.read_bytes() == PROGRAM


@pytest.mark.parametrize("to", ["http://example.com/x", "ftp://127.0.0.1/x", "file:///etc/passwd"])
def test_redirects_to_what_is_not_https_are_refused(host: Releases, loopback: list[str], to: str) -> None:
    host.trouble["file"] = Trouble(to=to)
    with pytest.raises(ReleaseUnavailable, match="which is not https: it is not followed"):
        get(host)
    assert loopback == []


def test_redirects_without_end_end(host: Releases) -> None:
    host.trouble["file"] = Trouble(to=f"{host.url}/{REPOSITORY}/releases/download/v0.2.9/{NAME}")
    with pytest.raises(ReleaseUnavailable, match="without end"):
        get(host)


def test_plain_http_elsewhere_is_refused(loopback: list[str]) -> None:
    with pytest.raises(ReleaseUnavailable, match="is not https"):
        fetch(Wish("http://example.com/picoclaw", member="picoclaw"))
    assert loopback == []


# -- archives -------------------------------------------------------------------------------


def packed(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "archive"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "data",
    [
        tar({"picoclaw": PROGRAM}),
        tar({"./picoclaw": PROGRAM}, "xz"),
        tar({"picoclaw-0.2.9/picoclaw": PROGRAM}, "bz2"),
        tar({"../picoclaw": OTHER, "/picoclaw": OTHER, "a/../picoclaw": OTHER, "picoclaw": PROGRAM}, ""),
        zipped({"../picoclaw": OTHER, "dir/picoclaw": PROGRAM}),
    ],
    ids=["tar.gz", "tar.xz", "a folder in it", "traversal in a tar", "traversal in a zip"],
)
def test_only_the_wanted_member_is_taken(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "into").mkdir()
    archive = packed(tmp_path, data)
    assert files.is_archive(archive, "")
    assert files.unpack(archive, "picoclaw", tmp_path / "into", "it").read_bytes() == PROGRAM
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["archive", "member"]


def zip_link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo("picoclaw")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    return buffer.getvalue()


def device() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("picoclaw")
        entry.type = tarfile.CHRTYPE
        archive.addfile(entry)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (tar({}, links={"picoclaw": "/etc/passwd"}), "is no plain file"),
        (device(), "is no plain file"),
        (zip_link(), "is no plain file"),
        (tar({"other": b""}), "There is no file picoclaw in"),
        (tar({"picoclaw": PROGRAM * 1000})[:90], "damaged"),
        (b"\x1f\x8b" + b"junk" * 100, "damaged archive: Unknown compression method.$"),
        (zipped({"picoclaw": PROGRAM})[:40], "damaged"),
    ],
    ids=["link", "device", "link in a zip", "not in it", "cut", "junk", "cut zip"],
)
def test_archives_that_are_no_good(tmp_path: Path, data: bytes, says: str) -> None:
    with pytest.raises(ReleaseUnavailable, match=says):
        files.unpack(packed(tmp_path, data), "picoclaw", tmp_path, "it")


def test_a_bomb_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BIGGEST", 1 << 20)
    with pytest.raises(ReleaseUnavailable, match="is larger than 1 MB"):
        files.unpack(packed(tmp_path, tar({"picoclaw": bytes(2 << 20)})), "picoclaw", tmp_path, "it")


def huge_header() -> bytes:
    """A header that says of itself that it is two gigabytes long, and is."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1) as archive:
        entry = tarfile.TarInfo("pax")
        entry.type, entry.size = tarfile.XHDTYPE, 2 << 30
        archive.write(entry.tobuf())
        archive.write(bytes(1 << 20))
    return buffer.getvalue()


def test_neither_a_header_nor_what_lies_before_the_program_is_read_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ReleaseUnavailable, match="has a header of 2147483648 bytes"):
        files.unpack(packed(tmp_path, huge_header()), "picoclaw", tmp_path, "it")
    monkeypatch.setattr(files, "BIGGEST", 1 << 20)
    with pytest.raises(ReleaseUnavailable, match="is larger than 1 MB"):
        files.unpack(packed(tmp_path, tar({"LICENSE": bytes(3 << 20), "picoclaw": b""})), "picoclaw", tmp_path, "it")


@pytest.mark.parametrize("pack", [tar, zipped])
def test_of_several_programs_the_uppermost_is_taken(tmp_path: Path, pack: Callable[..., bytes]) -> None:
    inside = {"a/docs/picoclaw": b"text", "a/picoclaw": PROGRAM, "b/picoclaw": b"another"}
    assert files.unpack(packed(tmp_path, pack(inside)), "picoclaw", tmp_path, "it").read_bytes() == PROGRAM


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_disk_that_is_full_here_is_not_the_archives_fault(tmp_path: Path) -> None:
    for name in ("member", "copied"):
        (tmp_path / name).symlink_to("/dev/full")
    archive = packed(tmp_path, tar({"picoclaw": PROGRAM}))
    with pytest.raises(ReleaseUnavailable, match="member cannot be written: No space left on device") as full:
        files.unpack(archive, "picoclaw", tmp_path, "it")
    assert "FLEET_CACHE" in full.value.guidance
    with pytest.raises(ReleaseUnavailable, match="copied cannot be written: No space left on device"):
        files.copied(archive, tmp_path)


def test_a_download_without_end_is_given_up(host: Releases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "BIGGEST", 10)
    with pytest.raises(ReleaseUnavailable, match="is larger than 0 MB"):
        get(host)


@pytest.mark.parametrize("name", ["picoclaw_Linux_arm64.tar.gz", "picoclaw.ZIP"])
def test_a_page_that_came_in_an_archives_place_is_no_program(host: Releases, name: str) -> None:
    host.trouble["file"] = Trouble(body=b"<html>Sign in first.</html>")
    host.publish("o/r", "v1.0", {name: b"<html>Sign in first.</html>"})
    with pytest.raises(ReleaseUnavailable, match=f"{name} is a damaged archive"):
        fetch(Wish("github:o/r@v1.0", (name,), member="picoclaw", checksum="none", api=host.api))


# -- files and URLs -------------------------------------------------------------------------


def test_a_file_of_ones_own_is_taken_as_it_is(own_home: Path) -> None:
    (own_home / "picoclaw").write_bytes(PROGRAM)
    copy = fetch(Wish("~/picoclaw", member="picoclaw"))
    assert (copy.path.read_bytes(), copy.path.stat().st_mode & 0o777) == (PROGRAM, 0o755), "a program must run"
    (own_home / "picoclaw").chmod(0o755)
    got = fetch(Wish("~/picoclaw", member="picoclaw"))
    assert (got.path, got.sha256, got.version) == (
        own_home / "picoclaw",
        digest(PROGRAM),
        f"local-{digest(PROGRAM)[:12]}",
    )
    with pytest.raises(ChecksumMismatch):
        fetch(Wish("~/picoclaw", member="picoclaw", checksum="0" * 64))


def test_an_archive_of_ones_own_is_unpacked_once(tmp_path: Path) -> None:
    archive = packed(tmp_path, tar({"picoclaw": PROGRAM}))
    got = fetch(Wish(str(archive), member="picoclaw"))
    assert got.path.read_bytes() == PROGRAM and got == fetch(Wish(str(archive), member="picoclaw"))
    assert fetch(Wish(str(archive))).path == archive


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ReleaseUnavailable, match="There is no file"):
        fetch(Wish(str(tmp_path / "none"), member="picoclaw"))


@pytest.mark.parametrize("lists", ["goreleaser", "build", None])
def test_a_url_with_its_list_of_checksums_beside(host: Releases, lists: str | None) -> None:
    host.publish(REPOSITORY, "v1.0.0", {NAME: tar({"picoclaw": PROGRAM})}, sums=lists)
    wish = Wish(f"{host.url}/{REPOSITORY}/releases/download/v1.0.0/{NAME}", member="picoclaw")
    if lists is None:
        with pytest.raises(ReleaseUnavailable, match="Nothing says which SHA-256"):
            fetch(wish)
        wish = Wish(wish.source, member="picoclaw", checksum=digest(host.repositories[REPOSITORY][-1].files[NAME]))
    got = fetch(wish)
    assert got.path.read_bytes() == PROGRAM and fetch(wish) == got
    assert host.downloads() == [NAME]


def test_a_url_offline_is_the_copy(host: Releases, caplog: pytest.LogCaptureFixture) -> None:
    wish = Wish(f"{host.url}/{REPOSITORY}/releases/download/v0.2.9/{NAME}", member="picoclaw")
    got = fetch(wish)
    host.trouble["sums"] = Trouble(status=503)
    assert fetch(wish) == got
    assert "answered with 503" in warnings(caplog)


@pytest.mark.parametrize("source", ["github:", "github:a", "github:../b", "github:a/..", "github:a/b@", "github:a/b c"])
def test_sources_that_cannot_be_understood(source: str) -> None:
    with pytest.raises(RequestError, match="is not github:owner/repo"):
        parse(source)


@pytest.mark.parametrize(
    ("older", "newer"),
    [("v0.2.9", "v0.2.10"), ("v0.9.1", "v0.10.0"), ("1.0.0-rc1", "v1.0.0"), ("v0.2.9", "v1")],
)
def test_the_order_of_tags(older: str, newer: str) -> None:
    assert github.order(older) < github.order(newer)


# -- many at once ---------------------------------------------------------------------------


def test_thirty_two_threads_download_once(host: Releases) -> None:
    host.trouble["file"] = Trouble(delay=0.2)
    got: list[Fetched | DeviceError] = []
    threads = [threading.Thread(target=lambda: got.append(get(host))) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(got)) == 1 and len(got) == 32
    assert host.downloads() == [NAME]


FETCH = """
import sys
from fleet_tasks.releases import Wish, fetch
print(fetch(Wish(sys.argv[1], (sys.argv[2],), member="picoclaw", api=sys.argv[3])).path)
"""


def test_two_processes_download_once(host: Releases) -> None:
    host.trouble["file"] = Trouble(delay=0.5)
    words = [sys.executable, "-c", FETCH, f"github:{REPOSITORY}", NAME, host.api]
    there = {**os.environ, "PYTHONPATH": str(ROOT)}
    both = [subprocess.Popen(words, env=there, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    paths = {process.communicate(timeout=60)[0] for process in both}
    assert len(paths) == 1 and Path(paths.pop().strip()).read_bytes() == PROGRAM
    assert host.downloads() == [NAME]


def test_one_that_was_killed_in_the_middle_leaves_nothing_for_long(host: Releases, cache: Path) -> None:
    host.trouble["file"] = Trouble(delay=30)
    words = [sys.executable, "-c", FETCH, f"github:{REPOSITORY}", NAME, host.api]
    process = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(ROOT)})
    while not list(cache.rglob(".new-*")):
        assert process.poll() is None
    process.kill()
    process.wait()
    del host.trouble["file"]
    assert get(host).path.read_bytes() == PROGRAM
    assert list(cache.rglob(".new-*")) == []


def test_a_cache_that_cannot_be_written_is_a_sentence(
    host: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FLEET_CACHE", str(tmp_path / "file"))
    with pytest.raises(ReleaseUnavailable, match="cannot be written: Not a directory"):
        get(host)


# -- what is not used any more ---------------------------------------------------------------


def age(folder: Path, days: float) -> None:
    then = time.time() - days * 24 * 3600
    os.utime(folder, (then, then))


def test_a_new_version_has_old_ones_removed(host: Releases, cache: Path) -> None:
    top = cache / "releases" / REPOSITORY
    for number in range(5):
        host.publish(REPOSITORY, f"v1.{number}", {NAME: tar({"picoclaw": b"%d" % number})})
        get(host)
    for number, days in enumerate([100, 200, 95, 89, 300]):
        age(top / f"v1.{number}", days)
    get(host, "@v1.1")  # used today
    assert len([each for each in top.iterdir() if each.is_dir()]) == 5
    host.publish(REPOSITORY, "v2", {NAME: tar({"picoclaw": b"two"})})
    get(host)
    # Three stay in any case; of the others those of more than 90 days go.
    assert sorted(each.name for each in top.iterdir() if each.is_dir()) == ["v1.1", "v1.3", "v2"]
    assert get(host).path.read_bytes() == b"two"


def test_the_last_three_stay_however_old_they_are(host: Releases, cache: Path) -> None:
    top = cache / "releases" / REPOSITORY
    for number in range(4):
        host.publish(REPOSITORY, f"v1.{number}", {NAME: tar({"picoclaw": b"%d" % number})})
        get(host)
        age(top / f"v1.{number}", 1000 - number)
    assert sorted(each.name for each in top.iterdir() if each.is_dir()) == ["v1.1", "v1.2", "v1.3"]
