"""Records taken out of written exports: data files, manifests with their checksums, reports."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from monitor.errors import MonitorError, PublishError
from monitor.purge.data_files import FILTERS
from monitor.purge.mentions import Mentions
from monitor.secrets import redact_url
from monitor.whole_files import keep_inside, write_whole

__all__ = ["Done", "purge_exports"]

_MANIFEST = "manifest.json"
_SPLIT = re.compile(r"(num_examples: |^(?=\d+ production records))\d+", re.MULTILINE)


@dataclass(slots=True)
class Done:
    """Exports changed, and files that still name a record."""

    changed: int = 0
    left: list[str] = field(default_factory=list)


def purge_exports(
    url: str,
    storage: Mapping[str, Any],
    monitors: Sequence[str],
    mentions: Mentions,
    report: Callable[[str], str | None],
    *,
    dry_run: bool = False,
) -> Done:
    """Take the records out of every export of these monitors under a folder or URL.

    Each manifest is written first, with the checksums that its files are to have; a purge that was cut off is so seen by them and
    ended by the next. ``report`` makes the report of a run anew.
    """
    shown = redact_url(url)
    done = Done()
    try:
        store, root = fsspec.core.url_to_fs(url, **storage)
        store.invalidate_cache()
        for monitor in monitors:
            home = f"{root.rstrip('/')}/{monitor}"
            for path in sorted(store.find(home)) if store.exists(home) else []:
                if PurePosixPath(path).name == _MANIFEST:
                    _purge_one(store, root, path, mentions, report, done, dry_run=dry_run)
    except MonitorError:
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise PublishError(f"exports under {shown} cannot be purged: {reason}; mend that and purge again") from error
    return done


def _purge_one(
    store: Any,
    root: str,
    path: str,
    mentions: Mentions,
    report: Callable[[str], str | None],
    done: Done,
    *,
    dry_run: bool,
) -> None:
    # Whoever labels may write there, and what the manifest names is read and written anew.
    local, root = isinstance(store, LocalFileSystem), root.rstrip("/")
    keep_inside(root, path.removeprefix(f"{root}/"), local=local)
    manifest = json.loads(store.cat_file(path))
    folder = path.rpartition("/")[0]
    for name in manifest["files"]:
        keep_inside(folder, name, local=local)
    before = {
        name: store.cat_file(f"{folder}/{name}") for name in manifest["files"] if store.exists(f"{folder}/{name}")
    }
    listed = manifest.get("record_ids")
    named = [record for record in listed or () if record in mentions.ids]
    gone = _fewer(before, mentions) if listed is None else len(named)
    rows = manifest.get("rows", 0) - gone
    after = {name: _rest(name, content, mentions, manifest, report, rows) for name, content in before.items()}
    sums = {name: _sum(after[name]) if name in after else had for name, had in manifest["files"].items()}
    changed = [name for name in after if after[name] != before[name]]
    if not changed and not named:
        return
    done.changed += 1
    if dry_run:
        return
    _put(store, path, json.dumps(_told(manifest, mentions, sums, gone), indent=2, ensure_ascii=False).encode() + b"\n")
    for name in changed:
        _put(store, f"{folder}/{name}", after[name])
    done.left += [f"{folder}/{name}" for name, content in after.items() if _named(name, content, mentions)]


def _fewer(contents: Mapping[str, bytes], mentions: Mentions) -> int:
    """Records that the export holds, told by its files, for manifests that list none."""
    for name, content in contents.items():
        kind = PurePosixPath(name).suffix
        if kind == ".jsonl":
            return sum(mentions.is_of(json.loads(line)) for line in content.decode().splitlines() if line.strip())
        if kind in FILTERS and FILTERS[kind](content, mentions) != content:
            return 1
    return 0


def _rest(
    name: str,
    content: bytes,
    mentions: Mentions,
    manifest: Mapping[str, Any],
    report: Callable[[str], str | None],
    rows: int,
) -> bytes:
    kind = PurePosixPath(name).suffix
    if kind in FILTERS:
        return FILTERS[kind](content, mentions)
    if kind == ".html" and mentions.named_in(content.decode(errors="replace")):
        made = report(str(manifest.get("run_id", "")))
        return (
            made or "<!doctype html><title>Purged</title><p>This report named records that were purged.</p>"
        ).encode()
    if kind == ".md":
        return mentions.scrubbed(_SPLIT.sub(rf"\g<1>{rows}", content.decode())).encode()
    return content


def _told(manifest: dict[str, Any], mentions: Mentions, sums: Mapping[str, str], gone: int) -> dict[str, Any]:
    """The manifest of what is left."""
    said = {**manifest, "files": dict(sums), "purged": manifest.get("purged", 0) + gone}
    if isinstance(manifest.get("record_ids"), list):
        said["record_ids"] = [record for record in manifest["record_ids"] if record not in mentions.ids]
    if isinstance(manifest.get("rows"), int):
        said["rows"] = manifest["rows"] - gone
    runs = manifest.get("runs")
    if isinstance(runs, list) and len(runs) == 1:
        said["runs"] = [{**runs[0], "rows": said["rows"]}]
    return said


def _named(name: str, content: bytes, mentions: Mentions) -> bool:
    if PurePosixPath(name).suffix in FILTERS:
        return False
    return mentions.named_in(content.decode(errors="replace"))


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _put(store: Any, path: str, content: bytes) -> None:
    if isinstance(store, LocalFileSystem):
        write_whole(Path(path), content)
    else:
        store.pipe_file(path, content)
