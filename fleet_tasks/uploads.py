"""Our half of taking files to a device: the script says how it wants them, we send, it digests, we confirm."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from fleet_tasks.conversation import Conversation, Said, failure
from fleet_tasks.errors import TransferError
from fleet_tasks.frames import Frame
from fleet_tasks.incoming import Reader
from fleet_tasks.transfer import PIECE, Digesting, Manifest, Outgoing, archive, compare, digests


def answer_ready(
    talk: Conversation,
    items: Iterator[Said | Frame],
    ready: Frame,
    entries: Iterable[Outgoing],
    notify: Callable[[bytes], None] = lambda line: None,
    there: Manifest | None = None,
) -> Manifest:
    """Answers a ``ready`` frame; returns what is there when the device's digests are right and it was told so.

    ``there`` is what the device has already, to be checked with the rest. Raises ChecksumMismatch (and nothing is put
    in place), TransferError, or what the script reports.
    """
    manifest = there or Manifest()
    try:
        if ready.rest == "tar":
            archive(_noted(entries, notify), talk.pour, manifest, notify)
        else:
            for entry in _noted(entries, notify):
                _send_plainly(talk, items, entry, manifest, notify)
            talk.say("done")
    except OSError as error:
        what = f"{error.filename} cannot be read" if error.filename else "A file became shorter while it was sent"
        raise TransferError(f"{what}: {error.strerror or error}.") from error
    compare(manifest, *told_digests(items))
    talk.say("commit")
    return manifest


def told_digests(items: Iterator[Said | Frame]) -> tuple[dict[bytes, bytes], str]:
    """The digests the device tells, up to its frame ``check``, by name; and how it made them."""
    style = expect(items, "digests").rest
    reader = Reader(items)
    said = reader.everything()
    if reader.closing is None or reader.closing.word != "check":
        raise failure(reader.closing) if reader.closing and reader.closing.word == "fail" else _cut_off()
    return digests(said), style


def _noted(entries: Iterable[Outgoing], notify: Callable[[bytes], None]) -> Iterator[Outgoing]:
    for entry in entries:
        notify(b"%s, %d bytes" % (os.fsencode(entry.name), entry.size))
        yield entry


def _send_plainly(
    talk: Conversation,
    items: Iterator[Said | Frame],
    entry: Outgoing,
    manifest: Manifest,
    notify: Callable[[bytes], None],
) -> None:
    """One entry where the device has no tar: a line, the name, the bytes, each waited for."""
    name = os.fsencode(entry.name) + b"."
    kind = "folder" if entry.folder else "file"
    talk.say(f"{kind} {entry.mode:o} {entry.size} {len(name)}")
    expect(items, "next")
    talk.send(name)
    expect(items, "name")
    if not entry.folder:
        left = entry.size
        with entry.path.open("rb") as source:
            digest = Digesting(source, entry, notify)
            while left and (piece := digest.read(min(left, PIECE))):
                talk.pour(piece)
                left -= len(piece)
        if left:
            raise TransferError(f"{entry.path} became shorter while it was sent.")
        manifest.add(entry, digest.hexdigest)
    expect(items, "stored")


def expect(items: Iterator[Said | Frame], *words: str) -> Frame:
    """The next frame, which must be one of ``words``; raises TransferError, or what the script reports."""
    for item in items:
        if isinstance(item, Frame):
            if item.word in words:
                return item
            wanted = " or ".join(words)
            raise failure(item) if item.word == "fail" else TransferError(f"The device said {item.word}, not {wanted}.")
    raise _cut_off()


def _cut_off() -> TransferError:
    return TransferError("The device stopped in the middle of a transfer.")
