"""`rollout audit --ledger`: the jobs that rollout has taken in."""

import json

from tests.shells.conftest import House


def test_the_ledger_is_a_log(house: House) -> None:
    """Queue times, starts and ends of the jobs; what is open is counted."""
    house.run("start", "invoices", "--reason", "pilot begins")
    for _ in range(3):
        house.commit(house.submit())
    house.submit()
    values = house.json("audit", "--ledger", "invoices")
    assert values["runs"] == 4
    assert values["finished"] == 3
    assert {one["step"] for one in values["steps"]} <= {"invoices.legacy", "invoices.concurrent"}
    assert values["verdict"]["advice"] == "not enough to say"
    json.dumps(values)
