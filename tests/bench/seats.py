"""The addresses of a server, each with the home and the login that a device of a test gets there."""

from __future__ import annotations

import contextlib
import random
import shlex
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CLEAN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Seat:
    """One address of the server: the place that a device of a test can take."""

    number: int
    host: str
    port: int
    home: Path
    login: Path

    def settle(self, shell: str, path: str) -> None:
        """Empty the home and say which login shell and PATH a session gets."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(mode=0o700, parents=True)
        script = _LOGIN.format(
            home=self.home,
            shell=shlex.quote(shell),
            path=shlex.quote(path),
            temporary=shlex.quote(tempfile.gettempdir()),
        )
        self.login.write_text(script)
        self.login.chmod(0o755)


# sshd hands a forced command to the account's own shell; this script then does what sshd would have
# done for a device with a home and a login shell of its own. Every step is an exec: no process is added.
_LOGIN = """\
#!/bin/sh
HOME={home} SHELL={shell} PATH={path} TMPDIR={temporary}
export HOME SHELL PATH TMPDIR
cd "$HOME" || cd /
unset SHLVL PWD OLDPWD _
if [ -z "${{SSH_ORIGINAL_COMMAND+set}}" ]; then exec "$SHELL" -l; fi
fleet_bench_command=$SSH_ORIGINAL_COMMAND
unset SSH_ORIGINAL_COMMAND
exec "$SHELL" -c "$fleet_bench_command"
"""


def seats_on_loopback(folder: Path, addresses: int) -> Iterator[Seat]:
    """So many addresses and ports that are free, each with the folder of its home."""
    # Linux answers on all of 127.0.0.0/8; macOS on 127.0.0.1 alone, so there every device is a port.
    own_address = sys.platform == "linux"
    hosts = [f"127.0.0.{number}" if own_address else "127.0.0.1" for number in range(1, addresses + 1)]
    port = _free_port(hosts) if own_address else 0
    for number, host in enumerate(hosts, 1):
        home, login = folder / "homes" / f"{number:03}", folder / f"login{number}"
        yield Seat(number, host, port or _free_port([host]), home, login)


def _free_port(hosts: Sequence[str]) -> int:
    for _attempt in range(200):
        port = random.randrange(20000, 32000)  # below what systems hand out to outgoing connections
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for host in hosts:
                stack.enter_context(socket.socket()).bind((host, port))
            return port
    raise TimeoutError("There is no free port on loopback.")
