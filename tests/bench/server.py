"""A real OpenSSH server on loopback, with throw-away keys, one login per address."""

from __future__ import annotations

import contextlib
import getpass
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.processes import PATIENCE, end, processes
from tests.bench.seats import CLEAN_PATH, Seat, seats_on_loopback

#: There is no busybox for macOS.
SHELLS = ("bash", "dash", *(["busybox"] if sys.platform == "linux" else []), "fish", "tcsh", "zsh")
#: OpenSSH's sshd takes at most 16 listening sockets (MAX_LISTEN_SOCKS in its sshd.c).
_PER_DAEMON = 16


@dataclass
class Sshd:
    """Running servers that share one key pair, one configuration and one port."""

    folder: Path
    seats: tuple[Seat, ...]
    key: Path
    host_key: Path
    logs: tuple[Path, ...]
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def user(self) -> str:
        """Who everybody logs in as: whoever runs the tests."""
        return getpass.getuser()

    def sizes(self) -> tuple[int, ...]:
        """How much each log holds by now, to read on from later."""
        return tuple(log.stat().st_size for log in self.logs)

    def log(self, since: Sequence[int] = ()) -> str:
        """What the servers said, all of it or since then, at LogLevel INFO."""
        starts = itertools.chain(since, itertools.repeat(0))
        said = b"".join(log.read_bytes()[start:] for log, start in zip(self.logs, starts, strict=False))
        return said.decode(errors="replace")

    @property
    def public_key(self) -> str:
        """The host key that every address shows: its kind and its blob."""
        return " ".join(self.host_key.with_suffix(".pub").read_text().split()[:2])

    def sweep(self) -> list[int]:
        """End what sessions left running in the devices' homes; the ids of what was there."""
        return end(p.pid for p in processes(f"{self.folder}/homes/"))


@contextlib.contextmanager
def running_sshd(options: Sequence[str] = (), addresses: int = 20) -> Iterator[Sshd]:
    """Start a server that listens on so many addresses, and end it with all its sessions.

    ``options`` are further lines of sshd_config; they win over the bench's own. Raises
    ``FileNotFoundError`` when there is no OpenSSH server, ``TimeoutError`` when it does not come up.
    """
    folder = Path(tempfile.mkdtemp(prefix="fleet-bench-"))
    try:
        for name in ("client", "host"):
            _make_key(folder / f"{name}_key")
        shutil.copy(folder / "client_key.pub", folder / "authorized_keys")
        (folder / "nobody").mkdir()
        sshd = _start(folder, options, addresses)
        try:
            with _guarded(sshd.daemons):
                yield sshd
        finally:
            end(daemon.pid for daemon in sshd.daemons)
            for daemon in sshd.daemons:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(daemon.pid, signal.SIGKILL)
                daemon.wait(10)
            sshd.sweep()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _guarded(daemons: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """See to it that the servers end also when this program is killed and cannot end them."""
    groups = [f"-{daemon.pid}" for daemon in daemons]
    watch = ["sh", "-c", 'read -r _; kill -KILL "$@"', "watch", *groups]
    with subprocess.Popen(watch, stdin=subprocess.PIPE, start_new_session=True) as watcher:
        try:
            yield
        finally:
            watcher.kill()


def sshd_binary() -> str:
    """The server's absolute path, without which it refuses to start."""
    found = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:{CLEAN_PATH}")
    if found is None:
        raise FileNotFoundError("There is no OpenSSH server: install the package openssh-server.")
    return found


def shell_path(folder: Path, name: str) -> str:
    """The login shell's absolute path; busybox gets a link that makes it a shell."""
    found = shutil.which(name, path=CLEAN_PATH) or shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"There is no {name}: install the package {name}.")
    if name != "busybox":
        return found
    link = folder / "ash"
    with contextlib.suppress(FileExistsError):
        link.symlink_to(found)
    return str(link)


def _make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.stem, "-f", str(path)], check=True)


def _start(folder: Path, options: Sequence[str], addresses: int) -> Sshd:
    for _attempt in range(5):
        seats = tuple(seats_on_loopback(folder, addresses))
        batches = [seats[at : at + _PER_DAEMON] for at in range(0, addresses, _PER_DAEMON)]
        logs = tuple(folder / f"log{number}" for number in range(len(batches)))
        sshd = Sshd(folder, seats, folder / "client_key", folder / "host_key", logs)
        for seat in seats:
            seat.settle("/bin/sh", CLEAN_PATH)
        for batch, log in zip(batches, logs, strict=True):
            sshd.daemons.append(_daemon(folder, batch, log, options))
        if all(_listens(*each) for each in zip(sshd.daemons, batches, logs, strict=True)):
            return sshd
        end(daemon.pid for daemon in sshd.daemons)
        for daemon in sshd.daemons:
            daemon.wait(10)
    raise TimeoutError(f"The SSH server did not come up: {sshd.log()}")


def _daemon(folder: Path, seats: Sequence[Seat], log: Path, options: Sequence[str]) -> subprocess.Popen[bytes]:
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    config = log.with_suffix(".conf")
    given = {option.split()[0] for option in options}  # most words count where they stand first, MaxStartups last
    usual = [setting for setting in _settings(folder) if setting.split()[0] not in given]
    config.write_text("\n".join([*options, *usual, *_matches(seats)]) + "\n")
    with log.open("wb") as stream:
        return subprocess.Popen(
            [sshd_binary(), "-D", "-e", "-f", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )


def _settings(folder: Path) -> list[str]:
    sftp = next((p for p in _SFTP_SERVERS if Path(p).exists()), "internal-sftp")
    return [
        f"HostKey {folder}/host_key",
        f"AuthorizedKeysFile {folder}/authorized_keys",
        f"Subsystem sftp {sftp}",
        # The shell that runs the forced command is not the device's: it must find no rc file.
        f"SetEnv HOME={folder}/nobody",
        f"UsePAM {'yes' if _locked() else 'no'}",
        "PidFile none",
        "StrictModes no",
        "PermitRootLogin prohibit-password",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitUserRC no",
        "PrintMotd no",
        "PrintLastLog no",
        "UseDNS no",
        "AcceptEnv LANG LC_*",
        "MaxStartups 2000",
        "MaxSessions 2000",
        "LogLevel INFO",
        *(["PerSourcePenalties no"] if _version() >= (9, 8) else []),
    ]


def _matches(seats: Sequence[Seat]) -> list[str]:
    several = len({seat.host for seat in seats}) == len(seats)
    listen = [f"ListenAddress {seat.host}:{seat.port}" for seat in seats]
    for seat in seats:
        listen.append(f"Match LocalAddress {seat.host}" if several else f"Match LocalPort {seat.port}")
        listen.append(f"    ForceCommand {seat.login}")
    return listen


_SFTP_SERVERS = (
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/libexec/sftp-server",
    "/usr/lib/ssh/sftp-server",
)


def _locked() -> bool:
    """Whether sshd without PAM would refuse this account because its password is locked."""
    if os.getuid() != 0 or not Path("/etc/shadow").exists():
        return False
    return f"\n{getpass.getuser()}:!" in "\n" + Path("/etc/shadow").read_text()


def _version() -> tuple[int, int]:
    said = subprocess.run([sshd_binary(), "-V"], capture_output=True, text=True, check=False)
    found = re.search(r"OpenSSH_(\d+)\.(\d+)", said.stdout + said.stderr)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _listens(daemon: subprocess.Popen[bytes], seats: Sequence[Seat], log: Path) -> bool:
    until = time.monotonic() + PATIENCE
    while daemon.poll() is None and time.monotonic() < until:
        said = log.read_text()
        if said.count("Server listening on") == len(seats):
            return True
        if "Bind to port" in said:
            return False
        time.sleep(0.01)
    return False
