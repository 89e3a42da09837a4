"""Why a batch has not landed: the batch before it, the room behind a stage, or a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout.execution.shape import now_s
from rollout.execution.why import Why, listed

if TYPE_CHECKING:
    from rollout.execution.chain_engine import ChainEngine


def why_batch(engine: ChainEngine, number: int) -> Why:
    """Answer for one batch; under the run's lock."""
    board, name = engine.board, f"batch {number}"
    found = board.where(number)
    if number in engine.failures:
        place, error = engine.failures[number]
        still = "" if found is None else "; its thread has not ended"
        sentence = (
            f"failed in {engine.chain.names[place]!r}: {type(error).__name__}: {error}{still}"
        )
        return Why(name, "failed", sentence)
    if found is None:
        return _elsewhere(engine, number, name)
    state, place = found
    part = engine.chain.names[place]
    if state == "running":
        since_s = now_s() - engine.crew.running.get((place, number), (0, now_s()))[1]
        return Why(name, state, f"in {part!r} for {since_s:.1f} s")
    if state == "paused":
        wait_s = engine.chain.stages[place - 1].retry_wait_s
        return Why(name, state, f"pauses {wait_s:g} s before the next attempt in {part!r}")
    return _waiting(engine, number, place)


def _elsewhere(engine: ChainEngine, number: int, name: str) -> Why:
    board = engine.board
    if number < board.next_to_land:
        return Why(name, "landed", "has landed")
    if board.failed_at is not None and number >= board.failed_at:
        return Why(name, "dropped", f"never lands: {_end(engine)}")
    if board.source_ended:
        return Why(name, "dropped", "never comes: the source has ended")
    if board.running[0]:
        return Why(name, "waiting", "not cut yet: the source is being read")
    return Why(name, "waiting", f"not cut yet: {_room(engine, 0)}")


def _waiting(engine: ChainEngine, number: int, place: int) -> Why:
    board, names = engine.board, engine.chain.names
    name, before = f"batch {number}", f"waits before {names[place]!r}"
    if place == board.sink and number != board.next_to_land:
        first = why_batch(engine, board.next_to_land)
        edge = ((first.name, first.state),)
        return Why(name, "waiting", f"{before} for {first.name}, which is {first.sentence}", edge)
    busy = sorted(board.running[place])
    if len(busy) >= board.workers[place]:
        holders = tuple(
            (f"{names[place]}[{one}]", 1, now_s() - engine.crew.running[place, one][1])
            for one in busy
            if (place, one) in engine.crew.running
        )
        who = listed(f"batch {one}" for one in busy)
        sentence = f"{before} for one of its {board.workers[place]} workers, which hold {who}"
        return Why(name, "waiting", sentence, (), f"workers of {names[place]}", 0, holders)
    ahead = [one for one in board.inbox[place] if one < number]
    if ahead:
        waits_for = tuple((f"batch {one}", "waiting") for one in sorted(ahead))
        return Why(name, "waiting", f"{before} behind {len(ahead)} older batches", waits_for)
    if place < board.sink and not board.has_room(place) and number != board.next_to_land:
        sentence = f"{before}: {_room(engine, place)}"
        return Why(name, "waiting", sentence, (), f"room behind {names[place]}", 0)
    return Why(name, "ready", f"starts next in {names[place]!r}")


def _room(engine: ChainEngine, place: int) -> str:
    board, names = engine.board, engine.chain.names
    waiting = sorted(board.inbox[place + 1])
    if board.has_room(place):
        return f"{names[place]!r} takes it next"
    return (
        f"no room before {names[place + 1]!r}, where {len(waiting)} wait "
        f"({listed(f'batch {one}' for one in waiting)})"
    )


def _end(engine: ChainEngine) -> str:
    if engine.crew.stop_reason is not None:
        return f"the run stops ({engine.crew.stop_reason})"
    return f"batch {engine.board.failed_at} failed"


def chain_idle_reason(engine: ChainEngine) -> str:
    """Say why not every slot runs something; empty only when nothing is left."""
    board, crew, names = engine.board, engine.crew, engine.chain.names
    if not board.left:
        return ""
    busy = len(crew.running)
    if busy >= crew.slots:
        return f"no slot is idle: {busy} of {crew.slots} run"
    idle = f"{crew.slots - busy} of {crew.slots} slots are idle"
    if board.failed_at is not None:
        return f"{idle}: {_end(engine)}, and what is before it lands"
    found = board.find()
    if found is not None:
        return f"{idle}: batch {found[1]} starts now in {names[found[0]]!r}"
    full = [
        place for place in range(len(names)) if len(board.running[place]) >= board.workers[place]
    ]
    waits = [f"{names[place]!r} works on all it can" for place in full]
    waits += [
        f"{names[place]!r} has {_room(engine, place)}"
        for place in range(board.sink)
        if place not in full and not board.has_room(place)
    ]
    if board.paused:
        waits.append(f"{listed(f'batch {one}' for one in board.paused)} pause between attempts")
    if not waits and busy:
        running = (engine.name(task) for task in crew.running)
        waits.append(f"the rest waits for {listed(running)}")
    if not waits:
        return f"ALARM, {idle}, {board.active} batches are left and nothing runs"
    return f"{idle}: {'; '.join(waits)}"
