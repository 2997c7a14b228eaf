"""Connections: whom we trust, what is tried again, and that nothing a server does keeps us for longer than allowed."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partialmethod
from pathlib import Path

import pytest
from paramiko import Channel, SSHException

from fleet_tasks import connection as connections
from fleet_tasks.actions.stage import Stage
from fleet_tasks.errors import Throttled
from fleet_tasks.fleet import Fleet
from fleet_tasks.jobs import Action
from fleet_tasks.options import Targets
from fleet_tasks.plans import Bounds, Wish
from fleet_tasks.results import Result, State
from fleet_tasks.retry import FIRST_WAIT, patiently
from fleet_tasks.stopping import Stopping
from fleet_tasks.transport import FleetTransport, dial
from tests.bench import PATIENCE, Bench, BenchDevice, Hostile, hostile, relay
from tests.bench.listening import listening

STRANGER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxgeXYZkzrGqk7IOGUvBrQ2Ss3D1M1DXBdIHQ8cSxTN"
AUTHORITY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK8r0T1uv9rQ6hmS1Zq0O0qVxj4b6B1m7m1m8c8wU0aa"


Visit = Callable[..., dict[str, Result]]


@pytest.fixture
def visit(bench: Bench, tmp_path: Path) -> Visit:
    """Looks at devices by their entries, in one process; the results by name."""

    def visit(devices: Mapping[str, Mapping[str, object]], retries: int = 1, **bounds: float) -> dict[str, Result]:
        with Fleet.load(bench.registry(tmp_path / "fleet.yaml", [], devices=devices)) as fleet:
            chosen = fleet.choose(Targets(all=True))
            wish, limits = Wish(agent="shell"), Bounds(retries=retries, **bounds)  # type: ignore[arg-type]
            report = fleet.collect(fleet.plan_simple(Action.STATUS, chosen, wish, limits))
        return {result.device: result for result in report.results}

    return visit


def code(result: Result) -> str | None:
    return result.error.code if result.error else None


# -- host keys ------------------------------------------------------------------------------------


def trusting(bench: Bench, deck: BenchDevice, lines: str) -> None:
    """A known_hosts file of a few named lines alone."""
    known = bench.sshd.public_key
    broken = f"broken line\n|1|abc|def {known}\n|1| {known}\n|1|!|! {known}\none {known.split()[0]} AAA\n"
    bench.known_hosts.write_text(f"# a comment\n\n{broken}")
    for line in lines.split():
        match line:
            case "plain":
                bench.trust(deck.host, deck.port, known)
            case "hashed":
                bench.trust(deck.host, deck.port, known, hashed=True)
            case "other":
                bench.trust(deck.host, deck.port, STRANGER)
            case "revoked":
                bench.trust("*", 22, known, marker="@revoked")
            case "authority":
                bench.trust(deck.host, deck.port, AUTHORITY, marker="@cert-authority")
            case "elsewhere":
                bench.trust(deck.host, 22, STRANGER)


@pytest.mark.parametrize("policy", ["strict", "accept-new"])
@pytest.mark.parametrize(
    ("lines", "strict", "accept_new"),
    [
        ("plain", None, None),
        ("hashed", None, None),
        ("other plain", None, None),
        ("authority plain", None, None),
        ("authority", "host-key-unknown", None),
        ("elsewhere", "host-key-unknown", None),
        ("", "host-key-unknown", None),
        ("other", "host-key-changed", "host-key-changed"),
        ("plain revoked", "host-key-revoked", "host-key-revoked"),
        ("revoked", "host-key-revoked", "host-key-revoked"),
    ],
)
def test_host_keys(
    bench: Bench, visit: Visit, policy: str, lines: str, strict: str | None, accept_new: str | None
) -> None:
    deck = bench.device("deck")
    trusting(bench, deck, lines)
    before = bench.known_hosts.read_text()
    result = visit({"deck": deck.entry | {"host_keys": policy}}, retries=3)["deck"]
    wanted = strict if policy == "strict" else accept_new
    assert code(result) == wanted
    assert result.state is (State.DONE if wanted is None else State.UNREACHABLE)
    assert bench.logins() == (1 if wanted is None else 0), "something was sent to a stranger"
    assert result.attempts == 1
    new = bench.known_hosts.read_text().removeprefix(before).split()
    if policy == "accept-new" and strict == "host-key-unknown" and wanted is None:
        assert new == [f"[{deck.host}]:{deck.port}", *bench.sshd.public_key.split()[:2]]
    else:
        assert new == []


def test_a_new_key_is_written_where_only_we_may_read_and_known_from_then_on(bench: Bench, visit: Visit) -> None:
    deck = bench.device("deck")
    bench.known_hosts.unlink()
    assert visit({"deck": deck.entry | {"host_keys": "accept-new"}})["deck"].state is State.DONE
    assert bench.known_hosts.stat().st_mode & 0o777 == 0o600
    assert visit({"deck": deck.entry | {"host_keys": "strict"}})["deck"].state is State.DONE


def test_a_last_line_without_its_end_stays_a_line(bench: Bench, visit: Visit) -> None:
    deck = bench.device("deck")
    bench.known_hosts.write_text(f"elsewhere {STRANGER}")
    assert visit({"deck": deck.entry | {"host_keys": "accept-new"}})["deck"].state is State.DONE
    assert bench.known_hosts.read_text().splitlines()[0] == f"elsewhere {STRANGER}"


def test_a_revoked_key_is_refused_even_unchecked(bench: Bench, visit: Visit) -> None:
    deck = bench.device("deck")
    trusting(bench, deck, "revoked")
    assert code(visit({"deck": deck.entry | {"host_keys": "off"}})["deck"]) == "host-key-revoked"


class _Instant(threading.Event):
    """An event for which nobody has to wait; how long they would have."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout or 0.0)
        return False


# -- what is tried again ----------------------------------------------------------------------------


def test_a_refused_key_is_not_tried_again(bench: Bench, visit: Visit) -> None:
    deck = bench.device("deck")
    with relay(deck.host, deck.port, bench.sshd.public_key) as link:
        entry = bench.entry(link.place) | {"user": "nobody-at-all"}
        result = visit({"deck": entry}, retries=3)["deck"]
        assert link.connections == 1
    assert (result.state, code(result)) == (State.UNREACHABLE, "auth-refused")
    assert result.error is not None and "ssh-copy-id" in result.error.guidance


def test_a_device_that_never_comes_was_tried_as_often_as_is_said(bench: Bench, visit: Visit) -> None:
    with hostile.not_listening() as nobody:
        behind = bench.device("deck").entry | {"jump": f"{nobody.host}:{nobody.port}"}
        found = visit({"direct": {"host": nobody.host, "port": nobody.port}, "behind": behind}, retries=2)
    assert {name: (code(result), result.attempts) for name, result in found.items()} == {
        "direct": ("connection-refused", 2), "behind": ("connection-refused", 2),
    }  # fmt: skip


def test_a_connection_that_breaks_is_tried_again(bench: Bench, visit: Visit) -> None:
    deck = bench.device("deck")
    with relay(deck.host, deck.port, bench.sshd.public_key) as link:
        link.refuse(1)
        result = visit({"deck": bench.entry(link.place)}, retries=2)["deck"]
        assert (result.state, result.attempts, link.connections) == (State.DONE, 2, 2)
        link.refuse(5)
        result = visit({"deck": bench.entry(link.place)}, retries=2)["deck"]
        assert (code(result) in ("throttled", "connection-refused"), link.connections) == (True, 4)


def test_devices_that_were_turned_away_together_do_not_come_back_together() -> None:
    waits = []
    for _ in range(30):
        answers = iter([Throttled("full"), None])

        def connect(answers: Iterator[Throttled | None] = answers) -> None:
            if (error := next(answers)) is not None:
                raise error

        stopping, clock = Stopping(), _Instant()
        stopping._event = clock
        assert patiently(connect, 2, stopping) == 2
        waits += clock.waited
    assert len(set(waits)) > 20
    assert all(FIRST_WAIT <= wait <= 2 * FIRST_WAIT for wait in waits)


# -- servers that keep us waiting ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "found"),
    [
        (hostile.banner_never, "connect-timeout"),
        (hostile.banner_drips, "connect-timeout"),
        (hostile.kex_never_ends, "connect-timeout"),
        (hostile.auth_stalls, "connect-timeout"),
        (hostile.closes_at_once, "throttled connection-refused"),  # a reset may come before connect() returns, or after
        (hostile.not_listening, "connection-refused"),
        (hostile.channel_never_opens, "connect-timeout"),
        (hostile.exec_unanswered, "not-verified"),
        (hostile.exec_silent, "not-verified"),
        (hostile.drops_the_link, "connection-lost"),
    ],
    ids=lambda value: getattr(value, "__name__", "then"),
)
def test_no_server_keeps_us_for_long(
    server: Callable[[], contextlib.AbstractContextManager[Hostile]],
    found: str,
    bench: Bench,
    visit: Visit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Stage, "words", partialmethod(Stage.words, patience=1.0))
    with server() as place:
        begun = time.monotonic()
        result = visit({"odd": bench.entry(place)}, connect_timeout=1.0)["odd"]
        seconds = time.monotonic() - begun
    assert code(result) in found.split(), result
    assert not result and result.error is not None
    assert seconds < 25, "one second was allowed, and the rest is a busy machine's"


def test_a_login_that_was_given_up_before_it_began_is_over_at_once() -> None:
    with hostile.banner_never() as place:
        transport = FleetTransport(dial(place.host, place.port, 10.0, lambda _sock: None))
        transport.banner_timeout = 10 * PATIENCE
        transport.close()
        begun = time.monotonic()
        with pytest.raises((SSHException, OSError, EOFError)):
            transport.start_client(timeout=10 * PATIENCE)
        assert time.monotonic() - begun < PATIENCE


def test_a_link_that_breaks_is_no_shell_that_left(bench: Bench, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink = Channel._unlink  # type: ignore[attr-defined]

    def slowly(channel: Channel) -> None:
        unlink(channel)
        time.sleep(0.5)  # the channel is closed by now, and the link still called active

    monkeypatch.setattr(Channel, "_unlink", slowly)
    with hostile.drops_the_link() as place:
        assert code(visit({"odd": bench.entry(place)})["odd"]) == "connection-lost"


def test_what_was_read_is_not_lost_with_its_acknowledgement(
    bench: Bench, opened: Callable[..., Fleet], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def broken(channel: Channel, size: int) -> int:
        if size > 1000:
            read.append(size)
            channel.transport.packetizer.close()  # type: ignore[union-attr]  # nothing can be sent any more
        return size

    fleet = opened("deck")
    monkeypatch.setattr(Channel, "_check_add_window", broken)
    task = "head -c 20000 /dev/zero | tr '\\0' x; sleep 600"
    (result,) = fleet.dispatch(task, Targets(all=True), agent="shell").results
    assert (result.state, code(result)) == (State.LOST, "connection-lost")
    assert len(result.stdout) > read[0] - 1000, "all that was read, but for the frames before it"


# -- jump hosts and addresses --------------------------------------------------------------------------


def test_devices_behind_a_jump_host_share_one_login_there(
    make_sshd: Callable[..., Bench], visit: Visit, bench: Bench
) -> None:
    gate = make_sshd(options=["AllowTcpForwarding yes"])
    door = gate.device("gate")
    (bench.home / ".ssh" / "config").write_text(f"Host {door.host}\n  IdentityFile {door.key}\n")
    behind = {name: bench.device(name).entry | {"jump": f"{door.user}@{door.host}:{door.port}"} for name in "abc"}
    found = visit(behind)
    assert {name: result.state for name, result in found.items()} == dict.fromkeys("abc", State.DONE), found
    assert (gate.logins(), bench.logins()) == (1, 3)


def test_a_jump_host_that_is_gone_is_told_of(bench: Bench, visit: Visit) -> None:
    with hostile.not_listening() as nobody:
        jump = f"me@{nobody.host}:{nobody.port}"
        result = visit({"deck": bench.device("deck").entry | {"jump": jump}})["deck"]
    assert (result.state, code(result)) == (State.UNREACHABLE, "connection-refused")
    assert str(nobody.port) in str(result.error)


def test_a_jump_host_that_lets_nobody_in_is_asked_once_and_named(
    make_sshd: Callable[..., Bench], visit: Visit, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = make_sshd(options=["AuthorizedKeysFile none", "LogLevel VERBOSE"])
    door = gate.device("gate")
    behind = {name: bench.device(name).entry | {"jump": f"{door.user}@{door.host}:{door.port}"} for name in "abcd"}
    found = visit(behind, retries=3)
    fix = f"ssh-copy-id -p {door.port} -i {bench.key} {door.user}@{door.host}"
    for result in found.values():
        assert (code(result), result.attempts) == ("auth-refused", 1)
        assert result.error is not None and result.error.guidance.endswith(fix)
    assert gate.log().count("Connection from") == 1
    monkeypatch.setattr(connections, "MEMORY", -1.0)
    visit(behind)
    assert gate.log().count("Connection from") == 5, "what is long ago says nothing of today"


def test_a_jump_host_that_forwards_nothing(make_sshd: Callable[..., Bench], visit: Visit, bench: Bench) -> None:
    gate = make_sshd(options=["AllowTcpForwarding no"])
    door, deck = gate.device("gate"), bench.device("deck")
    (bench.home / ".ssh" / "config").write_text(f"Host {door.host}\n  IdentityFile {door.key}\n")
    result = visit({"deck": deck.entry | {"jump": f"{door.user}@{door.host}:{door.port}"}})["deck"]
    assert (result.state, code(result)) == (State.UNREACHABLE, "connection-refused")
    assert result.error is not None and "AllowTcpForwarding yes" in result.error.guidance
    assert f"{door.host}:{door.port}" in result.error.message and "ChannelException" not in result.error.message


def test_devices_behind_a_jump_host_that_says_nothing_wait_for_it_together(bench: Bench, visit: Visit) -> None:
    knocked: list[socket.socket] = []

    def silent(sock: socket.socket, over: threading.Event) -> None:
        knocked.append(sock)
        over.wait()

    with listening(silent) as nobody:
        behind = {name: bench.device(name).entry | {"jump": f"me@{nobody.host}:{nobody.port}"} for name in "abcdef"}
        found = visit(behind, connect_timeout=1.0)
    assert {code(result) for result in found.values()} == {"connect-timeout"}
    assert all(f"ping -c1 {nobody.host}" in str(result.error) for result in found.values()), found
    assert len(knocked) == 1


def test_what_is_typed_to_reach_a_device(bench: Bench, visit: Visit) -> None:
    deck, gate = bench.device("deck"), bench.device("gate")
    key = bench.home / "a key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    with hostile.not_listening() as nobody:
        jump = f"{gate.user}@{gate.host}:{gate.port}"
        entry = {"host": nobody.host, "port": nobody.port, "user": "me", "key": str(bench.key), "jump": jump}
        closed = visit({"closed": entry})["closed"]
    refused = visit({"deck": deck.entry | {"key": str(key)}})["deck"]
    way = f"ssh -p {nobody.port} -i {bench.key} -o ProxyJump={jump} me@{nobody.host}"
    assert closed.error is not None and closed.error.guidance.endswith(way)
    assert refused.error is not None
    assert refused.error.guidance.endswith(f"ssh-copy-id -p {deck.port} -i '{key}' {deck.user}@{deck.host}")


def test_two_devices_at_one_address_stay_two(bench: Bench, visit: Visit) -> None:
    deck = bench.device("deck")
    found = visit({"one": deck.entry, "two": deck.entry})
    assert {name: result.state for name, result in found.items()} == {"one": State.DONE, "two": State.DONE}
    assert bench.logins() == 2


def test_an_address_that_leads_nowhere_is_followed_by_the_next(
    bench: Bench, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine whose IPv6 ends at the router: the first address of a name answers nobody."""
    deck = bench.device("deck")
    with hostile.answers_nobody() as nowhere:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place.host, place.port)) for place in (nowhere, deck)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: found)
        bench.trust("twofold.test", deck.port, bench.sshd.public_key)
        result = visit({"deck": deck.entry | {"host": "twofold.test"}}, connect_timeout=2.0)["deck"]
    assert (result.state, result.attempts) == (State.DONE, 1), result


def test_a_name_server_that_says_nothing(bench: Bench, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def silent(*_args: object, **_more: object) -> list[object]:
        over.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    begun = time.monotonic()
    result = visit({"deck": bench.device("deck").entry | {"host": "slow.test"}}, connect_timeout=0.5)["deck"]
    over.set()
    assert (result.state, code(result)) == (State.UNREACHABLE, "connect-timeout")
    assert time.monotonic() - begun < PATIENCE


# -- login shells that are in the way --------------------------------------------------------------------


def test_a_noisy_rc_file_is_no_answer(bench: Bench, tmp_path: Path) -> None:
    deck = bench.device("deck", shell="zsh")
    (deck.home / ".zshenv").write_text("echo Welcome to the deck; echo and beware >&2\n")
    with Fleet.load(bench.registry(tmp_path / "fleet.yaml", ["deck"])) as fleet:
        result = fleet.dispatch("echo answer; echo trouble >&2", Targets(all=True), agent="shell").results[0]
    assert (result.stdout, result.stderr) == (b"answer\n", b"trouble\n")


def test_a_shell_that_lets_nobody_in(bench: Bench, visit: Visit) -> None:
    deck = bench.device("deck", shell="zsh")
    (deck.home / ".zshenv").write_text("echo This account is currently not available.; exit 1\n")
    result = visit({"deck": deck.entry})["deck"]
    assert (result.state, code(result)) == (State.FAILED, "requirement-missing")
    assert result.error is not None
    assert "This account is currently not available." in result.error.message
    assert f"-p {deck.port}" in result.error.guidance
