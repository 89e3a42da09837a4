"""`up` prints addresses that can be opened, whatever port was asked for."""

from __future__ import annotations

from rollout.settings import read_settings
from rollout.up.free_ports import with_ports


def test_a_port_of_zero_is_chosen_before_it_is_printed() -> None:
    """The controller gets the port that the line names, also when it is started again."""
    chosen = with_ports(read_settings(metrics_port=0, web_port=0))
    assert min(chosen.metrics_port, chosen.web_port) > 0
    assert chosen.metrics_port != chosen.web_port


def test_a_port_that_was_named_stays() -> None:
    """Only 0 is any free one."""
    chosen = with_ports(read_settings(metrics_port=9464, web_port=8464))
    assert (chosen.metrics_port, chosen.web_port) == (9464, 8464)
