"""kill -9 of the program while it trades with the stand-in of TWS, again and again, and what is found after each start.

Orders of one leg and of two are simulated, sent, filled in parts, cancelled and replaced, books are flattened and
safety states set when it dies: at a named step (`order_deaths`) or at any moment. The stand-in goes on meanwhile.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from guardrails.flatten.plan_json import wish_json
from guardrails.flatten.values import Wish
from tests.books import ROOT
from tests.order_checks import differences, kept_wrong, resolved, safety_wrong, verified
from tests.order_deaths import FLATTEN_AIMS, ORDER_AIMS, SAFETY_AIMS, START_AIMS
from tests.order_program import AHEAD, GoneError, Program
from tests.order_venue import ACCOUNT, FAULTS, SHORTS, Venue, seconds_ahead, venue

AIMED_SECONDS, CHOSEN_SECONDS = 6.0, 60.0
"""so long a program may take to come to the step at which it is to die, and to one that was chosen because it is
reached; then it is killed where it is"""
AGREE_SECONDS = 40.0
FLAT_SECONDS = 60.0
_AIMS = {"orders": ORDER_AIMS, "flatten": FLATTEN_AIMS, "safety": SAFETY_AIMS}


@dataclass
class Life:
    """One life of the program, and what was wrong after it."""

    kind: str
    aim: str
    """the step at which it was to die; empty: at a moment"""
    met: bool = False
    """whether it died there"""
    seconds: float = 0.0
    """from its start to the end of the look at what it left"""
    sent: int = 0
    """orders the stand-in has had by then"""
    doubted: int = 0
    """orders that nobody knew when the program came back"""
    restarts: int = 0
    """times that the next program died as well while it took up what was before"""
    wrong: list[str] = field(default_factory=list)


class Crashes:
    """A venue, a data folder, and the lives that the program has on both."""

    def __init__(self, at: Venue, folder: Path, dice: random.Random, url: str = "", aims: tuple[str, ...] = ()) -> None:
        """`aims` are taken in turn instead of any."""
        settings = {"DATABASE_URL": url} if url else {}
        self.at, self.folder, self.dice, self.url = at, folder, dice, url
        matrix = folder / "matrix.yaml"
        matrix.write_text(walking((ROOT / "risk_matrix.yaml").read_text(encoding="utf-8")), encoding="utf-8")
        self.program = Program(folder, at.port, {AHEAD: str(at.ahead), "GUARDRAILS_MATRIX": str(matrix), **settings})
        self._aims, self._aimed_seconds = list(aims), CHOSEN_SECONDS if aims else AIMED_SECONDS
        self.safety = {"NORMAL"}
        """what the state may be after the next start, as far as a person has set it"""
        self.flat_due = False
        """whether a flatten was confirmed and is to be carried to its end"""

    def live(self, kind: str) -> Life:
        """Live until kill -9, come back, and look at what was left."""
        life = Life(kind, self._aim(kind))
        began = time.monotonic()
        self._positions(kind)
        self.program.start(life.aim)
        try:
            is_gone = self._is_gone_after(kind, life)
            life.met = bool(life.aim) and self.program.ended(30.0 if is_gone else 0.3)
            self.program.kill()
            self.at.mend()
            self.at.goes_on(self.dice)
            life.wrong += verified(self.folder, self.url)
            self._come_back(life)
        except (AssertionError, TimeoutError, GoneError) as error:  # a finding as any other: the next life goes on
            life.wrong.append(f"{type(error).__name__}: {error}")
        finally:
            self.program.kill()
        life.sent, life.seconds = sum(self.at.sent().values()), time.monotonic() - began
        return life

    def _is_gone_after(self, kind: str, life: Life) -> bool:
        """Whether the program does not answer any more; that it has ended may be known a moment later."""
        try:
            self._act(kind, life)
        except GoneError:
            return True
        return False

    def _aim(self, kind: str) -> str:
        if self._aims:
            return self._aims.pop(0)
        if self.dice.random() < 0.2:
            return ""
        return f"{self.dice.choice(_AIMS[kind])} {self.dice.choice((1, 1, 1, 2))}"

    def _positions(self, kind: str) -> None:
        """Something to flatten."""
        if kind == "flatten":
            self.at.hold(SHORTS)

    # --- a life

    def _act(self, kind: str, life: Life) -> None:
        program, dice = self.program, self.dice
        now = program.ready()
        if now["safety"] == "STOPPED":
            self._set_safety("REDUCE_ONLY")
        if dice.random() < 0.3:
            self.at.control("fault", dice.choice(FAULTS), times=1)
        if kind == "safety":
            self._set_safety(dice.choice(("REDUCE_ONLY", "NO_NEW_RISK", "STOPPED")))
        if kind == "flatten":
            self._flatten()
        else:
            self._send()
        end = time.monotonic() + (self._aimed_seconds if life.aim else dice.uniform(0.0, 3.0))
        while time.monotonic() < end and program.is_alive:
            time.sleep(dice.uniform(0.0, 0.1))
            self._stir(life, flattens=kind == "flatten")

    def _set_safety(self, state: str) -> None:
        before = self.safety
        self.safety = before | {state}  # while it is not answered it may be either
        told = self.program.ask("safety", state=state, reason="round")
        self.safety = {state} if told["said"] == "done" else before

    def _send(self) -> None:
        program, dice = self.program, self.dice
        orders = [self._exit() for _ in range(dice.randint(1, 3))]
        answers = [program.answer(number) for number in [program.put("simulate", order=order) for order in orders]]
        for order, told in zip(orders, answers, strict=True):
            approval = json.loads(told["content"])["approval"] if told["said"] == "done" else None
            if approval is None:
                assert self.safety != {"NORMAL"}, told  # an exit is always approved but in STOPPED
                continue
            program.put("submit", order=order, token=approval["token"], origin="api")

    def _exit(self) -> str:
        """Some of the longs sold, one of them or both as one package."""
        dice = self.dice
        symbols = [self.at.put(5750), self.at.put(5700, "SPX", "next_monthly")]
        chosen = symbols if dice.random() < 0.4 else [dice.choice(symbols)]
        legs = [
            {"symbol": one.key.partition(":")[2], "side": "SELL", "quantity": quantity}
            for quantity in [dice.randint(2, 6)] for one in chosen
        ]  # fmt: skip
        limit = -sum(31.9 if one is symbols[0] else 26.4 for one in chosen) + dice.choice((-0.1, 0.0, 0.1))
        order = {"account": ACCOUNT, "order_type": "LIMIT", "limit_price": round(limit, 2), "tif": "DAY", "legs": legs}
        return json.dumps(order)

    def _flatten(self) -> None:
        program, plan, end = self.program, {"phrase": ""}, time.monotonic() + AGREE_SECONDS
        while not plan["phrase"]:  # the first quotes come a moment later than the positions
            assert time.monotonic() < end, plan
            told = program.ask("flatten_plan", wish=wish_json(Wish()))
            assert told["said"] == "done", told
            plan = json.loads(told["content"])
        self.flat_due = True
        program.put("flatten", plan=plan["key"], phrase=plan["phrase"])

    def _stir(self, life: Life, *, flattens: bool) -> None:
        """Something happens to an order, at the venue or because a person wants it; mostly what leads to the aim."""
        dice, working = self.dice, self.at.working()
        if not working:
            return
        key = dice.choice(working)
        chances = {"fill": 4, "whole": 2, "end": 1, "cancel": 2, "replace": 2}
        if flattens:
            chances |= {"end": 0, "cancel": 0, "replace": 0, "nothing": 20 if "reprice" in life.aim else 0}
        elif "cancel" in life.aim:
            chances |= {"cancel": 20}
        match dice.choices(list(chances), list(chances.values()))[0]:
            case "fill" | "whole" as size:
                self.at.fill(key, dice, whole=size == "whole")
            case "end":
                self.at.end(key)
            case "cancel":
                self.program.put("cancel", order=key)
            case "replace":
                limit = float(self.at.orders()[key]["lmtPrice"] or 0.0)
                self.program.put("replace", order=key, limit=str(round(-abs(limit) - 0.1, 2)))

    # --- after it

    def _come_back(self, life: Life) -> None:
        """Start again, now and then killed once more on the way, and hold what is shown and kept against the venue."""
        program, dice = self.program, self.dice
        while dice.random() < 0.3 and life.restarts < 3:
            life.restarts += 1
            program.start(f"{dice.choice(START_AIMS)} {dice.choice((1, 1, 2))}")
            end = time.monotonic() + dice.uniform(1.0, 8.0)
            with suppress(GoneError):
                while time.monotonic() < end and program.state()["problem"]:
                    time.sleep(0.05)
                time.sleep(max(min(end - time.monotonic(), dice.uniform(0.0, 1.0)), 0.0))
            program.kill()
            life.wrong += verified(self.folder, self.url)
        program.start()
        program.ready()
        now = self._agree(life)
        life.doubted, wrong = resolved(program, self.at, now)
        life.wrong += wrong + safety_wrong(now, self.safety, doubted=life.doubted)
        self._flat(life)
        if life.doubted or self.flat_due:
            self._agree(life)
        self.flat_due = False
        end = time.monotonic() + AGREE_SECONDS
        while (wrong := kept_wrong(self.folder, self.url, self.at, program.state())) and time.monotonic() < end:
            time.sleep(0.3)
        life.wrong += wrong

    def _agree(self, life: Life) -> dict[str, Any]:
        """What the program shows, once it had time to ask the venue."""
        end = time.monotonic() + AGREE_SECONDS
        while True:
            self.at.confirm_cancels()
            now = self.program.state()
            wrong = [*differences(now, self.at)]
            if not wrong or time.monotonic() > end:
                life.wrong += wrong
                return now
            time.sleep(0.1)

    def _flat(self, life: Life) -> None:
        """A flatten that was confirmed goes on by itself until fresh positions show nothing any more."""
        program = self.program
        runs = program.state()["runs"]
        if not self.flat_due or not runs:
            return
        end = time.monotonic() + FLAT_SECONDS
        while any(state != "done" for state, *_ in program.state()["runs"].values()):
            if time.monotonic() > end:
                life.wrong.append(f"the flatten does not end: {program.state()['runs']}")
                return
            for key in self.at.working():
                self.at.fill(key, self.dice, whole=True)
            resolved(program, self.at, program.state())
            time.sleep(0.1)
        told = program.state()
        still = {number: held for number, held in self.at.held().items() if number in SHORTS and held}
        for key, (_, flat, words) in told["runs"].items():
            own = [one for one in told["records"].values() if one["flatten"] == key]
            if flat and still and max(told["runs"]) == key:
                life.wrong.append(f"it says {words!r}, and {still} are held")
            if not flat and not still and all(one["state"] == "FILLED" for one in own):
                life.wrong.append(f"all is closed, and it says {words!r}")


def walking(matrix: str) -> str:
    """The shipped matrix, with a flatten that walks its limits each second."""
    told = yaml.safe_load(matrix)
    told["orders"]["flatten"]["step_seconds"] = 1
    return str(yaml.safe_dump(told, sort_keys=False))


KINDS = ("orders", "safety", "flatten", "orders")


def crash_many(
    folder: Path, kills: int, seed: int, url: str = "", aims: tuple[str, ...] = (), kinds: tuple[str, ...] = KINDS
) -> Iterator[Life]:
    """So many lives, each ended by kill -9; one after the other as it was found."""
    dice = random.Random(seed)  # noqa: S311  # seeded on purpose
    with venue(seconds_ahead()) as at:
        crashes = Crashes(at, folder, dice, url, aims)
        for number in range(kills):
            yield crashes.live(kinds[number % len(kinds)])
