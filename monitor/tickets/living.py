"""A ticket that lives as long as its drift: found before it is opened, kept current, closed on recovery; a person's word counts more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from monitor.tickets import Seen, Tickets
from monitor.values import Draft, Known

__all__ = ["ACCEPTED", "WONT_FIX", "settle"]

ACCEPTED = "accepted"
WONT_FIX = "wont-fix"
"""Labels by which a person says what to do: take the change for normal, or be silent about it for a while."""

_ASKING = frozenset({ACCEPTED, WONT_FIX})


def settle(
    service: Tickets,
    draft: Draft,
    known: Known,
    keep: Callable[[Known], None] = lambda known: None,
    hold: Callable[[], None] = lambda: None,
) -> Known:
    """Bring the ticket to what the draft says, and tell how it stands.

    A ticket that a person closed is not opened again for the same drift, and one that was taken away not a second time;
    both end with the drift. ``keep`` is told of every step that cannot be taken back, so that a crash repeats none of them;
    ``hold`` is called before each change, and raises when the ticket is another process's by now.
    """
    seen = service.find(draft, known.location)
    if seen is None:
        if known.location:
            # Should the drift come back after its end, that is worth a new ticket.
            return Known(known.location, open=False, by_hand=True) if draft.open else Known(open=False)
        if not draft.open:
            # Over before it could be opened: nobody needs to hear of it now.
            return replace(known, open=False)
        hold()
        seen = service.create(draft)
        known = replace(known, location=seen.location, open=True)
        keep(known)
    is_open = seen.open if seen.open is not None else known.open is not False
    seen = replace(seen, open=is_open)
    by_hand = not is_open and (known.by_hand or known.open is True)
    known = replace(known, location=seen.location, by_hand=by_hand, labels=seen.labels & _ASKING)
    wanted = draft.open and not by_hand
    reopened = wanted and not is_open
    if reopened:
        # Before a comment says why: it should be found where open tickets are looked for.
        hold()
        service.update(seen, draft, open=True)
        known = replace(known, open=True)
        keep(known)
    known = _tell(service, seen, draft, known, keep, hold)
    if not reopened:
        hold()
        service.update(seen, draft, open=wanted)
    return replace(known, open=wanted, by_hand=by_hand and draft.open)


def _tell(
    service: Tickets,
    seen: Seen,
    draft: Draft,
    known: Known,
    keep: Callable[[Known], None],
    hold: Callable[[], None],
) -> Known:
    told = known.told | (seen.notes or frozenset())
    for note in draft.notes:
        if note.key in told:
            continue
        if not known.by_hand or note.lasting:
            hold()
            service.comment(seen, note)
        # What a person who closed the ticket was spared is not told later either.
        told |= {note.key}
        known = replace(known, told=told)
        keep(known)
    return replace(known, told=told)
