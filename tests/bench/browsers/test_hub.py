"""The server's memory: lines between commands and pages, over connections that break and pages that go."""

from __future__ import annotations

import os
import threading

import pytest

from edgecv.bench.browsers.hub import ABSENT_S, Hub, Stale, called
from edgecv.core.errors import DeviceError

FACTS = {"browser": "Firefox", "os": "Linux", "version": "140.0"}
OWNER, OTHER = 11, 22


class Clock:
    """Seconds that pass when told to; waiting for nothing lets them pass too."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1e-3
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def alive() -> set[int]:
    return {OWNER, OTHER}


@pytest.fixture
def hub(clock: Clock, alive: set[int]) -> Hub:
    return Hub(clock, alive.__contains__)


def told(hub: Hub, tab: str = "t", page: str = "p", after: int = 0) -> list[tuple[str, str]]:
    messages, _ = hub.poll(tab, page, after, timeout_s=0)
    return [(message.kind, message.line) for message in messages]


def test_lines_go_both_ways(hub):
    assert hub.attach("t", "p", FACTS, "127.0.0.1").name == "firefox-linux"
    session = hub.open("", OWNER)
    hub.send(session, "hello")
    assert told(hub) == [("open", ""), ("line", "hello")]
    hub.reply("t", "p", session, 1, "world")
    assert hub.receive(session, 0) == "world"
    assert hub.receive(session, 0) is None
    hub.close(session)
    hub.close(session)
    assert told(hub, after=2) == [("close", "")]


def test_what_a_broken_connection_lost_comes_again_and_answers_count_once(hub):
    hub.attach("t", "p", FACTS, "127.0.0.1")
    session = hub.open("firefox-linux", OWNER)
    hub.send(session, "one")
    assert told(hub) == told(hub) == [("open", ""), ("line", "one")]
    hub.send(session, "two")
    assert told(hub, after=2) == [("line", "two")]
    assert told(hub, after=3) == []
    for _ in range(3):
        hub.reply("t", "p", session, 1, "answer")
    hub.reply("t", "p", session, 2, "next")
    assert [hub.receive(session, 0) for _ in range(3)] == ["answer", "next", None]


def test_a_waiting_page_and_a_waiting_command_are_woken():
    hub = Hub()
    hub.attach("t", "p", FACTS, "127.0.0.1")
    heard: list[object] = []
    waiting = threading.Thread(target=lambda: heard.append(hub.poll("t", "p", 0, 30.0)[0][0].kind))
    waiting.start()
    session = hub.open("", os.getpid())
    waiting.join(5)
    assert heard == ["open"]
    answered = threading.Thread(target=lambda: heard.append(hub.receive(session, 30.0)))
    answered.start()
    hub.reply("t", "p", session, 1, "line")
    answered.join(5)
    assert heard == ["open", "line"]


@pytest.mark.parametrize("how", ["leave", "reload", "same page again", "silence", "died", "ended"])
def test_what_ends_a_page_ends_its_sessions_with_a_reason(hub, clock, how):
    hub.attach("t", "p", FACTS, "127.0.0.1")
    session = hub.open("", OWNER)
    if how == "leave":
        hub.leave("t", "p")
    elif how == "reload":
        hub.attach("t", "another page", FACTS, "127.0.0.1")
    elif how == "same page again":
        hub.attach("t", "p", FACTS, "127.0.0.1")
    elif how == "silence":
        told(hub)
        clock.now += ABSENT_S + 1
    elif how == "died":
        hub.reply("t", "p", session, 1, None, "out of memory")
    else:
        hub.end()
    said = {"leave": "closed, left or loaded again", "reload": "loaded again", "same page again": "loaded again",
            "silence": "silent for 21 s", "died": "out of memory", "ended": "ended"}[how]  # fmt: skip
    for ask in (lambda: hub.receive(session, 100), lambda: hub.send(session, "x")):
        with pytest.raises(DeviceError, match=said) as caught:
            ask()
        assert "what was finished is kept" in caught.value.hint
    hub.close(session)


def test_lines_that_came_before_the_end_are_still_read(hub):
    hub.attach("t", "p", FACTS, "127.0.0.1")
    session = hub.open("", OWNER)
    hub.reply("t", "p", session, 1, "last words")
    hub.leave("t", "p")
    assert hub.receive(session, 0) == "last words"
    with pytest.raises(DeviceError):
        hub.receive(session, 0)


def test_a_reload_keeps_name_and_results_and_turns_the_old_page_away(hub):
    hub.attach("t", "p", FACTS, "127.0.0.1", wanted="My Phone!")
    hub.record("t", "p", {"model": "a"})
    hub.record("t", "p", {"model": "b"})
    back = hub.attach("t", "q", FACTS, "127.0.0.1")
    assert (back.name, back.results) == ("my-phone", [{"model": "b"}, {"model": "a"}])
    for ask in (lambda: told(hub), lambda: hub.record("t", "p", {}), lambda: hub.reply("t", "p", "s", 1, "x")):
        with pytest.raises(Stale) as caught:
            ask()
        assert caught.value.taken
    with pytest.raises(Stale) as caught:
        told(hub, tab="nobody")
    assert not caught.value.taken


def test_names_tell_browsers_apart_and_are_free_again_when_one_has_gone(hub):
    names = [hub.attach(tab, "p", FACTS, "127.0.0.1").name for tab in ("a", "b", "c")]
    assert names == ["firefox-linux", "firefox-linux-2", "firefox-linux-3"]
    hub.leave("b", "p")
    assert hub.attach("d", "p", FACTS, "127.0.0.1").name == "firefox-linux-2"
    assert called({}) == "browser"
    assert called({"browser": "<script>", "os": "../.."}) == "script"


def test_a_browser_is_named_or_the_only_one(hub):
    with pytest.raises(DeviceError, match="no browser is connected"):
        hub.open("", OWNER)
    with pytest.raises(DeviceError, match="'x' is not connected"):
        hub.open("x", OWNER)
    hub.attach("a", "p", FACTS, "127.0.0.1")
    hub.attach("b", "p", {**FACTS, "os": "Android"}, "127.0.0.1")
    with pytest.raises(DeviceError, match="2 browsers are connected") as caught:
        hub.open("", OWNER)
    assert "browser:firefox-android, browser:firefox-linux" in caught.value.hint
    with pytest.raises(DeviceError, match="'firefox-lunix' is not connected") as wrong:
        hub.open("firefox-lunix", OWNER)
    assert "connected: browser:firefox-android, browser:firefox-linux" in wrong.value.hint
    assert hub.open("firefox-android", OWNER)


def test_one_command_at_a_time_uses_a_browser_and_a_killed_one_sets_it_free(hub, alive):
    hub.attach("t", "p", FACTS, "127.0.0.1")
    mine = [hub.open("", OWNER), hub.open("", OWNER)]
    assert [one.busy for one in hub.connected()] == [True]
    with pytest.raises(DeviceError, match="in use by another command"):
        hub.open("", OTHER)
    alive.remove(OWNER)
    assert hub.open("", OTHER)
    assert told(hub).count(("close", "")) == 2
    with pytest.raises(DeviceError, match="ended"):
        hub.send(mine[0], "x")


def test_a_page_answers_for_its_own_sessions_only(hub):
    hub.attach("a", "p", FACTS, "127.0.0.1")
    session = hub.open("", OWNER)
    hub.attach("b", "p", FACTS, "127.0.0.2")
    hub.reply("b", "p", session, 1, "forged")
    assert hub.receive(session, 0) is None


def test_the_end_of_the_server_is_told(hub):
    hub.attach("t", "p", FACTS, "127.0.0.1")
    hub.end()
    assert hub.poll("t", "p", 0, 10)[1] is True
