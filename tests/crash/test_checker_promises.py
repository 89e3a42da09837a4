"""What the checker learnt last: answers, heartbeats, deaths, retention, the end of the log."""

from dataclasses import replace

import pytest

from tests.crash.evidence import BROKER_EMPTIED, STORE_EMPTIED, Evidence
from tests.crash.history import Event
from tests.crash.planted import S, at, claimed, good, iso, kinds, row, with_events, with_row
from tests.crash.switch_rules import IN_TURN, LATE_NS_MAX, SAID_NS


def fault(seconds: float, kind: str, target: str = "", until: float | None = None) -> list[Event]:
    """A fault of the deck, and its end."""
    begun = at(seconds, "driver", "fault begun", n=1, kind=kind, target=target)
    ended = at(seconds if until is None else until, "driver", "fault ended", n=1, kind=kind)
    return [begun, ended]


# Answers -------------------------------------------------------------------------------------


def awaited(*more: Event) -> Evidence:
    """Job `a` was submitted with a link, and what happened then."""
    return with_events(
        at(1.1, "producer1", "submitted", name="asks", jobs=["a"], awaited="t", chained=[]), *more
    )


def test_link_that_is_never_called() -> None:
    """Its job is committed; called once or twice, it is no violation."""
    heard = at(3, "legacy", "heard", tag="t")
    assert kinds(awaited()) == ["not heard"]
    assert kinds(awaited(heard, heard)) == []


def test_link_that_the_broker_forgot_or_whose_chain_failed() -> None:
    """Nobody can call what was in a broker's lost memory, and a failed chain calls nothing."""
    assert kinds(awaited(*fault(2, "broker killed, no file", "broker"))) == []
    assert kinds(awaited(*fault(2, "broker killed, file", "broker"))) == ["not heard"]
    assert kinds(awaited(*fault(1.05, "broker killed, no file", "broker"))) == ["not heard"]
    base = awaited()
    way = (*good().rows["a"].way[:-1], {"at": iso(2.1), "what": "failed"})
    failed = row("a", 2.1, state="failed", way=way, error="the input is broken")
    rows, effects = {**base.rows, "a": failed}, {**base.effects, "a": 0}
    assert kinds(replace(base, rows=rows, effects=effects)) == []


def test_result_that_differs_from_the_ledger() -> None:
    """A caller waits for ever, or hears of a failure, though the job is committed."""
    assert kinds(replace(good(), answers={"a": "SUCCESS"})) == []
    for answer in ("PENDING", "FAILURE"):
        assert kinds(replace(good(), answers={"a": answer})) == ["wrong answer"]


def test_result_that_the_store_forgot() -> None:
    """With RabbitMQ results are in the store: emptied, it knows of none."""
    asked = replace(awaited(), answers={"a": "PENDING"})
    emptied = replace(awaited(*fault(2, STORE_EMPTIED, "control")), answers={"a": "PENDING"})
    both = frozenset({BROKER_EMPTIED, STORE_EMPTIED})
    assert "wrong answer" in kinds(emptied)
    assert kinds(replace(emptied, forgets=both)) == []
    assert "wrong answer" in kinds(replace(asked, forgets=both))


@pytest.mark.parametrize(
    ("error", "found"),
    [
        ("ValueError: the commit hook is broken on legacy", []),
        ("2 workers died under it", []),
        ("InFailedSqlTransaction: current transaction is aborted", ["words of a hook lost"]),
    ],
)
def test_hook_whose_own_words_are_not_kept(error: str, found: list[str]) -> None:
    """A person has to read what the hook said, not what came of it."""
    way = (*good().rows["b"].way[:-1], {"at": iso(6), "what": "failed"})
    base = with_row(row("b", 6, "legacy", state="failed", way=way, error=error), effects=0)
    broke = at(5.9, "legacy", "hook broke", job="b", attempt=1)
    events = sorted([*base.events, broke], key=lambda event: int(event["t"]))
    assert kinds(replace(base, events=events)) == found


def test_duplicate_that_is_delivered_over_and_over() -> None:
    """A few are what faults make; many are a loop."""
    refused = [
        at(6.5 + n / 10, "legacy", "claim refused", job="b", why="finished") for n in range(11)
    ]
    assert kinds(with_events(*refused[:10])) == []
    assert kinds(with_events(*refused)) == ["delivered over and over"]


# Heartbeats ----------------------------------------------------------------------------------


def beating(*seconds: float) -> list[Event]:
    """Heartbeats at these times."""
    return [at(second, "controller1", "beat") for second in seconds]


def test_heartbeat_that_is_missed_without_a_cause() -> None:
    """Controllers, store and ledger are whole: a held row and a long queue excuse none."""
    gap = beating(1, 2, 7.5, 8)
    assert kinds(with_events(*beating(1, 2, 6.5, 8))) == []
    assert kinds(with_events(*gap)) == ["heartbeat missed"]
    for kind in ("long queue killed", "control row held", "web hook never answers"):
        assert kinds(with_events(*gap, *fault(1.5, kind, until=7))) == ["heartbeat missed"]
    for kind in ("both controllers killed", "ledger locked", "store killed, no file"):
        assert kinds(with_events(*gap, *fault(1.5, kind, until=4))) == []


def test_jobs_that_leave_their_path_though_a_controller_beats() -> None:
    """The kill of one sub-pipeline is no reason to send another's jobs to legacy."""
    alone = at(6, "producer1", "unsupervised", jobs=["b"])
    assert kinds(with_events(*beating(1, 2, 5, 8), alone)) == ["scope lost"]
    before_all = at(0.5, "producer1", "unsupervised", jobs=["b"])
    assert kinds(with_events(*beating(1, 2, 5, 8), before_all)) == []
    killed = fault(3, "both controllers killed", "controller1 controller2", until=5)
    assert kinds(with_events(*beating(1, 2, 8), alone, *killed)) == []


# Deaths --------------------------------------------------------------------------------------


def died(*more: Event, noted_s: float = 4) -> Evidence:
    """Job `b` was moved because its worker `forked` is said to have died."""
    way = (
        {"at": iso(1.5), "what": "accepted"},
        {"at": iso(2), "what": "started", "path": "concurrent", "attempt": 1},
        {"at": iso(noted_s), "what": "handed to legacy", "reason": "worker_lost"},
        {"at": iso(5), "what": "started", "path": "legacy", "attempt": 2},
        {"at": iso(6), "what": "committed", "path": "legacy", "attempt": 2},
    )
    base = with_row(row("b", 6, "legacy", way=way, attempt=2))
    events = [*base.events, claimed(2, "b", 1, 0), *more]
    return replace(base, events=sorted(events, key=lambda event: int(event["t"])), linked="x")


def test_death_that_nobody_caused() -> None:
    """No fault hit this worker, and the driver saw none of its processes end."""
    assert kinds(died()) == ["death without cause"]
    assert kinds(died(*fault(2.5, "worker killed", "threaded"))) == ["death without cause"]
    assert kinds(died(*fault(2.5, "link cut", "ledger-link"))) == ["death without cause"]
    assert kinds(died(*fault(2.5, "worker killed", "forked"))) == []
    assert kinds(died(*fault(2.5, "poison job"))) == []
    assert kinds(died(at(3, "driver", "process died", name="forked", code=-9))) == []
    assert kinds(died(at(3, "threaded", "ends itself", job="p"))) == ["death without cause"]
    assert kinds(died(at(3, "forked", "ends itself", job="p"))) == []
    cut = died(*fault(2.5, "link cut", "ledger-link"))
    assert kinds(replace(cut, linked="forked")) == []


def test_death_of_a_worker_that_hung_and_was_noted_late() -> None:
    """It wrote its last line before the death; one that went on writing did not hang."""
    noted = at(20, "driver", "consumed nothing", name="forked", waiting=9)
    assert kinds(died(noted)) == []
    wrote = at(19, "forked", "renewed", job="c", worker="forked@1")
    assert kinds(died(noted, wrote)) == ["death without cause"]


def test_death_that_a_late_clock_noted() -> None:
    """A worker's clock is behind: its line of the death stands before the claim."""
    ended = at(3, "driver", "process died", name="forked", code=-9)
    assert kinds(died(ended, noted_s=1)) == []
    assert kinds(died(noted_s=1)) == ["death without cause"]


@pytest.mark.parametrize(("seconds", "found"), [(9.0, []), (19.0, ["found dead late"])])
def test_dead_worker_that_is_found_late(seconds: float, found: list[str]) -> None:
    """Whoever else renews the job: its last worker was heard of at its start only."""
    claim = claimed(2, "b", 1, 0, worker="w:1")
    others = [at(second, "threaded", "renewed", job="b", worker="w:2") for second in (4, 8, 12, 16)]
    silenced = at(seconds, "controller1", "silenced", job="b")
    assert kinds(with_events(claim, *others, silenced)) == found
    hurt = fault(5, "both controllers killed", "controller1 controller2", until=15)
    assert kinds(with_events(claim, *others, silenced, *hurt)) == []


# Ledger --------------------------------------------------------------------------------------


def pruned(before_s: float, *, state: str = "committed", back: bool = False) -> Evidence:
    """Job `a`, which ended at 2.1 s, is pruned by everything before that time."""
    from tests.crash.planted import WALL

    before = (WALL + int(before_s * S)) // 1000
    base = with_events(at(4, "driver", "pruning", before=before))
    gone = (replace(base.rows["a"], state=state),)
    return replace(base, gone=gone, came_back=frozenset({"a"} if back else ()))


def test_row_that_is_pruned_before_its_time_or_unfinished() -> None:
    """What is pruned was over, and before the date of the prune."""
    assert kinds(pruned(3)) == []
    assert kinds(pruned(2)) == ["pruned too early"]
    assert kinds(pruned(3, state="failed")) == ["pruned too early"]
    assert kinds(replace(good(), gone=(good().rows["a"],))) == ["pruned too early"]


def test_leftover_that_runs_after_its_job_was_pruned() -> None:
    """The row is there again, or was pruned twice."""
    assert kinds(pruned(3, back=True)) == ["ran after its pruning"]
    twice = pruned(3)
    assert kinds(replace(twice, gone=twice.gone * 2)) == ["ran after its pruning"]


def test_message_that_was_kept_is_not_lost() -> None:
    """Only one that was never filed; a filed job has a row."""
    late = at(3, "producer1", "submitted", name="parts", jobs=["c"])
    kept = replace(with_events(late), kept=frozenset({"c"}))
    assert kinds(kept) == ["lost"]
    unfiled = at(3, "producer1", "unfiled", jobs=["c"])
    assert kinds(replace(with_events(late, unfiled), kept=frozenset({"c"}))) == []


def test_log_that_skips_a_revision_or_ends_elsewhere() -> None:
    """Each change has a line, and the last one is the row."""
    base = good()
    last = base.changes[-1].after
    assert kinds(replace(base, controls={"parts": dict(last)})) == []
    assert kinds(replace(base, controls={"parts": {**last, "revision": 9}})) == ["log broken"]
    skips = replace(base.changes[-1], after={**last, "revision": 7})
    assert kinds(replace(base, changes=[*base.changes[:-1], skips])) == ["log broken"]


def test_fence_whose_kill_is_in_no_line() -> None:
    """An acknowledged kill is in the log by its id."""
    fenced = at(6.5, "operator2", "fenced", kill_id="z", fences={}, kill_ids={"parts": "z"})
    assert kinds(with_events(fenced)) == ["kill not in force"]
    logged = at(6.5, "operator2", "fenced", kill_id="k", fences={}, kill_ids={"parts": "k"})
    assert kinds(with_events(logged)) == []


def test_latch_that_stays_behind_or_is_missing() -> None:
    """At rest the store has the latches of what is killed, and no other."""
    killed = {"parts": {**good().changes[-1].after, "killed": True, "kill_id": "k"}}
    changes = [*good().changes[:-1], replace(good().changes[-1], after=killed["parts"])]
    base = replace(good(), controls=killed, changes=changes)
    assert kinds(replace(base, latches={"parts": "k"})) == []
    assert kinds(replace(base, latches={})) == ["latch differs"]
    assert kinds(replace(base, latches={"parts": "other"})) == ["latch differs"]
    free = replace(good(), controls={"parts": good().changes[-1].after})
    assert kinds(replace(free, latches={"parts": "k"})) == ["latch differs"]
    assert kinds(replace(free, latches={})) == []


# Kills ---------------------------------------------------------------------------------------


def fenced_with_id() -> list[Event]:
    """The good history, in which the fence names the kill's id."""
    return [
        {**event, "kill_ids": {"parts": "k"}} if event["what"] == "fenced" else event
        for event in good().events
    ]


def test_kill_holds_until_the_log_lifts_it() -> None:
    """Somebody asked for a rearm and none is in the log: a start is one after the kill."""
    start = claimed(7.5, "b", 1, 4)
    events = sorted([*fenced_with_id(), start], key=lambda event: int(event["t"]))
    lifted = replace(good(), events=events)
    assert kinds(lifted) == []
    not_lifted = replace(lifted, changes=good().changes[:-1])
    assert kinds(not_lifted) == ["start after kill"]


def killing(took_s: float, late_s: float = 0.0) -> Evidence:
    """A kill whose first word took so long, and whose thread waited so long for a processor."""
    return with_events(
        at(6, "operator2", "kill asked", name="parts"),
        at(6 + took_s, "operator2", "kill said", name="parts", waits="x", late=int(late_s * S)),
    )


def test_a_kill_answers_within_a_second() -> None:
    """What it waited for a processor is excused, three times and never beyond two seconds."""
    assert kinds(killing(0.9)) == []
    assert kinds(killing(1.2)) == ["kill slow"]
    assert kinds(killing(1.2, late_s=0.1)) == []
    assert kinds(killing(3.2, late_s=2.0)) == ["kill slow"]
    assert (IN_TURN, SAID_NS, LATE_NS_MAX) == (3, S, 2 * S)


def test_a_kill_that_never_says_a_word() -> None:
    """It was asked for long before the end; one that was just asked is no violation."""
    assert kinds(with_events(at(6, "operator2", "kill asked", name="parts"))) == ["kill slow"]
    assert kinds(with_events(at(9, "operator2", "kill asked", name="parts"))) == []


def test_operator_that_died_is_told() -> None:
    """Without operators a run has no kills, and all rules of kills hold."""
    gone = at(3, "driver", "operator died", name="operator1", code=1)
    assert kinds(with_events(gone)) == ["operator died"]


def test_fence_repeated_after_its_kill_was_lifted() -> None:
    """A controller repeats what it finds latched; somebody else's rearm was between."""
    fenced = at(
        3, "controller1", "fenced", kill_id="k", fences={}, killed={"parts": False, "*": False}
    )
    ended = at(3.1, "operator2", "rearm ended", name=None, refused=False, lifted={"parts": "k"})
    assert kinds(with_events(fenced, ended)).count("kill not in force") == 0
    other = at(3.1, "operator2", "rearm ended", name=None, refused=False, lifted={"parts": "older"})
    assert kinds(with_events(fenced, other)).count("kill not in force") == 1
