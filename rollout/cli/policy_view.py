"""How policies and what a check says of them look to people."""

from typing import TYPE_CHECKING

from rich.text import Text

from rollout.cli.output import facts, listing, plain, say, show, warn

if TYPE_CHECKING:
    from rollout.desk.policy import PolicyPage
    from rollout.desk.policy_check import PolicyCheck, PolicyNote


def show_check(page: "PolicyCheck") -> None:
    """Every finding, with what to do."""
    for line in page.traffic:
        say(line)
    for note in page.notes:
        _show_note(note)
    if page.unasked is not None:
        warn(page.unasked)
    say(page.sum)


def _show_note(note: "PolicyNote") -> None:
    sentence = f"{note.sub_pipeline}: {note.sentence}" if note.sub_pipeline else note.sentence
    text = Text(f"{plain(sentence)}\nto do: {plain(note.todo)}")
    show(facts([(note.level, text)]))


def show_policy(page: "PolicyPage") -> None:
    """The values in force, where each comes from, and what they come to."""
    from rollout.desk.policy import value_text

    say(f"policy of {page.name or 'every sub-pipeline without one of its own'}", "bold")
    rows = [
        (field, source, value_text(page.policy, field)) for field, source in page.sources.items()
    ]
    show(listing(("", "from", "value"), rows, 2))
    say("")
    show(facts(page.meaning))
    for line in page.together:
        say(line)
    if page.difference is not None:
        warn(f"not all of this is in force: {page.difference}")
    if page.known.unanswered is not None:
        warn(f"declarations are not known: {page.known.unanswered}")
