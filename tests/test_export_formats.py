"""Formats: each gives every id and text back, whatever they hold, and is what its tool reads."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args
from xml.etree import ElementTree as ET

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.exporters.formats import FORMATS, Format, made
from monitor.formulas import neutralised, restored
from monitor.values import Candidate, Export, ExportedRun, Neighbour, Window

WINDOW = Window(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 12, tzinfo=UTC))
AWKWARD = 'He said "no",\nthen left; =1+1 \U0001f642'
NEAR = (Neighbour("t1", "refund", 0.75), Neighbour("t2", None, -0.5))


def candidate(rank=1, text=AWKWARD, **changes) -> Candidate:
    made = Candidate(
        rank, f"r{rank}", "herding", 0.75, 0.5, None, "refund", NEAR, "Because.", 2, text, WINDOW.start, "other", 0.25
    )
    return replace(made, **{"segments": {"Country": "DE"}, **changes})


def export(*candidates, **changes) -> Export:
    source = ExportedRun("run1", WINDOW, 3, records=frozenset(one.record_id for one in candidates))
    return replace(
        Export("support|5 Jan", "support", "run1", WINDOW, candidates, 3, runs=(source,), classes=("refund", "junk")),
        **changes,
    )


def checksum(text):
    return hashlib.sha256(text.encode()).hexdigest()


def json_rows(content):
    return [json.loads(line) for line in content.decode().split("\n")[:-1]]


def csv_rows(content):
    csv.field_size_limit(1_000_000)
    rows = csv.DictReader(io.StringIO(content.decode(), newline=""))
    return [{restored(name): restored(value) for name, value in row.items()} for row in rows]


def flat(rows):
    return [(row["id"], row["text"] or "", row["text_sha256"] or None) for row in rows]


def tasks(rows):
    return [(row["record_id"], row["text"], row["text_sha256"]) for row in rows]


READ = {
    "parquet": lambda files: flat(pq.read_table(io.BytesIO(files["candidates.parquet"])).to_pylist()),
    "jsonl": lambda files: flat(json_rows(files["candidates.jsonl"])),
    "csv": lambda files: flat(csv_rows(files["candidates.csv"])),
    "huggingface": lambda files: flat(pq.read_table(io.BytesIO(files["huggingface/data/train.parquet"])).to_pylist()),
    "label_studio": lambda files: tasks(task["data"] for task in json.loads(files["label-studio/tasks.json"])),
    "argilla": lambda files: [
        (row["metadata"]["record_id"], row["fields"]["text"], row["metadata"].get("text_sha256"))
        for row in json_rows(files["argilla/records.jsonl"])
    ],
    "doccano": lambda files: tasks(json_rows(files["doccano/data.jsonl"])),
    "prodigy": lambda files: tasks(json_rows(files["prodigy/tasks.jsonl"])),
}
ANY = st.text(
    st.characters(exclude_categories=[]) | st.sampled_from("=+-@'\"\t\r\n;, \x00\ud800\x85\u2028\ufeff\uff1d")
)


def test_every_format_is_in_the_table():
    assert set(FORMATS) == set(get_args(Format)) == set(READ)


@given(st.lists(st.tuples(ANY, st.none() | ANY, ANY), max_size=4, unique_by=lambda one: written(one[0])))
@example([("=cmd|' /C calc'!A0", "", "-"), ("'=1", "'", "\ud800"), ("\n\n=x", "a\x00b\x85c\u2028d", "<&>\"'\x01\n")])
def test_every_format_gives_ids_and_texts_back(records):
    """The label's characters go along: a class of any name must not break a file."""
    batch = [candidate(k, text, record_id=name, predicted=label) for k, (name, text, label) in enumerate(records)]
    expected = [
        (written(name), written(text or ""), None if text is None else checksum(written(text)))
        for name, text, _ in records
    ]
    for name in FORMATS:
        files = made(export(*batch, classes=tuple(label for *_, label in records)), [name])
        assert READ[name](files) == expected, name
        if name == "label_studio":
            known = {
                one.get("value") for one in ET.fromstring(files["label-studio/config.xml"].decode()).iter("Choice")
            }
            for task in json.loads(files["label-studio/tasks.json"]):
                for prediction in task["predictions"]:
                    assert prediction["result"][0]["value"]["choices"][0] in known


def written(text):
    """What no file or database can hold stands as U+FFFD."""
    return re.sub("[\x00\ud800-\udfff]", "\ufffd", text)


@given(ANY)
def test_what_keeps_a_formula_from_running_comes_off_again(text):
    cell = neutralised(text)
    assert restored(cell) == text
    # Wherever a spreadsheet may cut, what it then begins with, past all it may trim, is no formula.
    for piece in [cell, *re.split("[;\t\r\n]", cell)]:
        trimmed = re.sub(r"^[\s\"\x00-\x20\u200b-\u200f\u2060\ufeff]*", "", piece)
        assert trimmed[:1] not in set("=+-@\uff1d\uff0b\uff0d\uff20")


def test_a_text_that_is_no_formula_stays_as_it_is():
    for text in ("plain", "1 + 1 = 2", "a-b", "don't", "mail me @ home", 'say "x"', "", "first\nsecond"):
        assert neutralised(text) == text


def test_the_rows_hold_every_field():
    (row,) = pq.read_table(io.BytesIO(made(export(candidate()), ["parquet"])["candidates.parquet"])).to_pylist()
    assert row == {
        "id": "r1",
        "text": AWKWARD,
        "text_sha256": checksum(AWKWARD),
        "label": None,
        "suggested_label": "refund",
        "predicted": "other",
        "confidence": 0.25,
        "observed_at": WINDOW.start,
        "rank": 1,
        "strategy": "herding",
        "need": 0.75,
        "gain": 0.5,
        "risk": None,
        "cluster": None,
        "duplicates": 2,
        "reason": "Because.",
        "nearest_id": "t1",
        "nearest_label": "refund",
        "nearest_similarity": 0.75,
        "neighbours": '[{"record_id": "t1", "label": "refund", "similarity": 0.75}, '
        '{"record_id": "t2", "label": null, "similarity": -0.5}]',
        "run_id": "run1",
        "window_start": WINDOW.start,
        "monitor": "support",
        "export": "support|5 Jan",
        "segment.Country": "DE",
    }
    (line,) = json_rows(made(export(candidate()), ["jsonl"])["candidates.jsonl"])
    assert line == row | dict.fromkeys(("observed_at", "window_start"), "2026-01-05T00:00:00+00:00")
    (cells,) = csv_rows(made(export(candidate()), ["csv"])["candidates.csv"])
    assert cells == {name: "" if value is None else str(value) for name, value in line.items()}


def test_numbers_in_csv_stay_numbers():
    near = (Neighbour("t", "refund", -0.5),)
    (row,) = csv.DictReader(io.StringIO(made(export(candidate(neighbours=near)), ["csv"])["candidates.csv"].decode()))
    assert row["nearest_similarity"] == "-0.5"


def test_label_studio_tasks_come_with_what_is_guessed():
    files = made(
        export(
            candidate(),
            candidate(2, suggested_label=None, confidence=None),
            candidate(3, suggested_label=None, predicted=None),
        ),
        ["label_studio"],
    )
    first, second, third = json.loads(files["label-studio/tasks.json"])
    assert first == {
        "data": {
            "text": AWKWARD,
            "record_id": "r1",
            "monitor": "support",
            "export": "support|5 Jan",
            "text_sha256": checksum(AWKWARD),
            "rank": 1,
            "strategy": "herding",
            "reason": "Because.",
            "predicted": "other",
            "confidence": 0.25,
            "suggested_label": "refund",
            "observed_at": "2026-01-05T00:00:00+00:00",
            "segments": {"Country": "DE"},
        },
        "predictions": [
            {"model_version": "drift-monitor", "result": [choice("refund")]},
            {"model_version": "production", "result": [choice("other")], "score": 0.25},
        ],
    }
    assert second["predictions"] == [{"model_version": "production", "result": [choice("other")]}]
    assert third["predictions"] == []
    config = ET.fromstring(files["label-studio/config.xml"].decode())
    assert [one.get("value") for one in config.iter("Choice")] == ["refund", "junk", "other"]
    assert config.find("Choices").attrib == {"name": "label", "toName": "text", "choice": "single", "required": "true"}
    assert config.find("Text").get("name") == "text"


def choice(label):
    return {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}}


def test_argilla_records_and_their_settings():
    files = made(export(candidate(), candidate(2, suggested_label=None, confidence=None)), ["argilla"])
    first, second = json_rows(files["argilla/records.jsonl"])
    assert first == {
        "id": "r1",
        "fields": {"text": AWKWARD},
        "metadata": {
            "record_id": "r1",
            "monitor": "support",
            "export": "support|5 Jan",
            "text_sha256": checksum(AWKWARD),
            "rank": 1,
            "strategy": "herding",
            "reason": "Because.",
            "predicted": "other",
            "confidence": 0.25,
            "segment_country": "DE",
        },
        "suggestions": {"label": {"value": "refund", "agent": "drift-monitor"}},
    }
    assert second["suggestions"] == {"label": {"value": "other", "agent": "production"}}
    settings = json.loads(files["argilla/settings.json"])
    (question,) = settings["questions"]
    assert [one["value"] for one in question["settings"]["options"]] == ["refund", "junk", "other"]
    declared = {one["name"]: one["settings"]["type"] for one in settings["metadata"]}
    assert declared.keys() >= first["metadata"].keys()
    assert (declared["rank"], declared["confidence"], declared["segment_country"]) == ("integer", "float", "terms")


def test_doccano_is_given_no_label_that_nobody_gave():
    files = made(export(candidate()), ["doccano"])
    (row,) = json_rows(files["doccano/data.jsonl"])
    assert (row["text"], row["label"], row["suggested_label"]) == (AWKWARD, [], "refund")
    assert "id" not in row, "doccano's own"
    assert [one["text"] for one in json.loads(files["doccano/labels.json"])] == ["refund", "junk", "other"]


def test_prodigy_tasks_are_choices():
    (task,) = json_rows(made(export(candidate()), ["prodigy"])["prodigy/tasks.jsonl"])
    assert task == {
        "text": AWKWARD,
        "options": [{"id": name, "text": name} for name in ("refund", "junk", "other")],
        "meta": {"rank": 1, "reason": "Because.", "suggested": "refund", "predicted": "other"},
        "record_id": "r1",
        "monitor": "support",
        "export": "support|5 Jan",
        "text_sha256": checksum(AWKWARD),
    }


def test_the_card_of_a_hugging_face_folder_describes_its_table():
    files = made(export(candidate(), note="Ours.\n---\nNot to be shared."), ["huggingface"])
    table = pq.read_table(io.BytesIO(files["huggingface/data/train.parquet"]))
    _, head, body = files["huggingface/README.md"].decode().split("---\n", 2)
    card = yaml.safe_load(head)
    features = card["dataset_info"]["features"]
    assert [one["name"] for one in features] == table.schema.names
    arrow = {
        "string": "string",
        "double": "float64",
        "int64": "int64",
        "timestamp[us, tz=UTC]": "timestamp[us, tz=UTC]",
    }
    assert [one["dtype"] for one in features] == [arrow[str(field.type)] for field in table.schema]
    assert card["configs"] == [
        {"config_name": "default", "data_files": [{"split": "train", "path": "data/train.parquet"}]}
    ]
    assert "Not to be shared." in body


@pytest.mark.parametrize("name", FORMATS)
def test_a_batch_without_candidates_can_be_written(name):
    assert READ[name](made(export(), [name])) == []
