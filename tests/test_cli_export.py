"""``drift-monitor export`` as a user types it: to a folder, to the destinations of the settings, and what it refuses."""

from __future__ import annotations

import json

import pytest
import yaml
from shop import raw_settings
from test_cli import backfill, shop  # noqa: F401 - fixture
from test_exporter_files import read


@pytest.fixture
def drifted(drift_monitor, shop):  # noqa: F811 - fixtures
    """A shop that has drifted, with an export on a schedule and one without, both in other formats."""
    exports = [
        {"kind": "files", "folder": str(shop / "now"), "formats": ["jsonl"]},
        {"kind": "files", "name": "weekly", "folder": str(shop / "weekly"), "formats": ["prodigy"]}
        | {"when": "schedule", "every": "1w"},
    ]
    (shop / "drift-monitor.yaml").write_text(yaml.safe_dump(raw_settings(shop, exports=exports)))
    assert backfill(drift_monitor)[0] == 0
    return shop


def newest(folder):
    """The newest export on a schedule there."""
    series = folder / "shop" / "schedule"
    return read(series / json.loads((series / "latest.json").read_text())["export"])


def test_exports_by_hand_and_to_the_schedules_destinations(drift_monitor, drifted):
    assert not (drifted / "weekly").exists(), "no slot has begun since"
    code, out, _ = drift_monitor("export", "--dry-run")
    assert (code, out) == (0, "shop: candidates of 1 run would be written to weekly\n")
    assert not (drifted / "weekly").exists()

    (drifted / "weekly").write_text("in the way")
    code, out, _ = drift_monitor("export")
    assert code == 1
    assert "shop: weekly not written: export cannot be written to" in out
    assert "Not a directory; make room, or correct the folder" in out
    assert "then drift-monitor tickets --retry" in out
    (drifted / "weekly").unlink()
    assert drift_monitor("tickets", "--retry")[0] == 0
    manifest, files = newest(drifted / "weekly")
    tasks = [json.loads(line) for line in (files / "prodigy" / "tasks.jsonl").read_text().splitlines()]
    assert [task["record_id"] for task in tasks] == manifest["record_ids"]
    assert tasks
    assert manifest["note"].startswith("Production records. They may hold personal data")
    assert drift_monitor("export")[:2] == (0, "shop: nothing new for weekly\n")

    code, out, _ = drift_monitor("export", "--to", "files", "--all")
    assert (code, out.startswith(f"shop: files written to {drifted}/now/shop/schedule/2")) == (0, True)
    assert newest(drifted / "now")[0]["record_ids"] == manifest["record_ids"]

    code, _, _ = drift_monitor("export", drifted / "out", "--format", "label_studio", "--format", "argilla")
    by_hand, files = read(drifted / "out" / "shop" / "20260304T000000Z")
    assert code == 0
    names = {path.name for path in files.rglob("*.*")}
    assert names == {"tasks.json", "config.xml", "records.jsonl", "settings.json", "report.html"}
    assert by_hand["classes"] == manifest["classes"]
    assert by_hand["classes"][-1] == "junk"
    code, _, err = drift_monitor("export", drifted / "out", "--format", "excel")
    assert code == 2
    assert "'parquet', 'jsonl', 'csv', 'huggingface', 'label_studio', 'argilla', 'doccano' or 'prodigy'" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--window", "2026-03-04"], "--window and --format are for an export to a FOLDER"),
        (["--format", "csv"], "--window and --format are for an export to a FOLDER"),
        (["out", "--all"], "--to, --all and --new are for destinations of the settings; leave FOLDER out"),
        (["--to", "nobody"], "the settings name no export destination called 'nobody'; add one to exports"),
        ([], "the settings name no export destination with a schedule; add one to exports, or name a FOLDER"),
    ],
)
def test_what_does_not_go_together_is_refused(drift_monitor, shop, words, said):  # noqa: F811
    code, _, err = drift_monitor("export", *words)
    assert code == 2
    assert said in err
