"""Who is connected, and the lines between commands and pages: the server's memory, without any network in it.

A command opens a session in a browser; its page starts a worker for it, and lines go both ways until one side ends it.
Messages to a page are kept until the page has asked for later ones, and answers are numbered, so that a connection
which breaks and comes back loses nothing. A page that is loaded again is another one: its sessions have ended.
"""

from __future__ import annotations

import itertools
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgecv.core.errors import DeviceError

ABSENT_S = 20.0
"""After so long without asking for messages a page is taken for gone: closed, or a phone that sleeps."""
MOST_RESULTS = 50
POLL_S = 15.0
"""How long a page waits for messages before it asks again."""
Clock = Callable[[], float]


class Stale(Exception):
    """A page speaks that the hub does not know, or another one has taken its place; `taken` says which."""

    def __init__(self, *, taken: bool) -> None:
        super().__init__("taken over" if taken else "unknown")
        self.taken = taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a page is told.

    Attributes:
        number: Of the page's messages, from 1.
        kind: "open", "line" or "close".
    """

    number: int
    session: str
    kind: str
    line: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """A browser that is there, for those who look for one.

    Attributes:
        facts: What its page says of it; see docs/browser.md.
        address: From which it comes.
        busy: Whether a command uses it.
    """

    name: str
    facts: Mapping[str, Any]
    address: str
    busy: bool


@dataclass
class _Session:
    id: str
    owner: int
    tab: str
    lines: list[str] = field(default_factory=list)
    heard: int = 0
    ended: str = ""


@dataclass
class _Tab:
    id: str
    page: str
    name: str
    facts: Mapping[str, Any]
    address: str
    seen: float
    waiting: int = 0
    left: bool = False
    numbers: Any = field(default_factory=lambda: itertools.count(1))
    messages: list[Message] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)


class Hub:
    """Holds tabs and sessions; every method may be called by any thread.

    Args:
        clock: Seconds.
        is_alive: Says whether a process of this host is there: a killed command's sessions end.
    """

    def __init__(self, clock: Clock = time.monotonic, is_alive: Callable[[int], bool] | None = None) -> None:
        self._clock = clock
        self._is_alive = is_alive or _is_alive
        self._tabs: dict[str, _Tab] = {}
        self._sessions: dict[str, _Session] = {}
        self._changed = threading.Condition()
        self._ended = False

    # ---- what pages do

    def attach(self, tab: str, page: str, facts: Mapping[str, Any], address: str, wanted: str = "") -> _Tab:
        """Take a page in, and return what the hub knows of its tab; sessions of the tab's earlier page end."""
        with self._changed:
            known = self._tabs.get(tab)
            self._end_sessions(tab, "the tab was loaded again while it ran")
            results = known.results if known is not None else []
            kept = known.name if known is not None and not wanted else ""
            name = self._free_name(kept or _slug(wanted) or called(facts), tab)
            self._tabs[tab] = _Tab(
                id=tab, page=page, name=name, facts=dict(facts), address=address, seen=self._clock(), results=results
            )
            self._changed.notify_all()
            return self._tabs[tab]

    def poll(self, tab: str, page: str, after: int, timeout_s: float = POLL_S) -> tuple[tuple[Message, ...], bool]:
        """Return the messages after number `after`, waiting for one; and whether the server has ended.

        Raises:
            Stale: The page must attach, or has been replaced.
        """
        deadline = self._clock() + timeout_s
        with self._changed:
            known = self._known(tab, page)
            known.waiting += 1
            try:
                while True:
                    self._known(tab, page)
                    known.seen = self._clock()
                    known.messages = [message for message in known.messages if message.number > after]
                    if known.messages or self._ended or known.seen >= deadline:
                        return tuple(known.messages), self._ended
                    self._changed.wait(min(1.0, deadline - known.seen))
            finally:
                known.waiting -= 1
                known.seen = self._clock()

    def reply(self, tab: str, page: str, session: str, number: int, line: str | None, died: str = "") -> None:
        """Take an answer of a session, once. Raises Stale as `poll`."""
        with self._changed:
            self._known(tab, page).seen = self._clock()
            found = self._sessions.get(session)
            if found is None or found.tab != tab or number <= found.heard:
                return
            found.heard = number
            if line is None:
                found.ended = found.ended or f"the browser could not go on: {died[:500]}"
            else:
                found.lines.append(line)
            self._changed.notify_all()

    def leave(self, tab: str, page: str) -> None:
        """Take notice that a page was closed, or is about to be loaded again."""
        with self._changed:
            known = self._tabs.get(tab)
            if known is not None and known.page == page:
                known.left = True
                self._end_sessions(tab, "the tab was closed, left or loaded again while it ran")
                self._changed.notify_all()

    def record(self, tab: str, page: str, result: Any) -> None:
        """Keep what a page shows of something that it did, the newest first. Raises Stale as `poll`."""
        with self._changed:
            known = self._known(tab, page)
            known.results.insert(0, result)
            del known.results[MOST_RESULTS:]

    # ---- what commands do

    def connected(self) -> tuple[Connected, ...]:
        """Return who is there."""
        with self._changed:
            self._sweep()
            used = {session.tab for session in self._sessions.values() if not session.ended}
            return tuple(
                Connected(name=tab.name, facts=tab.facts, address=tab.address, busy=tab.id in used)
                for tab in self._tabs.values()
                if self._why_gone(tab) is None
            )

    def open(self, name: str, owner: int) -> str:
        """Begin a session in a browser.

        Args:
            name: As its page shows it; "" takes the only one.
            owner: The command's process: one command at a time uses a browser.

        Raises:
            DeviceError: None is there, several are and none was named, or another command uses it.
        """
        with self._changed:
            self._sweep()
            tab = self._named(name)
            others = {one.owner for one in self._sessions.values() if one.tab == tab.id and not one.ended} - {owner}
            if others:
                raise DeviceError(
                    f"{tab.name} is in use by another command (process {min(others)}): two would disturb each other",
                    hint="wait for it, or use another browser",
                )
            session = _Session(id=secrets.token_hex(8), owner=owner, tab=tab.id)
            self._sessions[session.id] = session
            self._tell(tab, session.id, "open")
            return session.id

    def send(self, session: str, line: str) -> None:
        """Pass a command's line on. Raises DeviceError when the session has ended."""
        with self._changed:
            found = self._alive(session)
            self._tell(self._tabs[found.tab], session, "line", line)

    def receive(self, session: str, timeout_s: float) -> str | None:
        """Return the next line of a session; None when none comes in time. Raises DeviceError when it has ended."""
        deadline = self._clock() + timeout_s
        with self._changed:
            while True:
                found = self._sessions.get(session)
                if found is not None and found.lines:
                    return found.lines.pop(0)
                self._alive(session)
                now = self._clock()
                if now >= deadline:
                    return None
                self._changed.wait(min(1.0, deadline - now))

    def close(self, session: str) -> None:
        """End a session; the page ends its worker. Safe to call twice."""
        with self._changed:
            found = self._sessions.pop(session, None)
            if found is not None and not found.ended and found.tab in self._tabs:
                self._tell(self._tabs[found.tab], session, "close")

    def end(self) -> None:
        """Tell everybody that the server ends."""
        with self._changed:
            self._ended = True
            for session in self._sessions.values():
                session.ended = session.ended or "the server of browsers was ended"
            self._changed.notify_all()

    # ---- within, under the lock

    def _known(self, tab: str, page: str) -> _Tab:
        found = self._tabs.get(tab)
        if found is not None and found.page != page:
            raise Stale(taken=True)
        if found is None or found.left:
            raise Stale(taken=False)
        return found

    def _tell(self, tab: _Tab, session: str, kind: str, line: str = "") -> None:
        tab.messages.append(Message(number=next(tab.numbers), session=session, kind=kind, line=line))
        self._changed.notify_all()

    def _alive(self, session: str) -> _Session:
        found = self._sessions.get(session)
        if found is None:
            raise DeviceError("the session in the browser has ended", hint="give the same command again: it goes on")
        gone = found.ended or self._why_gone(self._tabs.get(found.tab))
        if gone:
            found.ended = gone
            raise DeviceError(
                gone, hint="open the link again; what was finished is kept: --out FILE goes on from there"
            )
        return found

    def _why_gone(self, tab: _Tab | None) -> str | None:
        if tab is None or tab.left:
            return "the tab was closed or left"
        if not tab.waiting and self._clock() - tab.seen > ABSENT_S:
            silent_s = self._clock() - tab.seen
            return f"the tab has been silent for {silent_s:.0f} s: closed, in the background, or the phone sleeps"
        return None

    def _end_sessions(self, tab: str, why: str) -> None:
        for session in self._sessions.values():
            if session.tab == tab and not session.ended:
                session.ended = why
        self._changed.notify_all()

    def _sweep(self) -> None:
        """End the sessions of commands that were killed."""
        for session in list(self._sessions.values()):
            if not self._is_alive(session.owner):
                del self._sessions[session.id]
                if session.tab in self._tabs:
                    self._tell(self._tabs[session.tab], session.id, "close")

    def _named(self, name: str) -> _Tab:
        there = {tab.name: tab for tab in self._tabs.values() if self._why_gone(tab) is None}
        return there[chosen(name, there)]

    def _free_name(self, name: str, tab: str) -> str:
        taken = {one.name for one in self._tabs.values() if one.id != tab and self._why_gone(one) is None}
        candidates = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
        return next(one for one in candidates if one not in taken)


def chosen(name: str, there: Iterable[str]) -> str:
    """Return which browser a name means: the one that has it, or with "" the only one.

    Raises:
        DeviceError: None is there; it is not among them; or several are, and none was named.
    """
    names = sorted(there)
    listed = ", ".join(f"browser:{one}" for one in names)
    if name and name not in names:
        # A phone that went away comes back: no mistake in the command, so that launches are tried again.
        others = f"; connected: {listed}" if names else ""
        raise DeviceError(f"the browser '{name}' is not connected", hint=f"open the server's link in it{others}")
    if not names:
        raise DeviceError("no browser is connected", hint="open the link that the server shows")
    if not name and len(names) > 1:
        raise DeviceError(f"{len(names)} browsers are connected, and none was named", hint=f"--device one of: {listed}")
    return name or names[0]


def called(facts: Mapping[str, Any]) -> str:
    """Return a name for a browser from what it says of itself: "firefox-linux"."""
    words: Sequence[str] = [_slug(str(facts.get(key) or "")) for key in ("browser", "os")]
    return "-".join(word for word in words if word) or "browser"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40]


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
