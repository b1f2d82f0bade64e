"""What-if previews: IBKR's own answer to what an order would do to the margin, with nothing placed.

Facts that bite: figures are texts, and unset ones are 1.797e308, empty or `null`; ib_async gives no timeout, waits for
ever after errors it takes for warnings (321 of a read-only API) and drops an answer without margins together with the
broker's words in it. Whatever is not said is "margin unknown", never "no margin".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime

import ib_async
from ib_async.wrapper import RequestError

from guardrails.errors import OrderError
from guardrails.orders import Figure, Order, Preview
from guardrails.redaction import redact
from guardrails.values import finite

_SMART_ROUTED = ("STK", "OPT")
_FUTURES = ("FUT", "FOP")
_PASSING = frozenset({399, 404, 10167})
"""words about an order that lives on: the answer still comes; so with 2100 to 2199"""
NOT_NONE = "margin unknown, not none"


def bag(order: Order, contracts: Sequence[ib_async.Contract]) -> tuple[ib_async.Contract, ib_async.Order]:
    """What TWS is sent for `order`, whose legs are `contracts` in the same order: one contract, or a BAG of them.

    A BAG is always bought, so that its legs keep their own sides; bought below zero it brings a credit. OrderError when
    a leg has no contract number or no exchange, or when the legs cannot be one package.
    """
    if len(contracts) != len(order.legs):
        raise OrderError(f"the order has {len(order.legs)} legs, but {len(contracts)} contracts were found for them.")
    exchanges = [_exchange(contract) for contract in contracts]
    if len(contracts) == 1:
        single = copy(contracts[0])
        single.exchange = exchanges[0]
        return single, _order(order, _side(order.legs[0].ratio), order.quantity * abs(order.legs[0].ratio))
    legs = [
        ib_async.ComboLeg(conId=contract.conId, ratio=abs(leg.ratio), action=_side(leg.ratio), exchange=exchange)
        for leg, contract, exchange in zip(order.legs, contracts, exchanges, strict=True)
    ]
    package = ib_async.Contract(
        secType="BAG",
        symbol=contracts[0].symbol,
        exchange=_package_exchange(contracts, exchanges),
        currency=_only("currencies", [contract.currency for contract in contracts]),
        comboLegs=legs,
    )
    sent = _order(order, "BUY", order.quantity)
    if package.exchange == "SMART" and _may_leg_out({contract.secType for contract in contracts}):
        sent.smartComboRoutingParams = [ib_async.TagValue("NonGuaranteed", "1")]
    return package, sent


def _exchange(contract: ib_async.Contract) -> str:
    """Where one leg trades; positions come without it, and TWS refuses an order without it (321)."""
    name = contract.localSymbol or contract.symbol or contract.secType
    if not contract.conId:
        raise OrderError(f"{name} has no IBKR contract number: look the contract up first.")
    exchange = "SMART" if contract.secType in _SMART_ROUTED else contract.exchange
    if not exchange:
        raise OrderError(f"{name} has no exchange: look the contract up first.")
    return exchange


def _package_exchange(contracts: Sequence[ib_async.Contract], exchanges: Sequence[str]) -> str:
    """Futures and their options trade as one package on their own exchange, everything else on SMART."""
    if all(contract.secType in _FUTURES for contract in contracts):
        return _only("exchanges", exchanges)
    return "SMART"


def _only(what: str, values: Sequence[str]) -> str:
    if len(set(values)) > 1:
        raise OrderError(f"the legs have the {what} {', '.join(sorted(set(values)))}: one package has one.")
    return values[0]


def _may_leg_out(types: set[str]) -> bool:
    """IBKR guarantees no package of mixed types or of shares alone and refuses it (10043) unless told so."""
    return len(types) > 1 or types == {"STK"}


def _side(ratio: int) -> str:
    return "BUY" if ratio > 0 else "SELL"


def _order(order: Order, action: str, quantity: int) -> ib_async.Order:
    """The order without its contract. A price below zero is received, which for a sale is TWS's price above zero."""
    sent = ib_async.Order(
        action=action,
        totalQuantity=quantity,
        orderType="MKT",
        tif=order.time_in_force.value,
        account=order.account.number,
        transmit=True,
        outsideRth=False,
    )
    if order.at_close:
        sent.orderType = "MOC"
    if order.limit is not None:
        sent.orderType = "LMT"
        sent.lmtPrice = order.limit if action == "BUY" else 0.0 - order.limit
    return sent


def read_state(state: ib_async.OrderState, time: datetime, base_currency: str) -> Preview:
    """The preview one answer of TWS gives; `unknown` names the figures it leaves out, with the broker's own words."""
    initial = _figure(state.initMarginBefore, state.initMarginChange, state.initMarginAfter)
    maintenance = _figure(state.maintMarginBefore, state.maintMarginChange, state.maintMarginAfter)
    equity = _figure(state.equityWithLoanBefore, state.equityWithLoanChange, state.equityWithLoanAfter)
    named = {"initial margin": initial, "maintenance margin": maintenance, "equity with loan": equity}
    missing = [f"{name} after" for name, figure in named.items() if figure.after is None]
    words = _lines(state.warningText)
    return Preview(
        time=time,
        initial_margin=initial,
        maintenance_margin=maintenance,
        equity_with_loan=equity,
        currency=base_currency,
        commission=finite(state.commission),
        commission_range=(finite(state.minCommission), finite(state.maxCommission)),
        commission_currency=state.commissionCurrency,
        warnings=words,
        unknown=_with_words(f"IBKR did not say {', '.join(missing)}: {NOT_NONE}", words) if missing else "",
    )


def _figure(before: object, change: object, after: object) -> Figure:
    return Figure(finite(before), finite(change), finite(after))


def _lines(text: str | None) -> tuple[str, ...]:
    """The broker's words line by line, account numbers masked."""
    return tuple(redact(line.strip()) for line in (text or "").splitlines() if line.strip())


def _with_words(sentence: str, words: Sequence[str]) -> str:
    return f"{sentence}. IBKR: {' '.join(words)}" if words else sentence


@dataclass(slots=True, eq=False, weakref_slot=True)  # ib_async's events hold listeners weakly, by identity
class _Heard:
    """What IBKR says about one question besides the answer itself."""

    contract: ib_async.Contract
    """an object of this question alone: late words about an earlier one name another"""
    words: list[str] = field(default_factory=list)
    answer: asyncio.Future[ib_async.OrderState] | None = None
    refusal: RequestError | None = None
    first_id: int = 0
    without_margin: bool = False
    """an answer came that names no margin; TWS may send a full one after it"""

    async def asked(self, ib: ib_async.IB, order: ib_async.Order) -> ib_async.OrderState:
        """The answer; RequestError with the broker's words when it is refused."""
        self.first_id = ib.client.getReqId()
        self.answer = asyncio.ensure_future(ib.whatIfOrderAsync(self.contract, order))
        state = await self.answer
        if isinstance(state, ib_async.OrderState):
            return state
        # an empty list is what ib_async makes of a refusal when it does not raise request errors
        raise self.refusal or RequestError(self.first_id, 0, "no reason given")

    @contextmanager
    def listening(self, ib: ib_async.IB) -> Iterator[None]:
        """Hear errors, and answers without a margin: ib_async drops those, and fails over one that says `null`."""
        pass_on, was = ib.wrapper.openOrder, vars(ib.wrapper).get("openOrder")

        def open_order(
            order_id: int, contract: ib_async.Contract, order: ib_async.Order, state: ib_async.OrderState
        ) -> None:
            if order.whatIf and finite(state.initMarginChange) is None:
                if order_id > self.first_id:  # no late answer to an earlier question
                    self.without_margin = True
                    self._say(_lines(state.warningText))
            else:
                pass_on(order_id, contract, order, state)

        ib.errorEvent += self._error
        ib.disconnectedEvent += self._lost
        ib.wrapper.openOrder = open_order  # type: ignore[method-assign,assignment]  # no event tells of a what-if
        try:
            yield
        finally:
            ib.errorEvent -= self._error
            ib.disconnectedEvent -= self._lost
            if was is None:
                del ib.wrapper.openOrder  # the class's own shows again
            else:
                ib.wrapper.openOrder = was  # type: ignore[method-assign]  # as above

    def added_to(self, preview: Preview) -> Preview:
        """`preview` with the words heard before it."""
        return replace(preview, warnings=tuple(dict.fromkeys((*self.words, *preview.warnings))))

    def _error(self, request_id: int, code: int, text: str, contract: ib_async.Contract | None) -> None:
        if contract is not self.contract:
            return
        if code in _PASSING or 2100 <= code < 2200:
            self._say(_lines(text))
            return
        self.refusal = RequestError(request_id, code, text)
        self._end(self.refusal)

    def _lost(self) -> None:
        """A link that we close ourselves fails no request of ib_async's."""
        self._end(ConnectionError("disconnected"))

    def _end(self, error: Exception) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(error)

    def _say(self, lines: Sequence[str]) -> None:
        self.words.extend(line for line in lines if line not in self.words)


async def ask(
    ib: ib_async.IB,
    contract: ib_async.Contract,
    order: ib_async.Order,
    *,
    lock: asyncio.Lock,
    timeout: float,  # noqa: ASYNC109  # it is counted from the moment the question is sent, not while it queues
    clock: Callable[[], datetime],
    base_currency: str,
) -> Preview:
    """What IBKR says `order` would do; every way of not saying it is a preview whose `unknown` tells why.

    One question at a time per `lock`: `timeout` seconds begin when it is this one's turn. `ib` raises request errors.
    """
    async with lock:
        heard = _Heard(copy(contract))
        try:
            with heard.listening(ib):
                async with asyncio.timeout(timeout):
                    state = await heard.asked(ib, order)
        except RequestError as error:
            reason = f"IBKR refused ({error.code}): {redact(error.message)}"
        except TimeoutError:
            did = "named no margin" if heard.without_margin else "did not answer"
            reason = _with_words(f"IBKR {did} within {timeout:g} s: {NOT_NONE}", heard.words)
        except ConnectionError:
            reason = f"the link to IBKR was lost: {NOT_NONE}"
        else:
            return heard.added_to(read_state(state, clock(), base_currency))
        return Preview(time=clock(), currency=base_currency, warnings=tuple(heard.words), unknown=reason)
