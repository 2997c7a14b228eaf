from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_tasks.errors import RequestError, UnknownName
from fleet_tasks.options import Targets
from fleet_tasks.registry import Registry
from fleet_tasks.registry.reading import read
from fleet_tasks.targets import choose

ROSTER = read(
    """
    defaults: {user: deck}
    devices:
      steam-deck: deck@steamdeck.local
      legion-go: {host: legion.local, tags: [gpu, amd]}
      build: {host: admin@build.internal, tags: [gpu]}
      lab[01-04]: {host: "{name}.lab", tags: [lab]}
    groups:
      handhelds: [steam-deck, legion-go]
      lab: ["lab[01-04]"]
      guests: [build, root@10.0.0.7]
      nobody: []
    """,
    "fleet.yaml",
)


def chosen(roster: Registry = ROSTER, /, **flags: str | bool | Iterable[str]) -> list[str]:
    words = {key: (value,) if isinstance(value, str) else value for key, value in flags.items()}
    return [device.name for device in choose(roster, Targets(**words))]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ({"device": "build"}, "build"),
        ({"device": "build,steam-deck"}, "build steam-deck"),
        ({"device": ("build", "steam-deck", "build")}, "build steam-deck"),
        ({"device": "lab[03,01-02]"}, "lab03 lab01 lab02"),
        ({"device": "lab[01,02],build"}, "lab01 lab02 build"),
        ({"device": "*-*"}, "steam-deck legion-go"),
        ({"device": "lab0[!34]"}, "lab01 lab02"),
        ({"device": "lab0?"}, "lab01 lab02 lab03 lab04"),
        ({"group": "handhelds"}, "steam-deck legion-go"),
        ({"group": "hand*,lab", "device": "lab04"}, "lab04 steam-deck legion-go lab01 lab02 lab03"),
        ({"group": "guests"}, "build root@10.0.0.7"),
        ({"all": True}, "steam-deck legion-go build lab01 lab02 lab03 lab04"),
        ({"all": True, "exclude": "lab"}, "steam-deck legion-go build"),
        ({"all": True, "exclude": "lab*,handhelds"}, "build"),
        ({"group": "lab", "exclude": "lab[01-03]"}, "lab04"),
        ({"tag": "gpu"}, "legion-go build"),
        ({"tag": ("lab", "amd")}, "legion-go lab01 lab02 lab03 lab04"),
        ({"group": "handhelds", "tag": "gpu"}, "legion-go"),
        ({"device": "root@10.0.0.9:2222"}, "root@10.0.0.9:2222"),
        ({"device": "10.0.0.9"}, "10.0.0.9"),
        ({"device": "other.example.com"}, "other.example.com"),
        ({"device": "[::1]:22,::1"}, "[::1]:22 ::1"),
        ({"device": "u@h[1-2].x"}, "u@h1.x u@h2.x"),
        ({"group": "guests", "exclude": "root@10.0.0.7"}, "build"),
        ({"all": True, "exclude": "lab,handhelds,admin@build.internal,guests", "device": "x@y"}, "x@y"),
    ],
)
def test_what_is_meant(flags: dict[str, str | bool], names: str) -> None:
    assert chosen(**flags) == names.split()


def test_an_address_that_repeats_a_chosen_device_is_visited_once() -> None:
    assert chosen(device="deck@steamdeck.local,steam-deck") == ["steam-deck"]
    assert chosen(device="deck@steamdeck.local") == ["deck@steamdeck.local"]
    assert chosen(device="a.example.com,deck@a.example.com") == ["a.example.com"]


def test_devices_that_share_an_address_are_all_visited() -> None:
    roster = read("devices: {a: u@h, b: u@h}", "fleet.yaml")
    assert chosen(roster, all=True) == ["a", "b"]
    assert chosen(roster, all=True, exclude="a") == ["b"]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"device": "stem-deck"}, "There is no device 'stem-deck'; did you mean steam-deck?"),
        ({"device": "handhelds"}, "did you mean the group, -g handhelds?"),
        ({"device": "localhost"}, "did you mean user@localhost"),
        ({"device": "lab.01"}, "did you mean lab01?"),
        ({"device": "lab[01-09]"}, "There is no device 'lab05'"),
        ({"group": "handhelts"}, "There is no group 'handhelts'; did you mean handhelds?"),
        ({"group": "build"}, "did you mean the device, -d build?"),
        ({"all": True, "exclude": "lb01"}, "There is no device 'lb01'; did you mean lab01?"),
        ({"tag": "gpus"}, "There is no tag 'gpus'; did you mean gpu?"),
    ],
)
def test_unknown_names_come_with_the_nearest(flags: dict[str, str | bool], says: str) -> None:
    with pytest.raises(UnknownName) as caught:
        chosen(**flags)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({}, "No device was named"),
        ({"device": ","}, "No device was named"),
        ({"device": "x*"}, "No device matches 'x*'"),
        ({"group": "x*"}, "No group matches 'x*'"),
        ({"group": "nobody"}, "There is no device in nobody"),
        ({"group": "nobody", "tag": "gpu"}, "There is no device in nobody"),
        ({"device": "build", "exclude": "build"}, "Every chosen device is excluded"),
        ({"device": "steam-deck", "tag": "gpu"}, "None of the chosen devices carries the tag gpu"),
        ({"device": "all"}, "every device is --all"),
        ({"group": "ALL"}, "every device is --all"),
        ({"device": "web[1-999999999]"}, "999,999,999 names"),
        ({"device": "../x"}, "neither a name nor"),
        ({"device": "-oProxyCommand=x"}, "neither a name nor"),
        ({"device": "u@-oProxyCommand=x"}, "is no host name"),
        ({"device": "u@h:99999"}, "is no port"),
        ({"device": "u@h;x"}, "is no host name"),
    ],
)
def test_nobody_to_visit_is_one_sentence(flags: dict[str, str | bool], says: str) -> None:
    with pytest.raises(RequestError) as caught:
        chosen(**flags)
    assert says in str(caught.value)
    assert caught.value.exit_code == 2


def test_all_of_an_empty_registry() -> None:
    with pytest.raises(RequestError, match="The registry has no devices yet"):
        chosen(Registry.empty(), all=True)


words = st.lists(st.sampled_from([*ROSTER.devices, "lab*", "lab[01-02]", "x@y", "steam-deck,build"]), max_size=4)
group_words = st.lists(st.sampled_from(list(ROSTER.groups)), max_size=3)


@given(words, group_words, st.booleans(), words | group_words)
def test_whatever_is_said_each_device_comes_once_and_none_that_is_excluded(
    device: list[str], group: list[str], everyone: bool, exclude: list[str]
) -> None:
    try:
        names = chosen(device=device, group=group, all=everyone, exclude=exclude)
    except RequestError:
        return
    assert len(set(names)) == len(names) > 0
    try:
        out = chosen(device=[word for word in exclude if word not in ROSTER.groups],
                     group=[word for word in exclude if word in ROSTER.groups])  # fmt: skip
    except RequestError:
        out = []
    assert not set(names) & set(out)


@given(st.text(min_size=1))
def test_any_word_is_a_device_or_a_request_error(text: str) -> None:
    try:
        assert chosen(device=text)
    except RequestError as error:
        assert "\n" not in str(error)
