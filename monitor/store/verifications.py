"""Refreshes held against the model they replace, and models that were declared live."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from monitor.errors import StoreError
from monitor.store.tables import deployments, flips, verifications
from monitor.values import Comparison, Deployment, Estimate, Flip, Verdict, Verification, VerifiedSet

__all__ = ["declare", "deployed", "newest", "newest_models", "of_monitor", "save", "verification"]

_v, _f, _d = verifications, flips, deployments

_SAME = (
    "id",
    "monitor",
    "made_at",
    "reference_version",
    "dataset_version",
    "old",
    "new",
    "budget",
    "ignored",
    "held_out",
)
_FLIP = ("record_id", "label", "old", "new", "negative")
_ESTIMATES = ("old", "new", "gain", "negative_rate", "positive_rate")
_DEPLOYED = tuple(_d.c.keys())


def save(connection: Connection, found: Verification) -> None:
    """Write it; the same again changes nothing."""
    if connection.execute(sa.select(_v.c.id).where(_v.c.id == found.id)).scalar() is not None:
        return
    row = {name: getattr(found, name) for name in _SAME}
    row |= {"windows": [start.isoformat() for start in found.windows], "verdict": found.verdict.value}
    row["sets"] = [asdict(replace(one, flips=())) for one in found.sets]
    connection.execute(sa.insert(_v), [row])
    flipped = [(one.name, flip) for one in found.sets for flip in one.flips]
    if flipped:
        connection.execute(
            sa.insert(_f),
            [
                {
                    "verification_id": found.id,
                    "position": place,
                    "monitor": found.monitor,
                    "set_name": name,
                    **asdict(flip),
                }
                for place, (name, flip) in enumerate(flipped)
            ],
        )


def verification(connection: Connection, which: str) -> Verification | None:
    """The one of this id."""
    return next(iter(_whole(connection, connection.execute(sa.select(_v).where(_v.c.id == which)))), None)


def of_monitor(connection: Connection, monitor: str, limit: int, *, with_flips: bool = True) -> list[Verification]:
    """Newest first."""
    query = sa.select(_v).where(_v.c.monitor == monitor).order_by(_v.c.made_at.desc(), _v.c.id).limit(limit)
    found = connection.execute(query)
    return _whole(connection, found) if with_flips else [_value(row, {}) for row in found]


def newest(connection: Connection) -> dict[str, Verification]:
    """The newest of each monitor, without its flips."""
    last = sa.select(_v.c.monitor, sa.func.max(_v.c.made_at).label("at")).group_by(_v.c.monitor).subquery()
    same = sa.and_(_v.c.monitor == last.c.monitor, _v.c.made_at == last.c.at)
    found = connection.execute(sa.select(_v).join(last, same).order_by(_v.c.id))
    return {row.monitor: _value(row, {}) for row in found}


def _whole(connection: Connection, rows: Iterable[Row[Any]]) -> list[Verification]:
    heads = list(rows)
    flipped: dict[str, dict[str, list[Flip]]] = defaultdict(lambda: defaultdict(list))
    query = sa.select(_f).where(_f.c.verification_id.in_([row.id for row in heads])).order_by(_f.c.position)
    for row in connection.execute(query):
        flipped[row.verification_id][row.set_name].append(Flip(**{name: getattr(row, name) for name in _FLIP}))
    return [_value(row, flipped[row.id]) for row in heads]


def _value(row: Row[Any], flipped: dict[str, list[Flip]]) -> Verification:
    return Verification(
        **{name: getattr(row, name) for name in _SAME},
        windows=tuple(datetime.fromisoformat(start) for start in row.windows),
        verdict=Verdict(row.verdict),
        sets=tuple(_set(one, flipped.get(one["name"], [])) for one in row.sets),
    )


def _set(document: dict[str, Any], flipped: Sequence[Flip]) -> VerifiedSet:
    overall = document["overall"]
    return VerifiedSet(
        document["name"],
        document["left_out"],
        None if overall is None else _comparison(overall),
        tuple(map(_comparison, document["classes"])),
        tuple(map(_comparison, document["segments"])),
        tuple(flipped),
    )


def _comparison(document: dict[str, Any]) -> Comparison:
    return Comparison(**document | {name: document[name] and Estimate(**document[name]) for name in _ESTIMATES})


def declare(connection: Connection, deployment: Deployment) -> None:
    """Write that a model went live; the same model at the same time again replaces what was said of it."""
    same = (_d.c.monitor == deployment.monitor, _d.c.live_at == deployment.live_at)
    other = connection.execute(sa.select(_d.c.model).where(*same)).scalar()
    if other is not None and other != deployment.model:
        raise StoreError(
            f"{deployment.monitor}: {other} went live at {deployment.live_at.isoformat()} already; two models cannot at one "
            "moment, so give another time"
        )
    connection.execute(sa.delete(_d).where(*same))
    connection.execute(sa.insert(_d), [{name: getattr(deployment, name) for name in _DEPLOYED}])


def deployed(connection: Connection, monitor: str) -> list[Deployment]:
    """Models of a monitor, newest first."""
    query = sa.select(_d).where(_d.c.monitor == monitor).order_by(_d.c.live_at.desc())
    return [_deployment(row) for row in connection.execute(query)]


def newest_models(connection: Connection) -> dict[str, tuple[Deployment, int]]:
    """The newest of each monitor, and how many it ever had."""
    every = sa.select(_d.c.monitor, sa.func.max(_d.c.live_at).label("at"), sa.func.count().label("number"))
    last = every.group_by(_d.c.monitor).subquery()
    same = sa.and_(_d.c.monitor == last.c.monitor, _d.c.live_at == last.c.at)
    found = connection.execute(sa.select(_d, last.c.number).join(last, same))
    return {row.monitor: (_deployment(row), row.number) for row in found}


def _deployment(row: Row[Any]) -> Deployment:
    return Deployment(**{name: getattr(row, name) for name in _DEPLOYED})
