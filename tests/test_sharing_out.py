"""How tests are shared out among processes: nothing twice, nothing lost, and no more browsers at once than may be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.sharing_out import BROWSERS, PART, InParts

BROWSER = [f"tests/browser/test_{name}.py::test_{n}@browser" for name in "abcd" for n in range(4)]
FILES = [f"tests/test_{name}.py::test_{n}" for name in "ef" for n in range(2 * PART + 5)]
GROUP = [f"tests/test_g.py::test_{n}[a@b]@played" for n in range(PART + 5)]
SIGNS = ["tests/test_h.py::test_a[x@y]", "tests/test_h.py::test_b"]
ALL = [*BROWSER, *FILES, *GROUP, *SIGNS]


class Node:
    """A process that is given places in the list of all tests."""

    shutting_down = False

    def __init__(self, name: str) -> None:
        self.gateway, self.waits, self.given = SimpleNamespace(id=name), list[int](), list[list[int]]()

    def send_runtest_some(self, places: list[int]) -> None:
        self.waits += places
        self.given.append(places)

    def shutdown(self) -> None:
        self.shutting_down = True


def started(processes: int) -> tuple[InParts, list[Any]]:
    config: Any = SimpleNamespace(
        getvalue=lambda _: ["popen"] * processes, option=SimpleNamespace(loadscopereorder=False)
    )
    found, nodes = InParts(config), [Node(f"gw{n}") for n in range(processes)]
    for node in nodes:
        found.add_node(node)  # type: ignore[arg-type]  # it has what is asked of one
        found.add_node_collection(node, ALL)  # type: ignore[arg-type]  # as above
    found.schedule()
    return found, nodes


def driving(node: Any) -> bool:
    return any(ALL[place].startswith("tests/browser/") for place in node.waits)


@pytest.mark.parametrize("processes", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("fastest", [0, -1])
def test_every_test_is_given_out_once_and_units_stay_whole(processes: int, fastest: int) -> None:
    found, nodes = started(processes)
    ran: list[str] = []
    most = 0
    while any(node.waits for node in nodes):
        quiet_left = any(not name.startswith("tests/browser/") for name in found.workqueue)
        most = max(most, sum(map(driving, nodes))) if quiet_left else most
        node = sorted((one for one in nodes if one.waits), key=lambda one: len(one.given))[fastest]
        place = node.waits.pop(0)
        ran.append(ALL[place])
        found.mark_test_complete(node, place)
    assert sorted(ran) == sorted(ALL)
    assert most == min(processes, BROWSERS)
    units = [[ALL[place] for place in unit] for node in nodes for unit in node.given]
    sizes = [len(unit) for unit in units if unit[0] in FILES]
    assert sorted(sizes) == sorted([PART, PART, 5] * 2)
    assert GROUP in units
    assert SIGNS in units
    assert [unit for unit in units if unit[0] in BROWSER] != []
    for unit in units:
        assert len({name.partition("::")[0] for name in unit}) == 1


def test_browsers_come_first() -> None:
    _, nodes = started(4)
    assert sum(map(driving, nodes)) == BROWSERS
    assert driving(nodes[0])
