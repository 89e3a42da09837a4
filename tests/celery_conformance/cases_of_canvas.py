"""Cases of canvas: what hangs together with a job."""

import time
from typing import Any

from celery import chain, chord, chunks, group, signature, xmap, xstarmap
from celery.canvas import StampingVisitor
from celery.result import GroupResult

from tests.celery_conformance.caller import Caller
from tests.celery_conformance.notes import PATIENCE_S
from tests.celery_conformance.table import case


@case
def links(c: Caller) -> Any:
    """A link gets the result."""
    link = c.tasks["plain"].s("linked", case=c.case)
    first = c.send("plain", 1, do="return", link=link)
    said = c.outcome(first)
    return [said, c.outcome(first.children[0]) if first.children else "no child"]


@case
def a_link_that_is_the_task(c: Caller) -> Any:
    """`link=` takes a signature of a task without arguments."""
    first = c.send("plain", 1, do="return", link=[c.tasks["add"].si(1, y=2, case=c.case)])
    return [c.outcome(first), c.outcome(first.children[0])]


@case
def errbacks(c: Caller) -> Any:
    """One argument: sent as a task; three: called in place."""
    sent = [c.send("plain", do="fail", link_error=c.tasks[name].s()) for name in ("one", "three")]
    said = [c.outcome(one) for one in sent]
    c.wait_for_notes("errback one", "errback three")
    return said


@case
def chains(c: Caller) -> Any:
    """Each step gets the result of the one before."""
    plain = c.tasks["plain"]
    steps = [plain.s(n, case=c.case) for n in range(3)]
    sent = chain(*steps).apply_async()
    c.sent()
    return [c.outcome(sent), c.outcome(sent.parent), sent.parent.parent is not None]


@case
def groups(c: Caller) -> Any:
    """All of them, in order."""
    sent = group(c.tasks["plain"].s(n, case=c.case) for n in range(5)).apply_async()
    c.sent()
    return c.outcome(sent)


@case
def chords(c: Caller) -> Any:
    """The body gets all results."""
    plain = c.tasks["plain"]
    sent = chord((plain.s(n, case=c.case) for n in range(3)), plain.s(case=c.case))()
    c.sent()
    return c.outcome(sent)


@case
def a_chord_with_an_error(c: Caller) -> Any:
    """The body is not called; its errback is."""
    plain = c.tasks["plain"]
    body = plain.s(case=c.case).on_error(c.tasks["three"].s())
    header = [plain.s(1, case=c.case), plain.s(case=c.case, do="fail")]
    sent = chord(header)(body)
    c.sent()
    return c.outcome(sent)[0]


@case
def a_chain_into_a_group_and_back(c: Caller) -> Any:
    """Canvas of canvas."""
    plain = c.tasks["plain"]
    sent = (
        plain.s(1, case=c.case)
        | group(plain.s(n, case=c.case) for n in range(2))
        | plain.s(case=c.case)
    ).apply_async()
    c.sent()
    return c.outcome(sent)


@case
def maps(c: Caller) -> Any:
    """The task is called many times inside one other."""
    add = c.tasks["add"]
    return [
        c.outcome(sent)
        for sent in (
            add.map(range(3)).apply_async(),
            add.starmap([(1, 1), (2, 2)]).apply_async(),
            add.chunks([(n, n) for n in range(6)], 3).group().apply_async(),
            xmap(add.s(), [1]).apply_async(),
            xstarmap(add.s(), [(1, 2)]).apply_async(),
            chunks(add.s(), [(1, 2)], 1).apply_async(),
        )
    ]


@case
def signatures(c: Caller) -> Any:
    """Made, cloned, immutable, by name, from a dict."""
    add = c.tasks["add"]
    made = [
        add.s(1, case=c.case),
        add.si(1, case=c.case),
        add.signature((1,), {"case": c.case}),
        add.subtask((1,), {"case": c.case}),
        signature("shop.add", (1,), {"case": c.case}, app=c.app),
        signature(dict(add.s(1, case=c.case)), app=c.app),
        add.s(case=c.case).clone((1,)),
    ]
    said = []
    for one in made:
        sent = one.apply_async()
        c.sent()
        said.append([one.task, one.immutable, c.outcome(sent)])
    return said


@case
def stamps(c: Caller) -> Any:
    """A stamp travels with the message."""
    sig = c.tasks["plain"].signature((), {"case": c.case, "do": "request"})
    sig.stamp(customer="acme")
    sent = sig.apply_async()
    c.sent()
    said = c.outcome(sent)
    return {name: said[1][name] for name in ("stamps", "stamped_headers")}


@case
def links_and_errbacks_of_a_chain(c: Caller) -> Any:
    """A chain that ends, and one that breaks in its middle."""
    plain, given = c.tasks["plain"], {"case": c.case}
    whole = chain(plain.s(1, **given), plain.s(**given)).apply_async(link=plain.si("link", **given))
    c.sent()
    errback = c.tasks["three"].s()
    middle = plain.s(do="fail", **given)
    broken = chain(plain.s(2, **given), middle, plain.s(3, **given)).apply_async(link_error=errback)
    said = [c.outcome(whole), c.outcome(broken)[:2]]
    c.wait_for_notes("errback three")
    return [*said, broken.parent.state]


@case
def an_errback_of_a_group(c: Caller) -> Any:
    """Each member that fails calls it."""
    plain, given = c.tasks["plain"], {"case": c.case}
    members = group(plain.s(1, **given), plain.s(do="fail", **given))
    members.link_error(c.tasks["one"].si(f"{c.case}/member"))
    sent = members.apply_async()
    c.sent()
    said = [c.outcome(member)[:2] for member in sent.children]
    c.wait_for_notes("errback one")
    return [said, sent.completed_count(), sent.failed()]


@case
def errbacks_that_are_not_adopted(c: Caller) -> Any:
    """A failing job tells a task that knows nothing of rollout; Celery calls it in place."""
    other = c.app.tasks["shop.other"]
    sent = c.send("plain", do="fail", link_error=other.si("told", case=c.case))
    return c.outcome(sent)


@case
def a_chain_that_is_broken_off(c: Caller) -> Any:
    """A step may take the rest away: `self.request.chain = None`."""
    plain, given = c.tasks["plain"], {"case": c.case}
    sent = chain(
        plain.signature((1,), {**given, "do": "break the chain"}, task_id=c.new_id()),
        plain.s(2, **given),
    ).apply_async()
    c.sent()
    said = c.outcome(sent.parent)
    time.sleep(0.5)
    return [said, sent.state]


@case
def a_group_that_is_kept(c: Caller) -> Any:
    """Saved under its id and restored, as views that poll do."""
    plain = c.tasks["plain"]
    sent = group(plain.s(n, case=c.case) for n in range(2)).apply_async()
    c.sent()
    sent.save()
    restored = GroupResult.restore(sent.id, app=c.app)
    said = restored.get(timeout=PATIENCE_S)
    return [said, restored.completed_count(), restored.successful(), len(restored.children)]


@case
def called_as_a_function(c: Caller) -> Any:
    """A signature that is called runs here, with a request of a direct call."""
    add, plain = c.tasks["add"], c.tasks["plain"]
    return [add.s(1, y=2, case=c.case)(), plain.s(1, case=c.case)(), add(4, case=c.case)]


@case
def a_link_with_options(c: Caller) -> Any:
    """A signature carries its own options; an immutable one takes no result."""
    plain = c.tasks["plain"]
    link = plain.signature(("link",), {"case": c.case}, immutable=True, countdown=0.1, priority=2)
    first = c.send("plain", 1, do="return", link=link)
    said = c.outcome(first)
    return [said, c.outcome(first.children[0])]


@case
def a_chord_that_grows(c: Caller) -> Any:
    """`add_to_chord` from the header."""
    plain, given = c.tasks["plain"], {"case": c.case}
    header = [plain.s(1, **given), plain.s(do="grow its chord", **given)]
    sent = chord(header)(plain.s(do="sort", **given))
    c.sent()
    return c.outcome(sent)


@case
def stamps_by_a_visitor(c: Caller) -> Any:
    """Every step of a chain gets its stamp."""
    plain = c.tasks["plain"]
    steps = chain(plain.s(1, case=c.case), plain.s(case=c.case, do="request"))
    steps.stamp(visitor=Numbered())
    sent = steps.apply_async()
    c.sent()
    said = c.outcome(sent)
    return {name: said[1][name] for name in ("stamps", "stamped_headers")}


class Numbered(StampingVisitor):  # type: ignore[misc]  # Celery has no types
    """Stamps what it meets."""

    def on_signature(self, sig: Any, **headers: Any) -> dict[str, Any]:
        """Its customer."""
        return {"customer": "acme", "stamped_headers": ["customer"]}
