"""The real program, as a user starts it, against the bench."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import warm
from tests.bench import Bench


@dataclass(frozen=True)
class Said:
    """How a command ended and what it wrote."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """Standard output as the one JSON document that it is."""
        document: dict[str, Any] = json.loads(self.stdout)
        return document

    @property
    def results(self) -> list[dict[str, Any]]:
        """The document's entries."""
        results: list[dict[str, Any]] = self.document["results"]
        return results


def fleet(bench: Bench, *words: str, cwd: Path | None = None, seconds: float = 120, **variables: str) -> Said:
    """Runs ``fleet WORDS`` in the bench's home (or ``cwd``), with further environment variables."""
    done = warm.run(words, bench.environment(**variables), cwd or bench.home, seconds)
    return Said(done.returncode, done.stdout, done.stderr)


@contextlib.contextmanager
def started(bench: Bench, *words: str, **variables: str) -> Iterator[warm.Started]:
    """The program at work in the background; ended with the block, if it still is."""
    program = warm.start(words, bench.environment(**variables), bench.home)
    try:
        yield program
    finally:
        program.kill()
        program.communicate()


def holding(text: str, *places: Path) -> list[str]:
    """The files that hold ``text``, in some folders and wherever else an agent may write."""
    common = [*Path("/tmp").glob("clio_*"), *Path(tempfile.gettempdir()).glob("fleet-tasks-*")]
    files = [each for place in (*places, *common) for each in ([place] if place.is_file() else place.rglob("*"))]
    found = []
    for path in files:
        with contextlib.suppress(OSError):  # a file of a run that ends just now
            if path.is_file() and text.encode() in path.read_bytes():
                found.append(str(path))
    return found
