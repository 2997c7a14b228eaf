"""Logins with a real ssh-agent: which of its keys are offered, in which order, and what is said when none is taken."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from paramiko import PKey

from fleet_tasks.fleet import Fleet
from fleet_tasks.jobs import Action
from fleet_tasks.keys import agent_keys, public_half
from fleet_tasks.options import Targets
from fleet_tasks.plans import Bounds, Wish
from fleet_tasks.results import Result, State
from fleet_tasks.transport import FleetTransport
from tests.bench import Bench, relay
from tests.waiting import until

MANY = 8
"""More keys than OpenSSH looks at in one login (MaxAuthTries is 6)."""


@dataclass(frozen=True)
class SshAgent:
    """A running ssh-agent, by its socket."""

    socket: str

    def add(self, key: Path) -> None:
        """Loads a key that has no passphrase yet."""
        environment = {"SSH_AUTH_SOCK": self.socket, "PATH": "/usr/bin:/bin"}
        subprocess.run(["ssh-add", "-q", str(key)], env=environment, check=True, capture_output=True)


@contextlib.contextmanager
def agent() -> Iterator[SshAgent]:
    with tempfile.TemporaryDirectory(prefix="agent-") as folder:  # a socket's path is a short one
        socket = Path(folder) / "socket"
        with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL) as program:
            try:
                until(socket.exists)
                yield SshAgent(str(socket))
            finally:
                program.terminate()


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[SshAgent]:
    """The agent that SSH_AUTH_SOCK names."""
    with agent() as running:
        monkeypatch.setenv("SSH_AUTH_SOCK", running.socket)
        yield running


def new_key(path: Path, *words: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path), *words], check=True)
    return path


def fill(running: SshAgent, folder: Path, number: int) -> None:
    """Keys that no server knows."""
    for each in range(number):
        running.add(new_key(folder / f"stranger{each}"))


def welcome(bench: Bench, path: Path) -> Path:
    """The key that the bench lets in, at another place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(bench.key, path)
    path.chmod(0o600)
    return path


def lock(key: Path, *words: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", *words, "-f", str(key)], check=True)


Look = Callable[..., Result]


@pytest.fixture
def look(bench: Bench, tmp_path: Path) -> Look:
    """Checks the device with this key, as often as a passing fault would be tried."""

    def look(key: Path | None, **entry: object) -> Result:
        known = {**bench.device("deck").entry, "key": str(key), **entry}
        entries = {"deck": {name: value for name, value in known.items() if key or name != "key"}}
        with Fleet.load(bench.registry(tmp_path / "fleet.yaml", [], devices=entries)) as fleet:
            devices = fleet.choose(Targets(all=True))
            plan = fleet.plan_simple(Action.CHECK, devices, Wish(agent="shell"), Bounds(retries=3))
            return fleet.collect(plan).results[0]

    return look


def rows(result: Result) -> dict[str, dict[str, Any]]:
    facts: Any = result.facts
    return {row["name"]: row for row in facts["checks"]}


def config(bench: Bench, text: str) -> None:
    (bench.home / ".ssh" / "config").write_text(f"Host *\n  {text}\n")


# -- the right one ----------------------------------------------------------------------------------


def test_a_locked_key_is_found_in_the_agent_before_all_others(
    bench: Bench, ours: SshAgent, look: Look, tmp_path: Path
) -> None:
    key = welcome(bench, tmp_path / "named")
    fill(ours, tmp_path, MANY - 1)
    ours.add(key)
    lock(key)
    result = look(key)
    assert (result.state, result.attempts) == (State.DONE, 1), result
    assert rows(result)["key"]["ok"] is True


@pytest.mark.parametrize("only", ["yes", "no"])
@pytest.mark.parametrize("gone", ["", ".pub"])
def test_a_key_known_by_its_public_half_alone(
    gone: str, only: str, bench: Bench, ours: SshAgent, look: Look, tmp_path: Path
) -> None:
    key = welcome(bench, tmp_path / "named")
    fill(ours, tmp_path, MANY)
    ours.add(key)
    shutil.copy(bench.key.with_suffix(".pub"), tmp_path / "named.pub")
    key.unlink()
    config(bench, f"IdentitiesOnly {only}")
    result = look(tmp_path / f"named{gone}")
    assert result.state is State.DONE, result


@pytest.mark.parametrize("only", ["yes", "no"])
def test_a_locked_default_key_comes_before_the_agents_others(
    only: str, bench: Bench, ours: SshAgent, look: Look, tmp_path: Path
) -> None:
    key = welcome(bench, bench.home / ".ssh" / "id_ed25519")
    fill(ours, tmp_path, MANY)
    ours.add(key)
    lock(key)
    config(bench, f"IdentitiesOnly {only}")
    result = look(None)
    assert (result.state, result.attempts) == (State.DONE, 1), result


def test_a_default_key_without_a_passphrase_beside_an_agent(
    bench: Bench, ours: SshAgent, look: Look, tmp_path: Path
) -> None:
    fill(ours, tmp_path, 2)
    welcome(bench, bench.home / ".ssh" / "id_ed25519")
    assert look(None).state is State.DONE


def test_a_key_of_the_agent_that_nobody_named(bench: Bench, ours: SshAgent, look: Look) -> None:
    ours.add(bench.key)
    assert look(None).state is State.DONE


def test_the_agent_that_the_configuration_names(bench: Bench, ours: SshAgent, look: Look, tmp_path: Path) -> None:
    key = welcome(bench, tmp_path / "named")
    with agent() as other:
        other.add(key)
        lock(key)
        result = look(key)
        assert result.error is not None and result.error.code == "no-agent-key"
        config(bench, f"IdentityAgent {other.socket}")
        assert look(key).state is State.DONE


@pytest.mark.parametrize("words", [(), ("-t", "ecdsa"), ("-t", "rsa"), ("-t", "rsa", "-m", "PEM")], ids=" ".join)
def test_the_public_half_of_a_locked_key(words: tuple[str, ...], ours: SshAgent, tmp_path: Path) -> None:
    key = new_key(tmp_path / "key", *words)
    ours.add(key)
    lock(key, *words[2:])
    with agent_keys(ours.socket) as (held,):
        assert public_half(key) == held.asbytes()
        if "PEM" not in words:
            key.with_suffix(".pub").unlink()
            assert public_half(key) == held.asbytes()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 ====",
        "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIGxgeXYZkzrGqk7IOGUvBrQ2Ss3D1M1DXBdIHQ8cSxTN",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n-----END OPENSSH PRIVATE KEY-----\n",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----\n",
        "-----BEGIN OPENSSH PRIVATE KEY-----\n",
    ],
)
def test_a_file_that_holds_no_key_has_no_public_half(text: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(text)
    assert public_half(tmp_path / "key") is None


# -- none of them -----------------------------------------------------------------------------------


def test_a_locked_key_that_the_agent_does_not_hold(bench: Bench, ours: SshAgent, look: Look, tmp_path: Path) -> None:
    key = welcome(bench, tmp_path / "named")
    lock(key)
    fill(ours, tmp_path, 1)
    result = look(key)
    assert result.error is not None and (result.error.code, result.attempts) == ("auth-refused", 1)
    found = rows(result)
    assert [name for name, row in found.items() if not row["ok"]] == ["key", "login"]
    assert found["key"]["guidance"] == result.error.guidance == f"ssh-add {key}"


def test_only_the_named_key_is_offered_where_the_configuration_says_so(
    bench: Bench, ours: SshAgent, look: Look, tmp_path: Path
) -> None:
    key = welcome(bench, tmp_path / "named")
    other = new_key(tmp_path / "other")
    ours.add(bench.key)
    ours.add(other)
    lock(other)
    config(bench, "IdentitiesOnly yes")
    result = look(other)
    assert result.error is not None and result.error.code == "auth-refused"
    lock(key)
    other.with_suffix(".pub").unlink()
    other.unlink()
    result = look(other)
    assert result.error is not None and result.error.code == "no-agent-key"
    assert list(rows(result)) == ["key"] and not rows(result)["key"]["ok"]
    assert bench.logins() == 0


def test_a_named_key_of_no_use_is_a_cross_even_where_another_opens(
    bench: Bench, ours: SshAgent, look: Look, tmp_path: Path
) -> None:
    ours.add(bench.key)
    named = new_key(tmp_path / "named")
    lock(named)
    result = look(named)
    wrong = {name: row for name, row in rows(result).items() if not row["ok"]}
    assert list(wrong) == ["key"] and wrong["key"]["guidance"] == f"ssh-add {named}"
    assert rows(result)["login"]["ok"] is True


def test_a_public_key_by_name_whose_other_half_is_nowhere(bench: Bench, look: Look, tmp_path: Path) -> None:
    key = new_key(tmp_path / "named")
    result = look(key.with_suffix(".pub"))
    assert result.error is not None and result.error.code == "no-agent-key"
    assert result.error.guidance == f"ssh-add {key}" and "chmod" not in result.error.message


@pytest.mark.parametrize("tries", [1, 2, 6])
def test_a_server_that_has_seen_enough_keys_is_not_asked_again(
    tries: int, make_sshd: Callable[..., Bench], ours: SshAgent, look: Look, tmp_path: Path
) -> None:
    """It hangs up, which is no reason to come back: the keys stay refused."""
    fill(ours, tmp_path, MANY)
    strict = make_sshd(options=[f"MaxAuthTries {tries}"])
    door = strict.device("door")
    with relay(door.host, door.port, strict.sshd.public_key) as link:
        result = look(None, **{name: value for name, value in strict.entry(link.place).items() if name != "key"})
        assert link.connections == 1
    assert result.error is not None
    assert (result.state, result.error.code, result.attempts) == (State.UNREACHABLE, "auth-refused", 1)


def test_a_link_that_breaks_before_a_key_was_refused_is_tried_again(
    bench: Bench, ours: SshAgent, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours.add(bench.key)
    door, offer = bench.device("deck"), FleetTransport.auth_publickey
    with relay(door.host, door.port, bench.sshd.public_key) as link:

        def cut_once(transport: FleetTransport, user: str, key: PKey) -> list[str]:
            if link.connections == 1:
                link.cut()
            return offer(transport, user, key)

        monkeypatch.setattr(FleetTransport, "auth_publickey", cut_once)
        result = look(None, **{name: value for name, value in bench.entry(link.place).items() if name != "key"})
    assert (result.state, result.attempts) == (State.DONE, 2), result
