"""The table of attacks and faults names tests that exist; and those of its cases that no other file holds."""

from __future__ import annotations

import ast
import base64
import hashlib
import hmac
import importlib.util
import io
import logging
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleet_tasks.conversation import Said
from fleet_tasks.errors import HostKeyChanged, HostKeyRevoked, HostKeyUnknown, NoAgentKey, TransferError
from fleet_tasks.frames import Frame, Frames
from fleet_tasks.hostkeys import HostKey, KnownHosts, known_name
from fleet_tasks.incoming import Incoming
from fleet_tasks.keys import Keyring
from tests.bench.fleet import ROOT


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = generator()


# -- the table --------------------------------------------------------------------------------


def names_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_named_test_exists() -> None:
    named = [name.split("::") for _, _, case in generate.cases() for name in case.get("tests", ())]
    there = {file: names_in(ROOT / file) for file in {file for file, _ in named}}
    assert [f"{file}::{name}" for file, name in named if name not in there[file]] == []


def test_a_case_has_tests_or_says_that_it_has_none() -> None:
    titles = [(group, title) for group, title, _ in generate.cases()]
    assert len(titles) == len(set(titles))
    for _, title, case in generate.cases():
        assert set(case) <= {"tests", "open"}, title
        assert case.get("tests") or case["open"], title
        assert case.get("open", "Said.").endswith("."), title


def test_the_page_is_what_the_table_says() -> None:
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    assert text == generate.security(text), "run: python docs/generate.py"


def test_a_page_without_a_place_is_noticed() -> None:
    with pytest.raises(ValueError, match="no place"):
        generate.security("# Security\n")


# -- what a device sends ----------------------------------------------------------------------


def sent(folder: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Incoming:
    """What comes of an archive with these members."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for member, data in members:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    taking = Incoming("deck", folder, [], lambda line: None)
    taking.take(Frame("archive", "1"), iter([Said(archive.getvalue()), Frame("end", "0")]))
    return taking


def member(name: str, **more: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for key, value in more.items():
        setattr(made, key, value)
    return made


@pytest.mark.parametrize("name", ["../out", "a/../../out", "a/..", "/out", "//out", "./../out"])
def test_a_name_that_leads_elsewhere_is_passed_over(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    taking = sent(tmp_path / "got" / "deck", (member(name), b"evil"), (member("good"), b"fine"))
    assert [copy.remote for copy in taking.copies] == ["good"]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["good"]
    assert "its path leads elsewhere" in caplog.text


KINDS = {"symlink": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE, "pipe": tarfile.FIFOTYPE, "disk": tarfile.BLKTYPE,
         "terminal": tarfile.CHRTYPE}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_links_and_special_files_are_passed_over(kind: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    taking = sent(tmp_path / "deck", (member("x", type=kind, linkname="/etc/passwd"), b""), (member("good"), b"fine"))
    assert [copy.remote for copy in taking.copies] == ["good"]
    assert [path.name for path in (tmp_path / "deck").iterdir()] == ["good"]
    assert "a link or a special file" in caplog.text


def test_a_folder_that_is_a_link_here_is_not_gone_through(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "deck").mkdir()
    (tmp_path / "deck" / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TransferError, match=r"a in .* is in the way"):
        sent(tmp_path / "deck", (member("a/x"), b"evil"))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_link_in_a_files_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "deck").mkdir()
    (tmp_path / "deck" / "x").symlink_to(tmp_path / "mine")
    sent(tmp_path / "deck", (member("x"), b"theirs"))
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert not (tmp_path / "deck" / "x").is_symlink()


def test_no_bit_of_a_device_gives_anybody_more_rights(tmp_path: Path) -> None:
    sent(tmp_path, (member("x", mode=0o7755), b""), (member("y", mode=0), b""))
    assert [(tmp_path / name).stat().st_mode & 0o7777 for name in "xy"] == [0o755, 0o600]


@pytest.mark.parametrize("name", ["{x}", "%s%n", "a\nb", "\x1b[2J", "\udcff", "-rf", "~", "$(x)", "ünï"])
def test_strange_names_are_names(name: str, tmp_path: Path) -> None:
    taking = sent(tmp_path / "deck", (member(name), b"fine"))
    assert [path.name for path in (tmp_path / "deck").iterdir()] == [name]
    assert taking.copies[0].remote == name


def test_a_file_cut_short_does_not_appear(tmp_path: Path) -> None:
    taking = Incoming("deck", tmp_path / "deck", [], lambda line: None)
    with pytest.raises(TransferError, match="ended in the middle"):
        taking.take(Frame("file", "1 644 10 1"), iter([Said(b"xhalf")]))
    assert list((tmp_path / "deck").iterdir()) == []


def test_words_without_the_number_are_output() -> None:
    frames = Frames(b"5ecre7")
    forged = b"exit 0\nEXIT_CODE=0\n5ecre8 exit 0\n\n exit 0\n"
    assert list(frames.feed(b"welcome\n" + forged + b"5ecre7 begin\n")) == []
    assert list(frames.feed(forged + b"5ecre7 exit 3\n")) == [forged, Frame("exit", "3")]


# -- whom we talk to --------------------------------------------------------------------------

ONE, TWO = HostKey("ssh-ed25519", b"one"), HostKey("ssh-rsa", b"two")


@pytest.fixture
def known(tmp_path: Path) -> Callable[..., KnownHosts]:
    """Reads known_hosts lines: each a name and a key, perhaps after a marker."""

    def read(*lines: tuple[str, HostKey]) -> KnownHosts:
        file = tmp_path / ".ssh" / "known_hosts"
        file.parent.mkdir(exist_ok=True)
        written = (f"{names} {key.kind} {base64.b64encode(key.blob).decode()}\n" for names, key in lines)
        file.write_text("".join(written))
        return KnownHosts((str(file),))

    return read


def test_a_changed_key_is_refused_and_an_unknown_one_unless_the_first_is_trusted(
    known: Callable[..., KnownHosts], tmp_path: Path
) -> None:
    hosts = known(("deck", ONE))
    hosts.check("deck", ONE, "strict")
    for policy in ("strict", "accept-new"):
        with pytest.raises(HostKeyChanged):
            hosts.check("deck", TWO, policy)
    with pytest.raises(HostKeyUnknown):
        hosts.check("other", ONE, "strict")
    hosts.check("other", ONE, "accept-new")
    with pytest.raises(HostKeyChanged):
        KnownHosts((str(tmp_path / ".ssh" / "known_hosts"),)).check("other", TWO, "accept-new")


@pytest.mark.parametrize("policy", ["strict", "accept-new", "off"])
def test_a_revoked_key_is_refused_whatever_is_wished(policy: str, known: Callable[..., KnownHosts]) -> None:
    with pytest.raises(HostKeyRevoked):
        known(("deck", ONE), ("@revoked *", ONE)).check("deck", ONE, policy)


def test_a_port_is_part_of_the_name_and_a_host_may_have_two_keys(known: Callable[..., KnownHosts]) -> None:
    hosts = known(("deck", ONE), ("deck", TWO), ("[nas]:2022", ONE))
    hosts.check("deck", ONE, "strict")
    hosts.check("deck", TWO, "strict")
    hosts.check(known_name("nas", 2022), ONE, "strict")
    with pytest.raises(HostKeyUnknown):
        hosts.check(known_name("nas", 22), ONE, "strict")


def test_a_name_may_be_hashed(known: Callable[..., KnownHosts]) -> None:
    digest = hmac.new(b"salt", b"deck", hashlib.sha1).digest()
    hosts = known((f"|1|{base64.b64encode(b'salt').decode()}|{base64.b64encode(digest).decode()}", ONE))
    hosts.check("deck", ONE, "strict")
    with pytest.raises(HostKeyChanged):
        hosts.check("deck", TWO, "accept-new")
    with pytest.raises(HostKeyUnknown):
        hosts.check("other", ONE, "strict")


def test_the_key_of_an_authority_is_no_hosts_key(known: Callable[..., KnownHosts]) -> None:
    with pytest.raises(HostKeyUnknown):
        known(("@cert-authority *", ONE)).check("deck", ONE, "strict")


def test_a_key_that_others_can_read_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = tmp_path / "id"
    key.write_text("a private key")
    key.chmod(0o644)
    with pytest.raises(NoAgentKey, match="can be read by others") as caught:
        Keyring(tmp_path).load(str(key))
    assert caught.value.guidance == f"chmod 600 {key}"
    assert "a private key" not in caplog.text
