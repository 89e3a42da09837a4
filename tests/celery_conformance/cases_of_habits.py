"""Cases of habits: what people do with Celery that no manual tells them to."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from celery import Celery, chain, chord, group
from celery.result import AsyncResult, GroupResult, ResultSet, result_from_tuple

from tests.celery_conformance.caller import Caller
from tests.celery_conformance.notes import PATIENCE_S, note
from tests.celery_conformance.table import case, of

of("how_it_came", "plain", "how it came", headers={"nested": {"rows": [1, None]}, "n": 3})
of("no_queue_is_named", "plain", "return", 1, queue=None, exchange=None, priority=None)
of("options_that_celery_does_not_know", "plain", "return", 1, invented="by a caller")
of("its_own_way_to_publish", "plain", "return", 1, retry=True,
    retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0.1})  # fmt: skip
of("a_countdown_below_zero", "plain", "return", 1, countdown=-5)
of("an_eta_that_is_over", "plain", "return", 1, eta=datetime.now(UTC) - timedelta(hours=1))
of("compressed_by_bzip2", "plain", "return", "z" * 3000, compression="bzip2")
of("a_serializer_of_the_project", "plain", "return", 1, serializer="shouted")
of("children_that_do_not_count", "plain", "children")
of("retries_and_returns", "plain", "retry and return")
of("retries_to_a_queue", "plain", "retry to a queue")
of("retries_with_keywords", "plain", "retry with keywords", "kept")
of("retries_an_error_class", "plain", "retry an error class")
of("retries_never", "once", "retry never")
of("an_error_with_a_cause", "hooked", "cause")
of("an_error_that_pickles_itself", "hooked", "own reduce")
of("several_errors_at_once", "hooked", "group of errors")
of("an_error_with_an_object", "hooked", "error with an object")
of("an_assertion", "plain", "assert", 1)
of("stop_iteration", "plain", "stop iteration")
of("gives_a_dataclass", "plain", "dataclass")
of("gives_an_enum", "plain", "enum")
of("gives_what_json_bends", "plain", "plain kinds")
of("a_base_with_a_state", "stateful", "own class")
of("keeps_a_count_on_itself", "bound", "keep count")
of("calls_itself", "plain", "call itself", 2)
of("calls_itself_bound", "bound", "call itself", 1)
of("a_request_of_the_project", "watched", "return", 1)
of("replaced_by_a_chain_of_groups", "plain", "replace by a chain of groups")


@case
def a_retry_by_hand(c: Caller) -> Any:
    """`raise Retry` sends nothing: the job stays as it says."""
    sent = c.send("plain", do="raise Retry")
    c.wait_for_notes("retry")
    return c.state_of(sent, "RETRY")


@case
def progress_that_is_watched(c: Caller) -> Any:
    """A caller polls state and meta of a job that runs, as views of a progress bar do."""
    sent = c.send("hooked", do="wait to be seen")
    c.wait_for_notes("working")
    during = [sent.state, sent.info, sent.ready(), AsyncResult(sent.id, app=c.app).result]
    note(c.case, "go on")
    return [during, c.outcome(sent), sent.info, sent.date_done is not None]


@case
def started_that_is_watched(c: Caller) -> Any:
    """`track_started` shows who runs it."""
    sent = c.send("tracked", do="wait to be seen")
    c.wait_for_notes("working")
    active = c.app.control.inspect(timeout=PATIENCE_S, limit=1).query_task(sent.id)
    ((state, shown),) = [one[sent.id] for one in active.values()]
    names = ("name", "args", "kwargs", "type", "id")
    note(c.case, "go on")
    return [state, {name: shown[name] for name in names}, c.outcome(sent)]


@case
def everything_of_a_result(c: Caller) -> Any:
    """What a result can be asked for, and how it is written down and read back."""
    sent = c.send("plain", do="fail")
    c.outcome(sent)
    again = result_from_tuple(sent.as_tuple(), app=c.app)
    said = [
        repr(again.get(timeout=5, propagate=False)), again.failed(), again.successful(),
        again.maybe_throw(propagate=False) is not None, again.as_list() == [sent.id],
        str(again.traceback).count("ValueError"), again.kwargs, again.name, again.parent,
        again.children,
        len(sent.build_graph(intermediate=True)),
    ]  # fmt: skip
    again.forget()
    return [said, AsyncResult(sent.id, app=c.app).state]


@case
def a_result_that_is_collected(c: Caller) -> Any:
    """The tree of a job: its children, as `collect` and `graph` walk them."""
    link = c.tasks["plain"].si("linked", case=c.case)
    sent = c.send("plain", 1, do="children", link=link)
    c.outcome(sent)
    c.outcome(sent.children[-1])
    collected = sorted(repr(value) for _, value in sent.collect(timeout=PATIENCE_S))
    return [collected, len(sent.build_graph()), sent.parent]


@case
def a_retry_that_is_collected(c: Caller) -> Any:
    """A job that was retried has no child of its own id."""
    sent = c.send("hooked", do="retry")
    said = c.outcome(sent)
    return [said, [value for _, value in sent.collect(timeout=PATIENCE_S)]]


@case
def result_sets(c: Caller) -> Any:
    """Several ways to wait for several."""
    results = ResultSet([c.send("plain", n, do="return") for n in range(3)])
    called: list[Any] = []
    said = [
        results.join(timeout=PATIENCE_S),
        results.get(timeout=5, callback=lambda i, v: called.append(v)),
    ]
    said += [sorted(called), [value for _, value in results.iter_native(timeout=5)] != []]
    results.add(c.send("plain", do="fail"))
    said += [repr(results.join(timeout=PATIENCE_S, propagate=False)[-1]), results.failed()]
    return [said, results.completed_count(), results.supports_native_join]


@case
def a_group_that_is_revoked(c: Caller) -> Any:
    """All of it, before its time has come."""
    plain = c.tasks["plain"]
    sent = group(plain.s(n, case=c.case) for n in range(2)).apply_async(countdown=15)
    c.sent()
    sent.save()
    GroupResult.restore(sent.id, app=c.app).revoke()
    c.wait_for_notes("revoked", "revoked")  # one for each job
    return [c.revoked(one) for one in sent.children]


@case
def a_signature_that_is_prepared(c: Caller) -> Any:
    """Frozen, cloned, set, given options, called with more."""
    plain = c.tasks["plain"]
    sig = plain.s(1, case=c.case)
    frozen = sig.freeze(c.new_id())
    sent = sig.apply_async()
    c.sent()
    cloned = plain.s(2).clone(args=(0,), kwargs={"case": c.case}).set(countdown=0.1, priority=4)
    more = plain.s(3).apply_async((4,), {"case": c.case})
    return [frozen.id == sent.id, c.outcome(frozen), c.outcome(cloned.delay()), c.outcome(more),
            c.outcome(plain.signature((5,), {"case": c.case}, countdown=0.1).delay()),
            (~plain.si(6, case=c.case)), plain.s(1) == plain.s(1), cloned.options["priority"],
            repr(plain.s(1)), repr(plain.s(1) | plain.s(2))]  # fmt: skip


@case
def links_of_another_app(c: Caller) -> Any:
    """`link=` and `link_error=` take lists of signatures of an app that has only names."""
    other = Celery("names", broker=c.app.conf.broker_url, set_as_current=False)
    links = [
        other.signature("shop.plain", (name,), {"case": c.case}, immutable=True)
        for name in ("first", "second")
    ]
    said = c.outcome(c.send("plain", do="return", link=links))
    broken = c.outcome(c.send("plain", do="fail", link_error=links))
    other.close()
    c.wait_for_notes("success")
    return [said, broken]


@case
def a_chain_whose_middle_is_replaced(c: Caller) -> Any:
    """The rest of the chain gets what the replacement gave."""
    plain = c.tasks["plain"]
    steps = [plain.s(1, case=c.case), plain.s(case=c.case, do="replace in a chain"),
             plain.s("last", case=c.case)]  # fmt: skip
    sent = chain(*steps).apply_async()
    c.sent()
    return c.outcome(sent)


@case
def groups_in_chords_in_chains(c: Caller) -> Any:
    """A chain inside a group inside a chain, and a chord of chords."""
    plain, given = c.tasks["plain"], {"case": c.case}
    inner = group(chain(plain.s("a", **given), plain.s("b", **given)), plain.s("c", **given))
    first = chain(plain.s(0, **given), inner, plain.s("sum", **given)).apply_async()
    c.sent()
    chords = [chord([plain.si(n, **given)], plain.s(n, **given)) for n in range(2)]
    second = chord(chords, plain.s("of both", **given)).apply_async()
    return [c.outcome(first), c.outcome(second)]


@case
def a_chord_of_a_chain_that_fails(c: Caller) -> Any:
    """Its body's errback is told, and the rest of the chain is not run."""
    plain, given = c.tasks["plain"], {"case": c.case}
    body = plain.s("never", **given).on_error(c.tasks["one"].si(f"{c.case}/body"))
    header = [plain.si(1, **given), chain(plain.si(2, **given), plain.si(do="fail", **given))]
    sent = chain(chord(header, body), plain.s("never", **given)).apply_async()
    c.sent()
    said = c.outcome(sent)[:2]
    c.wait_for_notes("errback one")
    return said


@case
def small_canvases(c: Caller) -> Any:
    """Empty ones, and ones of one."""
    plain, given = c.tasks["plain"], {"case": c.case}
    single = group([plain.s(1, **given)]).apply_async()
    c.sent()
    nothing = chord([], plain.s("body", **given)).apply_async()
    nobody = group([]).apply_async().get(timeout=5)
    step = chain(plain.s(2, **given)).apply_async()
    both = chord(plain.s(3, **given), plain.s("one", **given)).apply_async()
    return [c.outcome(single), nobody, c.outcome(nothing), c.outcome(step), c.outcome(both)]


@case
def canvases_that_run_here(c: Caller) -> Any:
    """`apply` of a canvas in a unit test."""
    plain, given = c.tasks["plain"], {"case": c.case}
    two = [plain.s(n, **given) for n in range(2)]
    return [
        chain(plain.s(1, **given), plain.s(2, **given)).apply().get(),
        group(two).apply().get(),
        chord(two, plain.s("sum", **given)).apply().get(),
        plain.apply((1,), given, link=plain.si("link", **given)).get(),
        c.raises(lambda: plain.apply((), {**given, "do": "fail"}, throw=True)),
    ]


@case
def a_chain_with_options(c: Caller) -> Any:
    """What a canvas is given goes to its parts."""
    plain, given = c.tasks["plain"], {"case": c.case}
    steps = chain(plain.s(1, **given), plain.s(2, **given).set(priority=3))
    sent = steps.apply_async(
        countdown=0.1, priority=6, headers={"tenant": "acme"}, task_id=c.new_id()
    )
    c.sent()
    return [c.outcome(sent), sent.id]


@case
def ids_of_other_kinds(c: Caller) -> Any:
    """A UUID object for an id."""
    number = UUID(int=5)
    sent = c.tasks["plain"].apply_async((1,), {"case": c.case}, task_id=number)
    c.sent()
    return [type(sent.id).__name__, c.outcome(sent)]


@case
def arguments_of_other_kinds(c: Caller) -> Any:
    """Generators, sets, texts and nothing at all for `args`."""
    plain, given = c.tasks["plain"], {"case": c.case}
    made = {
        "tuple": (1, 2), "list": [1, 2], "none": None, "generator": (n for n in range(2)),
        "text": "ab", "number": 3, "set": {1},
    }  # fmt: skip
    said = []
    for kind, args in made.items():
        try:
            sent = plain.apply_async(args, given)
            c.sent()
            said.append([kind, c.outcome(sent)])
        except Exception as error:
            said.append([kind, type(error).__name__, str(error)[:80]])
    return said


@case
def a_handler_that_changes_the_message(c: Caller) -> Any:
    """`before_task_publish` may change arguments, headers and properties."""
    sent = c.tasks["plain"].apply_async(
        ["as the caller gave it"], {"case": c.case, "do": "request"},
        task_id=c.new_id(), headers={"change": "it"},
    )  # fmt: skip
    c.sent()
    said = c.outcome(sent)
    return [
        said[0],
        {name: said[1].get(name) for name in ("args", "priority", "shadow", "headers")},
    ]


@case
def what_signals_are_given(c: Caller) -> Any:
    """Names and kinds of what handlers get."""
    sent = c.send("hooked", 1, do="retry with")
    return c.outcome(sent)


@case
def limits_that_operators_set(c: Caller) -> Any:
    """`control.time_limit` and `control.rate_limit` are answered by a running worker."""
    control = c.app.control
    how = {"reply": True, "limit": 1, "timeout": PATIENCE_S}
    said = [control.rate_limit("shop.remote", "500/s", **how),
            control.time_limit("shop.remote", hard=6, soft=4, **how)]  # fmt: skip
    return [[list(one[0].values()) for one in said], c.outcome(c.send("remote", do="return"))]


@case
def revoked_by_its_stamp_while_running(c: Caller) -> Any:
    """`revoke_by_stamped_headers(terminate=True)` ends it."""
    sig = c.tasks["plain"].signature((), {"case": c.case, "do": "sleep", "s": PATIENCE_S})
    sig.stamp(running="cancelled")
    sent = sig.apply_async(task_id=c.new_id())
    c.sent()
    c.wait_for_notes("ran")
    sent.revoke_by_stamped_headers({"running": "cancelled"}, terminate=True)
    return c.revoked(sent)


@case
def registered_as_before(c: Caller) -> Any:
    """What `inspect registered` and `conf` show of a task."""
    shown = c.app.control.inspect(timeout=PATIENCE_S, limit=1).registered(
        "rate_limit", "max_retries"
    )
    lines = [line for lines in shown.values() for line in lines]
    return sorted(line for line in lines if line.startswith("shop."))


@case
def models_that_are_strict(c: Caller) -> Any:
    """`pydantic_strict`, `pydantic_context` and `pydantic_dump_kwargs`."""
    return c.outcome(c.send("strict", {"number": 1, "total": 2}, do=None))


@case
def models_that_do_not_fit(c: Caller) -> Any:
    """They fail in the worker."""
    said = [c.outcome(c.send("strict", one, do=None)) for one in ({"number": "1"}, {"total": 1})]
    return [[*one[:2], str(one[2:])[:60]] for one in said]


@case
def a_signature_of_every_kind_of_argument(c: Caller) -> Any:
    """Positional only, defaults, keyword only and the rest."""
    picky = c.tasks["picky"]
    said = [c.raises(lambda: picky.delay()), c.raises(lambda: picky.delay(a=1, c=2)),
            c.raises(lambda: picky.delay(1))]  # fmt: skip
    sent = picky.apply_async((1, 2, 3), {"c": 4, "case": c.case})
    c.sent()
    return [said, c.outcome(sent)]
