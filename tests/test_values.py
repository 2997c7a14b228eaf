"""What flags and settings say becomes a value, or one sentence."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_tasks import options, values
from fleet_tasks.errors import RequestError
from fleet_tasks.options import FORMATS, AnyOf, Connecting, Limits, Output, Targets, Work

RECORDS = [kind for kind in vars(options).values() if isinstance(kind, type) and dataclasses.is_dataclass(kind)]
FIELDS = [field for kind in RECORDS for field in dataclasses.fields(kind)]

VALUED = [field for field in FIELDS if field.metadata["kind"] not in ("yes", "maybe")]


def field(record: type, name: str) -> dataclasses.Field[Any]:
    return next(field for field in dataclasses.fields(record) if field.name == name)


def refusal(record: type, name: str, text: object, refused: bool = False) -> str:
    with pytest.raises(RequestError) as caught:
        values.read(field(record, name), text, refused=refused)
    return str(caught.value)


@pytest.mark.parametrize("each", FIELDS, ids=lambda each: each.name)
def test_what_is_not_given_is_the_default(each: dataclasses.Field[Any]) -> None:
    assert values.read(each, None) == each.default
    assert values.setting(each, "x", None) is None
    assert values.setting(each, "x", "") is None


@given(st.sampled_from(FIELDS), st.text(max_size=20))
def test_any_text_is_a_value_or_one_sentence_that_names_the_flag(each: dataclasses.Field[Any], text: str) -> None:
    flag = "--" + each.name.replace("_", "-")
    try:
        values.read(each, [text] if each.metadata["kind"] in ("names", "many") else text)
    except RequestError as error:
        assert str(error).startswith(flag)
        assert "\n" not in str(error)
        assert str(error).isprintable()


@pytest.mark.parametrize("each", VALUED, ids=lambda each: each.name)
@pytest.mark.parametrize("nothing", ["", "  ", "\t"])
def test_an_empty_value_is_refused(each: dataclasses.Field[Any], nothing: str) -> None:
    """A variable that is unset in ``-x "$KEEP"`` must not mean: leave nobody out."""
    with pytest.raises(RequestError, match="is empty"):
        values.read(each, [nothing] if each.metadata["kind"] in ("names", "many") else nothing)


def test_comma_lists_come_apart_but_not_inside_a_range() -> None:
    device = field(Targets, "device")
    assert values.read(device, ["lab[1,3],x", "y , z"]) == ("lab[1,3]", "x", "y", "z")
    assert values.read(device, "a,b") == ("a", "b")
    assert "is empty" in refusal(Targets, "device", ["a", ","])


def test_repeatable_values_that_are_no_names_are_taken_whole() -> None:
    assert values.read(field(Work, "send"), ["a,b=c, d", " e"]) == ("a,b=c, d", " e")


@given(st.floats(min_value=1e-3, max_value=1e9))
def test_seconds_are_read(seconds: float) -> None:
    assert values.read(field(Work, "timeout"), repr(seconds)) == seconds


@pytest.mark.parametrize("text", ["abc", "0", "-1", "nan", "inf", "1e400", "5s", "1,5"])
def test_what_are_no_seconds(text: str) -> None:
    assert refusal(Work, "timeout", text) == f"--timeout wants seconds, a number above 0, not {text!r}."


def test_a_grace_may_be_none_at_all() -> None:
    assert values.read(field(Limits, "grace"), "0") == 0
    assert refusal(Limits, "grace", "-0.1") == "--grace wants seconds, a number from 0, not '-0.1'."


@given(st.integers(min_value=1, max_value=10**9 - 1))
def test_counts_are_read(number: int) -> None:
    assert values.read(field(AnyOf, "any"), str(number)) == number


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "x", "+1", "１", "9" * 5000, "1\n"])
def test_what_are_no_counts(text: str) -> None:
    assert refusal(Connecting, "parallel", text).startswith("--parallel wants a whole number from 1, not ")


def test_no_second_attempt_is_a_number_too() -> None:
    assert values.read(field(Connecting, "retries"), "0") == 0
    assert refusal(Connecting, "retries", "-1") == "--retries wants a whole number from 0, not '-1'."


@pytest.mark.parametrize("text", ["1", "17", "1%", "20%", "100%"])
def test_failures_are_a_number_or_a_share(text: str) -> None:
    assert values.read(field(Limits, "max_failures"), text) == text


@pytest.mark.parametrize("text", ["0", "0%", "00", "101%", "-1", "5 %", "%", "many"])
def test_what_are_no_failures(text: str) -> None:
    assert "wants a number from 1 or a percentage such as 20%" in refusal(Limits, "max_failures", text)


def test_a_format_that_is_none_is_told_the_nearest() -> None:
    assert values.read(field(Output, "format"), "json") == "json"
    assert refusal(Output, "format", "jsn") == "--format does not know 'jsn'; did you mean json?"
    assert refusal(Output, "format", "yaml") == f"--format does not know 'yaml'; there are {', '.join(FORMATS)}."


def test_a_flag_with_three_states() -> None:
    cleanup = field(Work, "cleanup")
    assert (values.read(cleanup, True), values.read(cleanup, False, refused=True)) == (True, False)
    assert values.read(cleanup, False) is None
    assert refusal(Work, "cleanup", True, refused=True) == "--cleanup and --no-cleanup contradict each other."


@pytest.mark.parametrize(("given", "meant"), [(True, True), ("1", True), ("Yes", True), ("on", True),
                                              (False, False), (0, False), ("no", False), ("OFF", False)])  # fmt: skip
def test_switches_are_set_by_the_words_people_use(given: object, meant: bool) -> None:
    assert values.setting(field(Output, "quiet"), "x", given) is meant
    assert values.setting(field(Work, "cleanup"), "x", given) is meant


@pytest.mark.parametrize(
    ("record", "name", "given", "sentence"),
    [
        (Output, "quiet", "maybe", "HERE wants yes or no, not 'maybe'."),
        (Connecting, "parallel", True, "HERE wants a whole number from 1, not 'True'."),
        (Connecting, "parallel", 1.5, "HERE wants a whole number from 1, not '1.5'."),
        (Work, "timeout", [3], "HERE wants seconds, a number above 0, not '[3]'."),
    ],
)
def test_a_wrong_setting_is_called_what_it_is_called(record: type, name: str, given: object, sentence: str) -> None:
    with pytest.raises(RequestError) as caught:
        values.setting(field(record, name), "HERE", given)
    assert str(caught.value) == sentence


def test_settings_of_every_kind_are_read() -> None:
    assert values.setting(field(Connecting, "parallel"), "x", 8) == 8
    assert values.setting(field(Work, "timeout"), "x", 1.5) == 1.5
    assert values.setting(field(Limits, "max_failures"), "x", "10%") == "10%"
    assert values.setting(field(Output, "format"), "x", "table") == "table"
