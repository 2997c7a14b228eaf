"""Which of a release's files is for which device, and whether a program is what it should be.

The names are those of upstream's goreleaser settings (its rule for ``archives``), and those of raw executables, as
version 0.1.1 and forks publish them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from fleet_tasks.agents.contract import Platform

ARCHIVES = {"amd64": "x86_64"}
"""What upstream calls an architecture, where it is not our word."""
ALSO_RUN = {"armv7": ("armv6",)}
"""Architectures whose programs a device can run as well, for releases that have none for its own."""


def program(platform: Platform) -> str:
    """What the program is called in an archive."""
    return "picoclaw.exe" if platform.os == "windows" else "picoclaw"


def asset_names(platform: Platform) -> tuple[str, ...]:
    """What the release's file for a device may be called, best first."""
    return tuple(
        name for arch in (platform.arch, *ALSO_RUN.get(platform.arch, ())) for name in _names(platform.os, arch)
    )


def _names(system: str, arch: str) -> Iterator[str]:
    windows = system == "windows"
    yield f"picoclaw_{system.title()}_{ARCHIVES.get(arch, arch)}.{'zip' if windows else 'tar.gz'}"
    for raw in (f"picoclaw-{system}-{arch}", f"picoclaw-{arch}-{system}", f"picoclaw-{arch}"):
        yield f"{raw}.exe" if windows else raw


def filled(pattern: str, platform: Platform) -> str:
    """A text in which {os} {OS} {arch} {ARCH} stand for the device's own: linux, Linux, amd64, x86_64."""
    words = {
        "{os}": platform.os,
        "{OS}": platform.os.title(),
        "{arch}": platform.arch,
        "{ARCH}": ARCHIVES.get(platform.arch, platform.arch),
    }
    for word, value in words.items():
        pattern = pattern.replace(word, value)
    return pattern


# ELF: e_machine of the System V ABI's registry, with the width that tells riscv64 from riscv32.
_MACHINES = {
    (3, 1): "386", (8, 1): "mips", (8, 2): "mips64", (20, 1): "ppc", (21, 2): "ppc64", (22, 2): "s390x",
    (40, 1): "arm", (62, 2): "amd64", (183, 2): "arm64", (243, 1): "riscv32", (243, 2): "riscv64", (258, 2): "loong64",
}  # fmt: skip
_OTHERS = {b"\xcf\xfa\xed\xfe": "darwin", b"\xca\xfe\xba\xbe": "darwin", b"MZ\x90\0": "windows"}
_ELF_SYSTEMS = ("linux", "android", "freebsd", "netbsd", "openbsd", "dragonfly", "sunos")


def misfit(path: Path, platform: Platform) -> str:
    """What a program is for, when that is not this device; empty when it fits, or when nobody can tell."""
    with path.open("rb") as file:
        head = file.read(20)
    if head.startswith(b"\x7fELF") and len(head) == 20:
        arch = _elf(head)
        if platform.os not in _ELF_SYSTEMS:
            return f"Linux or the like, on {arch}"
        known = platform.arch in _MACHINES.values() or platform.arch.startswith(("arm", "mips", "ppc"))
        return "" if not known or _alike(arch, platform.arch) else arch
    found = next((system for magic, system in _OTHERS.items() if head.startswith(magic)), platform.os)
    return "" if found == platform.os else found


def _elf(head: bytes) -> str:
    little = head[5] == 1
    (machine,) = struct.unpack("<H" if little else ">H", head[18:20])
    arch = _MACHINES.get((machine, head[4]), f"machine {machine}")
    return f"{arch}le" if little and arch in ("mips", "mips64", "ppc64") else arch


def _alike(arch: str, wanted: str) -> bool:
    """Whether a program for ``arch`` is one for the other; ELF's head does not tell the ARM versions apart."""
    return arch == wanted or (arch == "arm" and wanted in ("armv5", "armv6", "armv7", "arm64"))
