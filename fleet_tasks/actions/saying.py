"""What an agent's own scripts say, between two frames of ours: key=value lines, and how they ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from fleet_tasks.conversation import Said
from fleet_tasks.frames import Frame
from fleet_tasks.record import record

LONGEST = 1 << 16
"""Bytes of an agent's script output that are looked at."""
SECONDS = 45
"""Seconds an agent's status or teardown script may take: ended on the device, before we would stop listening to it."""
INSTALLING = 900
"""Seconds its deploy script may take: it may fetch hundreds of megabytes."""


@record
class Saying:
    """The output of one script of an agent: its values by key, everything as text, its exit status.

    ``allowed`` is how many seconds it had, where they were not enough.
    """

    status: int | None = None
    values: dict[str, str] = field(default_factory=dict)
    text: str = ""
    allowed: str = ""

    @property
    def ready(self) -> bool:
        """Whether the agent says that it can work; its script must have ended well, too."""
        return self.status == 0 and not self.allowed and self.values.get("ready", "yes") in ("yes", "true", "1")

    @property
    def reason(self) -> str:
        """Why not, in the agent's words."""
        if self.ready:
            return ""
        last = self.text.strip().splitlines()[-1:]
        if self.allowed:
            return f"its script took longer than {self.allowed} s and was ended" + (f"; {last[0]}" if last else "")
        return self.values.get("reason", last[0] if last else f"its script exited with {self.status}")


def listen(items: Iterator[Said | Frame]) -> Saying:
    """Reads on after a frame ``says``, up to the frame ``said``."""
    data = b""
    for item in items:
        if isinstance(item, Said):
            data = (data + item.data)[-LONGEST:]
        elif item.word == "said":
            text = data.decode("utf-8", "replace")
            pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
            status, why, seconds = item.parts
            values = {key.strip(): value.strip() for key, value in pairs}
            return Saying(int(status), values, text, seconds if why == "timed-out" else "")
    return Saying()


def supervision(mark: str, seconds: int = SECONDS) -> dict[str, object]:
    """What the supervisor wants to know for a script of an agent."""
    return {"timeout": seconds, "ticks": 10, "mark": mark, "task": "", "workdir": "/"}
