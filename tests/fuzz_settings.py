"""Settings files out of bytes, and out of a valid one with one thing wrong, as ``drift-monitor check`` meets them."""

from __future__ import annotations

import copy
import math
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml
from fuzz_tally import EDITS, Said, Tally, contents, each, flipped, inside, typed
from hypothesis import strategies as st
from shop import raw_settings, write_shop

from monitor.config import parse
from monitor.store import Store

BOMB = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + n, 98 + n, b", ".join([b"*%c" % (97 + n)] * 9)) for n in range(8)
)
ODD = [
    b"",
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    BOMB,
    BOMB + b"monitors: *i\n",
    BOMB + b"store: *i\nmonitors: []\n",
    b"[" * 20_000,
    b"{a: " * 20_000,
    b"- " * 20_000,
    b"monitors:\n" + b"".join(b" " * n + b"a:\n" for n in range(1, 1_200)),
    b"\tmonitors: []\n",
    b"a: &a [*a]\nmonitors: *a\n",
    b"&a {monitors: [*a], store: *a}",
    b"monitors: &m\n - name: x\n   source: *m\n",
    b"? [a, b]\n: c\n",
    b"? {a: b}\n: c\n",
    b"<<: 5\n",
    b"<<: [*x]\n",
    b"<<: {monitors: []}\n<<: {store: 5}\n",
    b"a: *nowhere\n",
    b"--- {}\n--- {}\n",
    b"%YAML 9.9\n---\n{}\n",
    b"monitors: 2026-99-99\n",
    b"monitors: 2026-02-30T25:61:61Z\n",
    b"monitors: 0001-01-01T00:00:00+23:59\n",
    b"monitors: " + b"9" * 5_000 + b"\n",
    b"monitors: 0x" + b"f" * 5_000 + b"\n",
    b"monitors: 1" + b":1" * 2_000 + b"\n",
    b"monitors: -\n",
    b"monitors: 0b\nx: 0x\ny: 0o9\nz: 1_\nw: +.\n",
    b"monitors: .nan\nstore: .inf\n",
    b"monitors: !!python/object/apply:os.system ['true']\n",
    b"monitors: !!binary '====x'\n",
    b"monitors: !!binary \xc3\xa9\n",
    b"monitors: !!set {a, b}\nstore: !!omap [a: b]\n",
    b"monitors: !!int abc\n",
    b"monitors: !!float abc\n",
    b"monitors: !!bool abc\n",
    b"monitors: !!timestamp abc\n",
    b"monitors: !!omap 5\n",
    b"monitors: !!pairs [5]\n",
    b"!!null x: y\n",
    b"null: 1\n1: 2\ntrue: 3\n",
    b"x: '" + b"a" * 500_000 + b"'\n",
    b"".join(b"k%d: 1\n" % n for n in range(5_000)),
    b'monitors: "\\ud800"\n',
    b'"\\ud800": 1\n',
    b'"\\0\\e[31m": 1\n',
    b'monitors: [{name: "\\ud800"}]\n',
]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, 10**18, -(10**18), -1, 0, 2**31, 2**63]),
    st.sampled_from([math.nan, math.inf, -math.inf, 1e308, 5e-324, -0.0]),
    st.floats(),
    st.text(),
    st.text(st.characters(categories=["Cc", "Cs", "Cf", "So"]), max_size=6),
    st.sampled_from(["", " ", "x" * 100_000, "é", "\0", "a\0b", "\x1b[31m", "[bold]x[/bold]", "[/]", "{x}", "%s"]),
    st.sampled_from(["${NOT_SET}", "${HOME}", "${", "$", "${9}", "a${NOT_SET}b", "1d", "99999999999999d", "0mo"]),
    st.sampled_from(
        ["sqlite://", "sqlite:///:memory:", "://", "http://[::1", "s3:", "file://", "postgresql://u@127.0.0.1:1/x"]
    ),
    st.sampled_from(["../../..", "/", "/dev/null", ".", "~", "*", "**/**", "[", "C:\\x", "a\nb", "/proc/self/mem"]),
    st.sampled_from([date(2026, 1, 5), datetime(2026, 1, 5), datetime(1, 1, 1), datetime(9999, 12, 31)]),  # noqa: DTZ001 - as YAML gives them
    st.binary(max_size=8),
    st.lists(st.integers() | st.text(max_size=4), max_size=4),
    st.dictionaries(st.text(max_size=4) | st.integers(), st.none() | st.text(max_size=4), max_size=3),
    st.just({1: {2: [{}]}}),
)
KEYS = st.sampled_from(
    ["", "monitor", "kind", "name", "url", "url_file", "password_file", "<<", "\0", "é", 5, None]
) | st.text(max_size=6)


def whole(folder: Path) -> dict[str, Any]:
    """Settings that use most of what there is."""
    raw = raw_settings(folder)
    (one,) = raw["monitors"]
    one |= {
        "owner": "team",
        "schedule": {"every": "1d", "delay": "10m", "start": "2026-01-05T00:00:00Z", "catch_up": 3},
        "run": {"timeout": "1h", "memory": "2GB"},
        "sample": {"size": 1000, "stratify": "predicted"},
        "policy": {"false_alarms": "1 per year", "tolerance": 0.02, "minimum_sample": 50, "calm": 3, "season": "7d"},
        "selection": {"budget": 20, "junk": ["junk"], "strategies": ["drift_cover", {"kind": "random", "share": 0.2}]},
        "labels": {"service_level": 0.9, "minor": [["refund", "lamp"]], "neighbours": 5},
        "report": {"excerpts": "candidates"},
        "limits": {"lag": "2d", "failing": "1h"},
        "refresh": {"predictions": [{"kind": "files", "path": f"{folder}/training.jsonl"}], "id": "id"},
        "notify": [{"kind": "apprise", "url": "json://127.0.0.1:9"}],
    }
    one["tickets"] += [
        {
            "kind": "webhook",
            "name": "hook",
            "url": "http://127.0.0.1:9/hook",
            "events": ["create", "close"],
            "texts": "ids",
        },
        {"kind": "github", "repository": "acme/robots", "token": "${HOME}", "labels": ["drift"]},
    ]
    one["exports"][0] |= {"when": "both", "every": "1w", "what": "new", "note": "private"}
    return {
        **raw,
        "metrics": {"textfile": f"{folder}/x.prom"},
        "privacy": {"retention": "180d", "patterns": {"order": "ORD-[0-9]+"}, "regions": ["DE"]},
    }


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of everything in the settings."""
    if path:
        yield path
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in steps:
        yield from places(item, (*path, key))


def place(value: Any, share: float) -> tuple[Any, Any] | None:
    """One of the places, 0 for the first and 1 for the last: what it is in, and its name or number there; ``None`` where there is none."""
    known = list(places(value))
    if not known:
        return None
    *above, last = known[int(share * (len(known) - 1))]
    for step in above:
        value = value[step]
    return value, last


def mutated(raw: Any, edit: tuple[str, float, Any, Any]) -> Any:
    """The settings with one thing wrong."""
    how, share, key, value = edit
    made = copy.deepcopy(raw)
    found = place(made, share)
    assert found is not None
    inner, last = found
    if how == "set" or isinstance(inner, list):
        inner[last] = value
    elif how == "remove":
        del inner[last]
    elif how == "misspell":
        inner[f"{last}x" if isinstance(last, str) else key] = inner.pop(last)
    else:
        inner[key] = value
    return made


WRONG = st.tuples(
    st.sampled_from(["set", "set", "set", "remove", "misspell", "add"]), st.floats(0, 1, allow_nan=False), KEYS, VALUES
)


def play(tally: Tally, folder: Path, cases: int, seed: int | None, processes: int) -> None:
    """Half of the cases are bytes, half are structures; some are typed in a process of their own."""
    write_shop(folder, days=(0,))
    raw = whole(folder)
    text = yaml.safe_dump(raw).encode()
    with Store.open(parse(raw).store.url) as store:
        store.upgrade()
    path = folder.with_name(f"{folder.name}.yaml")
    dumped = st.lists(WRONG, min_size=1, max_size=2).map(lambda edits: structured(raw, edits))
    files = st.one_of(
        st.binary(max_size=200),
        st.text(st.sampled_from("abc:-[]{}&*!|>'\"%@`#,? \n\t0123456789.~<"), max_size=80).map(str.encode),
        EDITS.map(lambda edits: flipped(text, edits)),
        dumped,
        dumped,
        dumped,
    )
    seen: list[bytes] = []

    def check(content: bytes) -> None:
        path.write_bytes(content)
        before = contents(folder)
        tally.settle(typed("check", "-c", path), content)
        after = contents(folder)
        if after != before:
            changed = sorted(set(before) ^ set(after)) or [name for name in after if after[name] != before[name]]
            tally.fault("partial write", f"check wrote {changed[0]}", content)
            for name in set(after) - set(before):
                gone = folder / name
                shutil.rmtree(gone) if gone.is_dir() else gone.unlink(missing_ok=True)
        seen.append(content)

    with inside(folder):
        each(tally, st.sampled_from(ODD), min(3 * len(ODD), cases), seed, check)
        each(tally, files, cases, seed, check)
        for content in seen[:: max(len(seen) // max(processes, 1), 1)][:processes]:
            tally.counts["cases"] += 1
            path.write_bytes(content)
            command = [sys.executable, "-m", "monitor", "check", "-c", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
            tally.settle(Said(done.returncode, done.stdout, done.stderr), content)


def structured(raw: Any, edits: list[tuple[str, float, Any, Any]]) -> bytes:
    """The settings as YAML with these edits."""
    for edit in edits:
        raw = mutated(raw, edit)
    try:
        return yaml.safe_dump(raw, sort_keys=False).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError):
        return yaml.safe_dump(raw, sort_keys=False, default_flow_style=True, width=1_000_000).encode("utf-8", "replace")
