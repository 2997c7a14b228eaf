from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_tasks import ranges
from fleet_tasks.errors import RequestError

good_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True).filter(ranges.is_name)
numbered = st.builds("{}{:0{}d}{}".format, st.sampled_from(["lab", "r1n", "a-", ""]), st.integers(0, 300),
                     st.integers(1, 4), st.sampled_from(["", "x", ".b2"]))  # fmt: skip


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("lab", ("lab",)),
        ("lab[01-03]", ("lab01", "lab02", "lab03")),
        ("lab[8-11]", ("lab8", "lab9", "lab10", "lab11")),
        ("lab[3,1]x", ("lab3x", "lab1x")),
        ("r[1-2]n[1-2]", ("r1n1", "r1n2", "r2n1", "r2n2")),
    ],
)
def test_a_range_means_its_names_in_the_order_written(text: str, meant: tuple[str, ...]) -> None:
    assert ranges.names(text) == meant


def test_addresses_may_hold_ranges_too() -> None:
    assert ranges.expand("deck@10.0.0.[7-8]:22") == ("deck@10.0.0.7:22", "deck@10.0.0.8:22")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("web[1-999999999]", "999,999,999 names"),
        ("web[1-100][1-100][1-100]", "1,000,000 names"),
        ("web[1-" + "9" * 3000 + "]", "more than a trillion"),
        ("web[3-1]", r"write \[1-3\]"),
        ("web[01-3]", "as many digits"),
        ("web[]", "holds no range"),
        ("web[1-]", "holds no range"),
        ("x" * 5000, "too long"),
        ("x" * 200, "128 characters"),
        ("../x", "is no name"),
        ("-oProxyCommand=sh", "is no name"),
        ("a b", "is no name"),
        ("l\u0430b", "is no name"),
        ("lab\n", "is no name"),
        ("All", "every device is --all"),
        ("", "is empty"),
    ],
)
def test_what_is_no_name_is_refused_in_one_sentence(text: str, says: str) -> None:
    with pytest.raises(RequestError, match=says) as caught:
        ranges.names(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@given(st.text())
def test_any_text_gives_names_or_a_request_error(text: str) -> None:
    try:
        meant = ranges.names(text)
    except RequestError:
        return
    assert 1 <= len(meant) <= ranges.MOST
    assert all(ranges.is_name(name) for name in meant)


@given(st.text(alphabet="ab019[],-*:@"))
def test_any_text_of_signs_is_bounded(text: str) -> None:
    try:
        assert len(ranges.expand(text)) <= ranges.MOST
    except RequestError as error:
        assert error.exit_code == 2


@given(st.lists(good_names | numbered, max_size=40))
def test_folding_loses_and_adds_no_name(names: list[str]) -> None:
    folded = ranges.split(ranges.fold(names))
    assert {name for part in folded for name in ranges.names(part)} == set(names)


@given(st.sampled_from(["lab", "r1n"]), st.integers(0, 50), st.integers(1, 50), st.integers(2, 4))
def test_a_row_of_names_folds_back_into_its_range(prefix: str, first: int, more: int, width: int) -> None:
    text = f"{prefix}[{first:0{width}d}-{first + more:0{width}d}]"
    if len(str(first + more)) <= width:
        assert ranges.fold(ranges.names(text)) == text


def test_addresses_are_shown_as_they_are() -> None:
    assert ranges.fold(["lab02", "deck@10.0.0.7", "lab01", "[::1]:22"]) == "lab[01-02],deck@10.0.0.7,[::1]:22"
    assert ranges.fold([]) == ""


@given(st.lists(st.sampled_from(["a", "lab[1,3]", "b[1-2,5]x", "u@h:22"]), min_size=1))
def test_a_comma_list_comes_apart_outside_brackets_only(parts: list[str]) -> None:
    assert ranges.split(",".join(parts)) == tuple(parts)


def test_a_long_comma_list_takes_no_time() -> None:
    assert ranges.split("[" + "," * 100_000) == ("[" + "," * 100_000,)
    assert ranges.split("," * 100_000) == ()


def test_ranges_and_globs_are_told_apart() -> None:
    assert ranges.is_range("lab[1-2]") and not ranges.is_glob("lab[1-2]")
    assert ranges.is_glob("lab*") and ranges.is_glob("lab[ab]") and not ranges.is_range("lab[ab]")
    assert not ranges.is_glob("lab") and not ranges.is_range("lab")


def test_the_nearest_name_ignores_case_and_nonsense_has_none() -> None:
    assert ranges.nearest("Steam-Dek", ["steam-deck", "legion-go"]) == "steam-deck"
    assert ranges.nearest("zzz", ["steam-deck"]) is None
    assert ranges.nearest("x" * 1_000_000, ["steam-deck"]) is None
