"""Writes docs/metrics.md from the table of metrics; with ``--check`` it only says whether the page is current."""

from __future__ import annotations

import sys
from pathlib import Path

from monitor.metrics import METRICS, OTHER

PAGE = Path(__file__).parent / "metrics.md"

HEAD = f"""# Metrics

`drift-monitor serve` shows them at `/metrics`, by default on `127.0.0.1:9464`. They are a view of the store at the moment of the scrape: they survive restarts, any replica
shows the same, and what `run` did under cron or in a CronJob appears on `serve --no-schedule` as well. A scraper that asks for OpenMetrics gets exemplars: the newest run behind
each count of runs.

- **All values are of the newest finished window**, unless the help says otherwise. Nothing is repeated for windows that are missing: the age of `watermark_timestamp_seconds` grows
  instead (`watermark_lag_seconds` by the database's clock), and alert rules compare it with `limit_seconds{{limit="lag"}}`.
- **Absent means there is none.** Series that are described with "only while" vanish when that is over. A failed run shows its state and no effects.
- **Labels are bounded.** They hold names out of the settings, classes and segments, cut to 80 characters, never ids or text. The 20 largest classes, 20 other subjects and 20
  largest segments go by name, the rest falls together as `{OTHER}`: shares are added up, of effects the most striking one stands. Single classes within segments are in the run and
  its report only. A monitor of 30 classes and 10 segments has 512 series; 200 such monitors are scraped in a fraction of a second (`benchmarks/scrape.py`), for what was measured in a
  run is written once and kept.
- **`owner` and `pages`** of `drift_monitor_info` are those of the settings: who is told, and where links lead (`serve.address`). Alert rules and dashboards join them by `monitor`.
- **`detector`, `subject`, `segment`** name one measurement: `subject` is `embeddings`, `classes`, `class:refund`, ...; `segment` is empty for all traffic, else `country=DE`.
- **Times** are seconds since 1970; subtract them from `time()`.

| metric | kind | labels | |
| --- | --- | --- | --- |
"""

TAIL = """
## Without scraping

For machines that run only for a moment the same table goes, after each run, into a file for the node exporter's textfile collector, or to a Pushgateway:

```yaml
metrics:
  textfile: /var/lib/node_exporter/drift-monitor.prom
  pushgateway: http://127.0.0.1:9091
```

A Pushgateway keeps what it was last given for ever: the rules here go by the age of `watermark_timestamp_seconds` and not by the scrape, so they notice when nothing is pushed any more. What cannot be sent is logged and does not fail
the run.
"""


def page() -> str:
    """The whole page."""
    rows = [
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.help} |"
        for one in METRICS
    ]
    return HEAD + "\n".join(rows) + "\n" + TAIL


def main() -> None:
    """Write the page, or complain."""
    if sys.argv[1:] == ["--check"]:
        if PAGE.read_text(encoding="utf-8") != page():
            sys.exit("metrics.md: run make gen")
    else:
        PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
