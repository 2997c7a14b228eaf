"""A stream is told apart into the task's bytes and our words, however the network cut it."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import assume, given
from hypothesis import strategies as st

from fleet_tasks import frames
from fleet_tasks.frames import Frame, Frames

NONCE = b"0123456789abcdef0123456789abcdef"

#: What a task may write: anything, and with a liking for what looks like the beginning of a frame.
OUTPUT = st.one_of(st.binary(max_size=40), st.integers(1, 33).map(lambda size: (NONCE + b" ")[:size][:32]))
WORDS = st.builds(
    Frame,
    st.sampled_from(["fact", "says", "exit", "fail"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=20),
)
PIECES = st.lists(st.one_of(OUTPUT, WORDS), max_size=12)


def written(pieces: Iterable[bytes | Frame]) -> bytes:
    """The bytes that a script sends for some pieces, of which no task can guess the nonce."""
    pieces = list(pieces)
    stream = b"".join(
        piece if isinstance(piece, bytes) else NONCE + f" {piece.word} {piece.rest}\n".encode() for piece in pieces
    )
    assume(stream.count(NONCE + b" ") == sum(isinstance(piece, Frame) for piece in pieces))
    return stream


def joined(pieces: Iterable[bytes | Frame]) -> list[bytes | Frame]:
    """The same pieces with neighbouring bytes in one."""
    found: list[bytes | Frame] = []
    for piece in pieces:
        if isinstance(piece, bytes) and found and isinstance(found[-1], bytes):
            found[-1] += piece
        elif piece != b"":
            found.append(piece)
    return found


def heard(stream: bytes, sizes: list[int]) -> tuple[Frames, list[bytes | Frame]]:
    """What comes of a stream in pieces of these sizes, over and over."""
    found: list[bytes | Frame] = []
    listener, at, turn = Frames(NONCE), 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        found += listener.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    return listener, joined([*found, listener.rest()])


@given(st.binary(max_size=60), PIECES, st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_any_cut_gives_the_same_pieces(noise: bytes, pieces: list[bytes | Frame], sizes: list[int]) -> None:
    stream = noise + NONCE + b" begin\n" + written(pieces) + NONCE + b" end \nnobody's bytes"
    listener, found = heard(stream, sizes)
    assert found == joined([*pieces, Frame("end")])
    assert (listener.begun, listener.ended, listener.noise) == (True, True, noise)


@given(PIECES, st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_a_link_that_breaks_loses_no_byte_of_the_task(pieces: list[bytes | Frame], sizes: list[int]) -> None:
    listener, found = heard(NONCE + b" begin\n" + written(pieces), sizes)
    assert found == joined(pieces)
    assert not listener.ended


@given(st.binary(max_size=400), st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_a_login_shell_that_only_chatters_says_nothing_of_ours(noise: bytes, sizes: list[int]) -> None:
    listener, found = heard(noise, sizes)
    assert found == []
    assert not listener.begun


def test_noise_is_kept_by_its_end_and_not_for_ever() -> None:
    listener = Frames(NONCE)
    assert list(listener.feed(b"x" * 100_000 + b"the last words")) == []
    assert len(listener.noise) == 4096
    assert listener.noise.endswith(b"the last words")


def test_a_frame_that_never_ends_is_not_listened_to_for_ever() -> None:
    listener = Frames(NONCE)
    list(listener.feed(NONCE + b" begin\n" + NONCE + b" fact "))
    for _ in range(20):
        assert list(listener.feed(b"x" * (frames.LONGEST // 10))) == []
    assert listener.ended
    assert len(listener._held) <= frames.LONGEST * 1.2
    assert listener.rest() == b""


def test_the_arguments_of_a_frame() -> None:
    assert Frame("said", "3  ended").parts == ["3", "ended"]
    assert Frame("end").parts == []
