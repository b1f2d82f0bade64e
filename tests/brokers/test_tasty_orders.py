"""The orders of the stand-in, seen by the unmodified SDK: its models read the answers, its errors the refusals."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tastytrade import Account
from tastytrade.instruments import NestedFutureOptionChain, NestedOptionChain, Option
from tastytrade.order import AdvancedInstructions, LimitOrder, OrderAction, OrderStatus
from tastytrade.utils import TastytradeError

from tests.brokers.driving import drive
from tests.brokers.tasty import Tasty
from tests.brokers.tasty_driving import CALL, MAIN, SPX_AM, client, notices, seen, stand_in


async def limit(session: object, symbol: str, action: OrderAction, size: int, price: str, **more: object) -> LimitOrder:
    option = await Option.get(session, symbol)  # type: ignore[call-overload]  # any session
    return LimitOrder(legs=[option.build_leg(size, action)], price=Decimal(price), **more)


def test_an_order_is_placed_replaced_filled_and_cancelled() -> None:
    async def work(tasty: Tasty) -> None:
        async with client(tasty) as session, notices(tasty, session) as stream:
            account = await Account.get(session, MAIN)
            await stream.subscribe_accounts([account])
            wanted = await limit(session, SPX_AM, OrderAction.BUY_TO_OPEN, 4, "-26.5", external_identifier="mine")
            placed = (await account.place_order(session, wanted, dry_run=False)).order
            assert (placed.status, placed.price, placed.external_identifier) == ("Received", Decimal("-26.5"), "mine")
            assert await seen(lambda: tasty.order("mine")["status"] == "Live")
            tasty.fill("mine", 1)
            (now, *_) = await account.get_live_orders(session)
            assert (now.status, now.legs[0].remaining_quantity) == (OrderStatus.LIVE, 3)
            assert [fill.fill_price for fill in now.legs[0].fills or []] == [Decimal("26.5")]
            raised = await limit(session, SPX_AM, OrderAction.BUY_TO_OPEN, 4, "-26.7", external_identifier="mine")
            after = await account.replace_order(session, placed.id, raised)
            assert (after.replaces_order_id, after.legs[0].quantity, after.price) == (placed.id, 3, Decimal("-26.7"))
            assert await seen(lambda: tasty.order(placed.id)["status"] == "Cancelled")
            assert await seen(lambda: tasty.order(after.id)["status"] == "Live")
            await account.delete_order(session, after.id)
            assert await seen(lambda: tasty.order(after.id)["status"] == "Cancelled")
            with pytest.raises(TastytradeError, match="invalid_order_status"):
                await account.delete_order(session, after.id)
            assert [row["method"] for row in tasty.orders] == ["POST", "PUT", "DELETE", "DELETE"]
            positions = await account.get_positions(session)
            assert next(each for each in positions if each.symbol == SPX_AM).quantity == 2  # 1 was held

    with stand_in(trades=True) as tasty:
        drive(work(tasty))


def test_a_close_of_nothing_opens_unless_the_order_is_strict() -> None:
    async def work(tasty: Tasty) -> None:
        async with client(tasty) as session:
            account = await Account.get(session, MAIN)
            tasty.set_position(MAIN, CALL, 0)
            order = await limit(session, CALL, OrderAction.BUY_TO_CLOSE, 2, "-1.06")
            warned = await account.place_order(session, order, dry_run=True)
            assert [warning.code for warning in warned.warnings or []] == ["closing_with_no_position"]
            placed = (await account.place_order(session, order, dry_run=False)).order
            assert placed.legs[0].action is OrderAction.BUY_TO_OPEN
            strict = order.model_copy(
                update={"advanced_instructions": AdvancedInstructions(strict_position_effect_validation=True)}
            )
            with pytest.raises(TastytradeError, match="position_effect_invalid"):
                await account.place_order(session, strict, dry_run=False)

    with stand_in(trades=True) as tasty:
        drive(work(tasty))


def test_chains_are_those_of_the_book() -> None:
    async def work(tasty: Tasty) -> None:
        async with client(tasty) as session:
            chains = await NestedOptionChain.get(session, "SPX")
            assert [chain.root_symbol for chain in chains] == ["SPX", "SPXW"]
            strike = chains[0].expirations[0].strikes[0]
            assert (strike.put, strike.put_streamer_symbol) == (SPX_AM, ".SPX261218P5700")
            assert strike.call == "SPX   261218C05700000"
            futures = await NestedFutureOptionChain.get(session, "/ES")
            assert [each.option_root_symbol for each in futures.option_chains[0].expirations] == ["EW2", "ES"]

    with stand_in() as tasty:
        drive(work(tasty))
