"""What labelling tools give back, as they write it: labels found, predictions and skipped answers not taken for labels."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from monitor.errors import SourceError
from monitor.formulas import neutralised
from monitor.labels import READERS, Bad, Columns, read_labels, recognised

WEIRD = '=SUM(1) "q", ;\tü\u2028\n\'x'


def written(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def lines(path, rows):
    return written(path, "".join(json.dumps(row) + "\n" for row in rows))


def said(found):
    return [(one.record_id, one.label, one.annotator) for one in found.labels]


def annotation(number, label, person=1, **more):
    """As Label Studio 1.2x exports one."""
    result = (
        [{"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}}] if label else []
    )
    return {
        "id": number,
        "completed_by": person,
        "result": result,
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2026-03-04T10:00:00.759433Z",
        "updated_at": "2026-03-04T11:00:00.759452Z",
        "lead_time": None,
        "prediction": {"id": 1, "result": result, "model_version": "m"},
        **more,
    }


def task(number, record, *annotations):
    guess = [{"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": ["refund"]}}]
    return {
        "id": number,
        "annotations": list(annotations),
        "drafts": [],
        "predictions": [{"id": 1, "result": guess, "model_version": "drift-monitor"}],
        "data": {"text": WEIRD, "record_id": record, "export": "shop|x", "text_sha256": "5" * 64},
        "meta": {},
        "cancelled_annotations": 0,
    }


def test_label_studio_annotations_count_and_predictions_do_not(tmp_path):
    tasks = [
        task(1, "r1", annotation(1, "refund"), annotation(2, "parcel", {"id": 2, "email": "ana@example.org"})),
        task(2, "r2", annotation(3, "parcel", ground_truth=True)),
        task(3, "r3", annotation(4, None, was_cancelled=True)),
        task(4, "r4"),
        task(5, "r5", annotation(5, None)),
        {"id": 6, "annotations": [], "data": "text"},
    ]
    path = written(tmp_path / "project-1.json", tasks)
    found = read_labels(path)
    assert found.kind == "label_studio"
    assert said(found) == [("r1", "refund", "1"), ("r1", "parcel", "ana@example.org"), ("r2", "parcel", "1")]
    assert [one.settled for one in found.labels] == [False, False, True]
    assert found.labels[0].at == datetime(2026, 3, 4, 11, 0, 0, 759452, tzinfo=UTC)
    assert (found.labels[0].text, found.labels[0].text_sha256, found.labels[0].export) == (WEIRD, "5" * 64, "shop|x")
    assert (found.unlabelled, found.skipped, found.bad) == (2, 1, (Bad(6, "no task data"),))


def test_label_studio_results_of_other_controls_are_left_alone(tmp_path):
    other = {"from_name": "mood", "to_name": "text", "type": "choices", "value": {"choices": ["angry"]}}
    note = {"from_name": "note", "to_name": "text", "type": "textarea", "value": {"text": ["why"]}}
    one = annotation(1, "refund")
    two = annotation(2, "refund")
    one["result"] += [other, note]
    two["result"][0]["value"]["choices"] = ["refund", "parcel"]
    found = read_labels(written(tmp_path / "x.json", [task(1, "r1", one), task(2, "r2", two)]))
    assert said(found) == [("r1", "refund", "1")]
    assert found.bad == (Bad(2, "several labels"),)


def flat(number, record, label, person=1):
    row = {"text": WEIRD, "record_id": record, "id": number, "annotator": person, "annotation_id": number}
    when = {"created_at": None, "updated_at": "2026-03-04T11:00:00Z", "lead_time": None}
    return row | when | ({} if label is None else {"label": label})


def test_label_studio_min_and_csv_say_the_same(tmp_path):
    rows = [
        flat(1, "r1", "a,b"),
        flat(2, "r1", "refund", 2),
        flat(3, "r2", {"choices": ["a", "b"]}),
        flat(4, "r4", None),
    ]
    small = read_labels(written(tmp_path / "min.json", rows))
    with (tmp_path / "x.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0]], quoting=csv.QUOTE_ALL)
        writer.writeheader()
        for row in rows:
            label = row.get("label", "")
            writer.writerow(row | {"label": json.dumps(label) if isinstance(label, dict) else label})
    table = read_labels(tmp_path / "x.csv")
    assert (small.kind, table.kind) == ("label_studio", "label_studio_csv")
    assert said(small) == said(table) == [("r1", "a,b", "1"), ("r1", "refund", "2")]
    assert [one.text for one in table.labels] == [WEIRD, WEIRD]
    assert [one.reason for one in (*small.bad, *table.bad)] == ["several labels"] * 2
    assert (small.unlabelled, table.unlabelled) == (1, 1)


def argilla_record(record, **more):
    return {
        "id": "0f5c",
        "fields": {"text": WEIRD},
        "metadata": {"record_id": record, "export": "e", "text_sha256": "5" * 64},
        "suggestions": {"label": {"value": "refund", "score": 0.5, "agent": "drift-monitor"}},
        **more,
    }


def test_argilla_responses_count_and_suggestions_do_not(tmp_path):
    records = [
        argilla_record(
            "r1", responses={"label": [{"value": "parcel", "user_id": "u1"}, {"value": "refund", "user_id": "u2"}]}
        ),
        argilla_record("r2", responses={}),
        argilla_record("r3"),
        argilla_record(
            "r4",
            responses=[
                {"values": {"label": {"value": "parcel"}}, "status": "submitted", "user_id": "u1"},
                {"values": {}, "status": "discarded", "user_id": "u2"},
                {"values": {"label": {"value": "lamp"}}, "status": "draft", "user_id": "u3"},
            ],
        ),
    ]
    flattened = {
        "id": "r5",
        "text": WEIRD,
        "label.responses": ["lamp"],
        "label.responses.users": ["u1"],
        "label.responses.status": ["submitted"],
        "label.suggestion": "refund",
    }
    for path in (
        lines(tmp_path / "x.jsonl", [*records, flattened]),
        written(tmp_path / "x.json", [*records, flattened]),
    ):
        found = read_labels(path)
        assert found.kind == "argilla"
        expected = [("r1", "parcel", "u1"), ("r1", "refund", "u2"), ("r4", "parcel", "u1"), ("r5", "lamp", "u1")]
        assert said(found) == expected
        assert found.labels[0].text == WEIRD
        assert (found.unlabelled, found.skipped) == (2, 2)


def test_doccano_keeps_its_own_id_and_gives_ours_back(tmp_path):
    rows = [
        {"id": 7, "text": WEIRD, "label": ["parcel"], "Comments": [], "record_id": "r1", "suggested_label": "refund"},
        {"id": 8, "text": WEIRD, "label": [], "record_id": "r2"},
        {"id": 9, "text": WEIRD, "label": ["a", "b"], "record_id": "r3"},
        {"id": 10, "text": WEIRD, "label": ["a"]},
        {"id": 11, "text": WEIRD, "label": [[0, 4, "span"]], "record_id": "r4"},
    ]
    found = read_labels(lines(tmp_path / "all.jsonl", rows))
    assert found.kind == "doccano"
    assert said(found) == [("r1", "parcel", "")]
    assert found.unlabelled == 1
    assert found.bad == (Bad(3, "several labels"), Bad(4, "no record id"), Bad(5, "a label that is no name"))


def test_prodigy_answers(tmp_path):
    rows = [
        {
            "text": WEIRD,
            "options": [],
            "accept": ["parcel"],
            "answer": "accept",
            "record_id": "r1",
            "_annotator_id": "ana",
            "_timestamp": 1772618400,
        },
        {"text": WEIRD, "accept": ["parcel"], "answer": "reject", "record_id": "r2"},
        {"text": WEIRD, "accept": [], "answer": "ignore", "record_id": "r3"},
        {"text": WEIRD, "accept": [], "answer": "accept", "record_id": "r4"},
        {"text": WEIRD, "label": "lamp", "answer": "accept", "record_id": "r5", "_session_id": "set-ben"},
        {"text": WEIRD, "options": [], "record_id": "r6"},
    ]
    found = read_labels(lines(tmp_path / "x.jsonl", rows))
    assert found.kind == "prodigy"
    assert said(found) == [("r1", "parcel", "ana"), ("r5", "lamp", "set-ben")]
    assert found.labels[0].at == datetime(2026, 3, 4, 10, tzinfo=UTC)
    assert (found.unlabelled, found.skipped) == (2, 2)


ROWS = [
    {"id": "r1", "text": WEIRD, "label": "parcel", "annotator": "ana"},
    {"id": "r2", "text": "-1", "label": None, "annotator": None},
    {"id": "r3", "text": "x", "label": "zwölf 💶", "annotator": None},
]


def test_plain_tables_of_each_kind(tmp_path):
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "x.parquet")
    for mark, name in ((",", "x.csv"), (";", "excel.csv"), ("\t", "x.tsv")):
        with (tmp_path / name).open("w", encoding="utf-8-sig", newline="") as stream:
            writer = csv.writer(stream, delimiter=mark)
            writer.writerows([[*ROWS[0]], *([neutralised(cell or "") for cell in row.values()] for row in ROWS)])
    lines(tmp_path / "x.jsonl", ROWS)
    written(tmp_path / "x.json", ROWS)
    kinds = {
        "x.parquet": "parquet",
        "x.csv": "csv",
        "excel.csv": "csv",
        "x.tsv": "csv",
        "x.jsonl": "jsonl",
        "x.json": "jsonl",
    }
    for name, kind in kinds.items():
        found = read_labels(tmp_path / name)
        assert found.kind == kind, name
        assert said(found) == [("r1", "parcel", "ana"), ("r3", "zwölf 💶", "")], name
        assert found.labels[0].text == WEIRD, name
        assert found.unlabelled == 1


def test_columns_by_other_names_and_numbers_as_names(tmp_path):
    path = lines(tmp_path / "x.jsonl", [{"key": 17, "y": 3, "who": 4}, {"key": 18.0, "y": False, "who": None}])
    found = read_labels(path, columns=Columns("key", "y", "who"))
    assert said(found) == [("17", "3", "4"), ("18", "False", "")]
    written(tmp_path / "x.csv", "id,answer\nr1,a\n")
    with pytest.raises(SourceError, match=r"has no column 'label'; it has id, answer: name it with --label-column"):
        read_labels(tmp_path / "x.csv")


def test_a_quote_that_no_export_put_there_stays(tmp_path):
    written(tmp_path / "x.csv", "id,label\n'tis,'twas\n'=1,'-x\n")
    assert said(read_labels(tmp_path / "x.csv")) == [("'tis", "'twas", ""), ("=1", "-x", "")]


def test_hugging_face_folders(tmp_path):
    feature = {"info": {"features": {"label": {"names": ["lamp", "parcel"], "_type": "ClassLabel"}}}}
    table = pa.table({"id": ["r1", "r2", "r3"], "label": pa.array([1, 0, -1])})
    table = table.replace_schema_metadata({"huggingface": json.dumps(feature)})
    (tmp_path / "hub" / "data").mkdir(parents=True)
    pq.write_table(table, tmp_path / "hub" / "data" / "train.parquet")
    (tmp_path / "disk").mkdir()
    with (
        (tmp_path / "disk" / "data-00000-of-00001.arrow").open("wb") as stream,
        pyarrow.ipc.new_stream(stream, table.schema) as writer,
    ):
        writer.write_table(table)
    for name in ("hub", "disk"):
        found = read_labels(tmp_path / name)
        assert (found.kind, said(found), found.unlabelled) == (
            "huggingface",
            [("r1", "parcel", ""), ("r2", "lamp", "")],
            1,
        )
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="holds no Parquet or Arrow file"):
        read_labels(tmp_path / "empty")


def test_bad_rows_are_counted_with_their_line_and_never_quoted(tmp_path):
    path = written(
        tmp_path / "x.jsonl",
        '{"id": "r1", "label": "a"}\n{"id": "secret\n[1]\n\n{"label": "secret"}\n{"id":"r2","label":["a"]}\n',
    )
    found = read_labels(path)
    assert said(found) == [("r1", "a", ""), ("r2", "a", "")]
    assert found.bad == (Bad(2, "malformed line"), Bad(3, "no JSON object"), Bad(5, "no record id"))
    path = written(tmp_path / "x.csv", 'id,label\nr1,a\nr2\n"r3","b\nc"\nr4,d,e\n')
    found = read_labels(path)
    assert said(found) == [("r1", "a", ""), ("r3", "b\nc", "")]
    assert found.bad == (Bad(3, "malformed line"), Bad(6, "malformed line"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", b'[{"id": "secret"', r"is no complete JSON, line 1; export it again"),
        ("x.csv", b"id,label\nr1,\xff\n", r"is not UTF-8 text \(byte 12\); save it as UTF-8"),
        ("x.parquet", b"PAR1 secret", r"is no whole Parquet file \(ArrowInvalid\)"),
        ("none.csv", None, r"none.csv cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_read_at_all_is_said(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        read_labels(tmp_path / name)
    assert "secret" not in str(caught.value)


def test_a_format_may_be_named(tmp_path):
    path = lines(tmp_path / "x", [{"id": "r1", "label": ["a"]}])
    assert recognised(path) == "doccano"
    assert said(read_labels(path, "jsonl")) == [("r1", "a", "")]
    with pytest.raises(SourceError, match="--format excel: there are " + ", ".join(READERS)):
        read_labels(path, "excel")
