from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from fleet_tasks import sshconfig, sshfiles
from fleet_tasks.devices import Endpoint
from fleet_tasks.errors import RequestError
from fleet_tasks.sshconfig import HostSettings, resolve, resolve_all

Write = Callable[..., Path]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and a system without a configuration of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sshfiles, "SYSTEM", tmp_path / "etc" / "ssh_config")
    (tmp_path / ".ssh").mkdir()
    return tmp_path


@pytest.fixture
def write(home: Path) -> Write:
    def write(text: str, name: str = ".ssh/config") -> Path:
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


@pytest.fixture(params=["ssh", "parser"])
def environ(request: pytest.FixtureRequest, home: Path) -> Mapping[str, str]:
    """With the ssh binary, and without."""
    path = os.environ["PATH"] if request.param == "ssh" else str(home / "nothing-here")
    return {"HOME": str(home), "PATH": path}


def test_without_a_configuration_nothing_is_said_and_nothing_is_run(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sshconfig, "_run", lambda *_: pytest.fail("ssh was asked"))
    assert resolve(Endpoint("nas", "me", 22), home, os.environ) == HostSettings("nas", "me", 22)


def test_hosts_that_are_not_mentioned_cost_nothing(home: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("# User nobody\nSendEnv LANG\nHost other !nas\n  User me\nHost *\n  HashKnownHosts yes\n")
    monkeypatch.setattr(sshconfig, "_run", lambda *_: pytest.fail("ssh was asked"))
    assert resolve(Endpoint("nas"), home, os.environ) == HostSettings("nas")


def test_what_is_configured_is_found(home: Path, write: Write, environ: Mapping[str, str]) -> None:
    write(
        "Host nas\n  HostName nas.example.com\n  User me\n  Port 2222\n  IdentityFile ~/.ssh/one\n"
        "  IdentityFile %d/two\n  IdentitiesOnly yes\n  IdentityAgent ~/agent.sock\n  ProxyJump %r@b:2200,[::1]:22\n"
        "  UserKnownHostsFile ~/hosts\n  HostKeyAlias alias\n  StrictHostKeyChecking yes\n"
    )
    assert resolve(Endpoint("nas"), home, environ) == HostSettings(
        hostname="nas.example.com",
        user="me",
        port=2222,
        identity_files=(f"{home}/.ssh/one", f"{home}/two"),
        identities_only=True,
        identity_agent=f"{home}/agent.sock",
        jump=(Endpoint("b", "me", 2200), Endpoint("::1", None, 22)),
        user_known_hosts=(f"{home}/hosts",),
        host_key_alias="alias",
        strict="strict",
    )


def test_what_the_registry_says_wins(home: Path, write: Write, environ: Mapping[str, str]) -> None:
    write("Host nas\n  User me\n  Port 2222\n  ProxyCommand nc %h %p %r\n")
    found = resolve(Endpoint("nas", "you", 22), home, environ)
    assert (found.user, found.port, found.proxy_command) == ("you", 22, "nc nas 22 you")


def test_files_that_nobody_configured_are_not_reported(home: Path, write: Write, environ: Mapping[str, str]) -> None:
    write("Host nas\n  User me\n")
    found = resolve(Endpoint("nas"), home, environ)
    assert (found.identity_files, found.user_known_hosts, found.identity_agent, found.jump) == ((), (), None, ())


def test_none_means_none(home: Path, write: Write, environ: Mapping[str, str]) -> None:
    write("Host nas\n  IdentityFile none\n  ProxyJump none\n  IdentityAgent none\n  UserKnownHostsFile none\n")
    found = resolve(Endpoint("nas"), home, environ)
    assert (found.identity_files, found.jump, found.identity_agent) == ((), (), "none")
    assert found.user_known_hosts == (os.devnull,)


@pytest.mark.parametrize(
    ("word", "ours"), [("yes", "strict"), ("no", "off"), ("off", "off"), ("accept-new", "accept-new"), ("ask", None)]
)
def test_host_key_checking_in_our_words(
    home: Path, write: Write, environ: Mapping[str, str], word: str, ours: str | None
) -> None:
    write(f"Host nas\n  StrictHostKeyChecking {word}\n")
    assert resolve(Endpoint("nas"), home, environ).strict == ours


def test_includes_are_followed_and_end_where_they_were_named(
    home: Path, write: Write, environ: Mapping[str, str]
) -> None:
    write("Include conf.d/*.conf ~/elsewhere\nHost nas\n  Include inner\n  Port 7\n")
    write("Host web\n  User a\n", ".ssh/conf.d/1.conf")
    write("Host nas\n  User b\n", "elsewhere")
    write("Host web\n  Port 9\n", ".ssh/inner")
    both = resolve_all([Endpoint("web"), Endpoint("nas")], home, environ)
    assert (both[Endpoint("nas")].user, both[Endpoint("nas")].port) == ("b", 7)
    assert both[Endpoint("web")].user == "a"


def test_an_include_of_itself_ends(home: Path, write: Write) -> None:
    write("Include config\nUser me\n")
    assert len(sshfiles.read(home).text) < 100_000


def test_the_systems_configuration_counts_after_the_users(home: Path, write: Write, environ: Mapping[str, str]) -> None:
    write("Host nas\n  User mine\n")
    write("Host *\n  User theirs\n  Port 2022\n", "etc/ssh_config")
    found = resolve(Endpoint("nas"), home, environ)
    assert (found.user, found.port) == ("mine", 2022)


def test_match_is_understood_by_ssh(home: Path, write: Write) -> None:
    write("Match host nas,web user root\n  Port 2022\n")
    environ = {"PATH": os.environ["PATH"]}
    found = resolve_all([Endpoint("nas", "root"), Endpoint("nas", "me")], home, environ)
    assert [settings.port for settings in found.values()] == [2022, 22]


def test_answers_about_another_home_stay_out(
    home: Path, write: Write, monkeypatch: pytest.MonkeyPatch, environ: Mapping[str, str]
) -> None:
    other = Path(sshconfig._login().pw_dir)  # type: ignore[union-attr]
    write(f"Host nas\n  IdentityFile {other}/.ssh/theirs\n  IdentityFile ~/mine\n  User me\n")
    assert resolve(Endpoint("nas"), home, environ).identity_files == (f"{home}/mine",)


def test_variables_in_paths(home: Path, write: Write) -> None:
    write("Host nas\n  IdentityFile ${KEYS}/key\n  IdentityAgent $MY_SOCK\nHost web\n  IdentityAgent SSH_AUTH_SOCK\n")
    environ = {"PATH": os.environ["PATH"], "KEYS": "/k", "MY_SOCK": "/run/sock"}
    found = resolve_all([Endpoint("nas"), Endpoint("web")], home, environ)
    assert found[Endpoint("nas")].identity_files == ("/k/key",)
    assert found[Endpoint("nas")].identity_agent == "/run/sock"
    assert found[Endpoint("web")].identity_agent is None


def test_paths_with_blanks(home: Path, write: Write) -> None:
    write('Host nas\n  UserKnownHostsFile ~/one "/a b/c"\n')
    assert resolve(Endpoint("nas"), home, os.environ).user_known_hosts == (f"{home}/one", "/a b/c")


def test_a_configuration_ssh_cannot_read_is_one_clear_sentence(home: Path, write: Write) -> None:
    write("Host *\n  User me\n  NoSuchKeyword yes\n")
    with pytest.raises(RequestError, match=r"ssh cannot read its configuration: .*[Nn]o[Ss]uch[Kk]eyword"):
        resolve(Endpoint("nas"), home, os.environ)


def test_each_host_is_asked_once_and_again_after_a_change(
    home: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    run = sshconfig._run

    def counted(command: list[str], endpoint: Endpoint, environ: Mapping[str, str]) -> sshconfig.Answer:
        asked.append(endpoint.host)
        return run(command, endpoint, environ)

    monkeypatch.setattr(sshconfig, "_run", counted)
    write("Host n*\n  User one\n")
    many = [Endpoint("nas"), Endpoint("nas"), Endpoint("net")]
    for _ in range(2):
        assert resolve_all(many, home, os.environ)[Endpoint("nas")].user == "one"
    assert sorted(host for host in asked if host != "localhost") == ["nas", "net"]
    write("Host n*\n  User two\n")
    assert resolve(Endpoint("nas"), home, os.environ).user == "two"


def test_a_large_configuration_is_no_burden_for_hosts_it_does_not_mean(home: Path, write: Write) -> None:
    write("".join(f"Host h{number}\n  User me\n" for number in range(1000)))
    begun = time.perf_counter()
    resolve_all([Endpoint(f"other{number}") for number in range(200)], home, os.environ)
    assert time.perf_counter() - begun < 5


def test_the_hosts_a_configuration_names(home: Path, write: Write) -> None:
    write('Host a "b c" *.x !d\nHost a\nMatch all\nHost=e\n')
    assert sshfiles.read(home).hosts == ("a", "b c", "e")
