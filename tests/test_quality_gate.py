"""The gate on labels spoilt in known ways: it finds the bad class, keeps the good ones, and says what it cannot tell."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from worlds import around, dataset, intents

from monitor.quality import judged
from monitor.values import GateTerms, LabelBatch, Vote

CLASSES, EACH = 6, 20
CENTRES = intents(CLASSES + 2, 32, seed=4)
TERMS = GateTerms()


def names(which):
    return [f"class {i}" for i in which]


def reference(classes=CLASSES, each=40, seed=1):
    which = np.repeat(np.arange(classes), each)
    data = dataset(around(CENTRES, which, np.random.default_rng(seed), spread=0.8), names(which), prefix="t")
    schema = data.records.schema
    place = schema.get_field_index("label")
    return replace(data, records=data.records.set_column(place, schema.field(place), data.records.column("predicted")))


REFERENCE = reference()


def batch(labels=None, which=None, seed=2, **more):
    which = np.repeat(np.arange(CLASSES), EACH) if which is None else np.asarray(which)
    labels = names(which) if labels is None else labels
    ids = tuple(f"r{i:03d}" for i in range(len(which)))
    votes = tuple(Vote(record, "ann", label) for record, label in zip(ids, labels, strict=True))
    vectors = around(CENTRES, which, np.random.default_rng(seed), spread=0.8)
    return LabelBatch(ids, vectors, more.pop("votes", votes), **more)


def verdict(one, terms=TERMS, known=REFERENCE, seed=0):
    return judged(one, known, terms, np.random.default_rng(seed))


def labels_with(wrong):
    labels = names(np.repeat(np.arange(CLASSES), EACH))
    for row, label in wrong.items():
        labels[row] = label
    return labels


def half_of_class_2():
    return labels_with(dict.fromkeys(range(40, 50), "class 5"))


def test_a_clean_batch_is_accepted_whole():
    found = verdict(batch())
    assert found.verdict == "accept"
    assert found.accepted == batch().ids
    assert found.returned == ()
    assert {one.state for one in found.classes} == {"good"}
    assert found.whole.error.high < 0.05


def test_two_errors_in_a_good_batch_go_back_alone_with_what_they_more_likely_are():
    found = verdict(batch(labels_with({0: "class 3", 70: "class 1"})))
    assert found.verdict == "accept"
    assert [
        (one.record_id, one.label, one.suggested) for one in sorted(found.returned, key=lambda one: one.record_id)
    ] == [
        ("r000", "class 3", "class 0"),
        ("r070", "class 1", "class 3"),
    ]
    for one in found.returned:
        assert {"label_error", "neighbours"} <= set(one.why)
        assert one.wrong > 0.9
    assert len(found.accepted) == 118


def test_labels_wrong_all_over_refuse_the_batch():
    rng = np.random.default_rng(5)
    rows = rng.choice(CLASSES * EACH, 10, replace=False)
    found = verdict(
        batch(labels_with({row: f"class {(row // EACH + 1 + row % 4) % CLASSES}" for row in rows.tolist()}))
    )
    assert found.verdict == "refuse"
    assert found.accepted == ()
    assert len(found.returned) == CLASSES * EACH
    assert {one.record_id for one in found.returned[:10]} == {f"r{row:03d}" for row in rows}
    assert found.sentences[0].startswith("The batch is refused")


def test_half_of_one_class_is_found_and_the_batch_refused():
    found = verdict(batch(half_of_class_2()))
    assert found.verdict == "refuse"
    bad = {one.value: one for one in found.classes if one.state == "bad"}
    assert set(bad) == {"class 2", "class 5"}
    assert bad["class 2"].error.value == pytest.approx(0.5, abs=0.03)
    assert bad["class 5"].error.value == pytest.approx(1 / 3, abs=0.03)
    assert "10 labels say class 5 where class 2 is likelier." in found.sentences


def test_a_class_whose_labels_went_everywhere_is_found_though_no_label_names_it():
    wrong = {row: f"class {(0, 1, 3, 4, 5)[row % 5]}" for row in range(40, 50)}
    assert "class 2" in {one.value for one in verdict(batch(labels_with(wrong))).classes if one.state == "bad"}


def test_the_rest_is_kept_where_the_terms_say_so():
    found = verdict(batch(half_of_class_2()), replace(TERMS, keep_the_rest=True))
    assert found.verdict == "refuse", "8 % of all labels are wrong"
    terms = replace(TERMS, service_level=0.9)
    six = batch(labels_with(dict.fromkeys(range(40, 46), "class 5")))
    assert verdict(six, terms).verdict == "refuse"
    found = verdict(six, replace(terms, keep_the_rest=True))
    assert found.verdict == "part"
    assert {found.labels[record] for record in found.accepted} == {f"class {i}" for i in (0, 1, 3, 4, 5)}
    assert len(found.accepted) == 100
    assert sum("bad_group" in one.why for one in found.returned) == 14


def test_a_bad_segment_is_found():
    segments = {"annotated_in": ["Oslo" if row % 10 == 9 else "Lagos" for row in range(CLASSES * EACH)]}
    wrong = {row: f"class {(row // EACH + 1) % CLASSES}" for row in range(CLASSES * EACH) if row % 20 == 9}
    found = verdict(batch(labels_with(wrong), segments=segments), replace(TERMS, service_level=0.9))
    assert {(one.field, one.value): one.state for one in found.segments} == {
        ("annotated_in", "Lagos"): "good",
        ("annotated_in", "Oslo"): "bad",
    }
    assert found.whole.state == "good", "its average is good"
    assert found.verdict == "refuse"


def test_minor_errors_weigh_less():
    wrong = labels_with(dict.fromkeys([40, 41, 42, 43, 44, 45], "class 5"))
    assert verdict(batch(wrong)).verdict == "refuse"
    alike = replace(TERMS, minor=(frozenset({"class 2", "class 5"}),), service_level=0.9)
    found = verdict(batch(wrong), alike)
    assert found.verdict == "accept"
    assert found.whole.error.value == pytest.approx(6 * 0.2 / 120, abs=0.002)
    assert len(found.returned) == 6, "errors go back, however little they weigh"


def between(seed=2):
    """The batch with a class of ten whose records lie between two classes."""
    clean = batch()
    vectors, rng = clean.vectors.copy(), np.random.default_rng(seed)
    middle = CENTRES[2] + CENTRES[5] + rng.normal(scale=0.02, size=(10, 32))
    vectors[100:110] = middle / np.linalg.norm(middle, axis=1, keepdims=True)
    keep = np.r_[0:110]
    return LabelBatch(
        tuple(clean.ids[i] for i in keep), vectors[keep].astype(np.float32), tuple(clean.votes[i] for i in keep)
    )


def test_a_new_class_of_few_labels_that_nobody_can_tell_asks_for_a_second_look():
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(8, 32))
    clean = batch()
    vectors = np.concatenate([clean.vectors, (noise / np.linalg.norm(noise, axis=1, keepdims=True)).astype(np.float32)])
    ids = (*clean.ids, *(f"x{i}" for i in range(8)))
    labels = ["class 9" if i % 2 else f"class {i % 6}" for i in range(8)]
    votes = (*clean.votes, *(Vote(f"x{i}", "ann", labels[i]) for i in range(8)))
    found = verdict(LabelBatch(ids, vectors, votes, new_classes=frozenset({"class 9"})))
    assert found.verdict == "part"
    unclear = next(one for one in found.classes if one.value == "class 9")
    assert unclear.state == "unclear"
    assert set(unclear.look) <= {"x1", "x3", "x5", "x7"}
    assert len(unclear.look) > 0
    assert f"A second look at {len(unclear.look)} named records would settle it." in unclear.sentence
    assert not {"x1", "x3", "x5", "x7"} & set(found.accepted)
    looked = dict.fromkeys(unclear.look, "class 9")
    again = verdict(LabelBatch(ids, vectors, votes, second_look=looked, new_classes=frozenset({"class 9"})))
    assert next(one for one in again.classes if one.value == "class 9").state == "good"
    assert set(looked) <= set(again.accepted)


def test_a_second_look_overrules_votes_and_its_corrections_enter():
    wrong = labels_with({0: "class 3"})
    found = verdict(batch(wrong, second_look={"r000": "class 0"}))
    assert found.verdict == "accept"
    assert "r000" in found.accepted
    assert found.labels["r000"] == "class 0"


def test_gold_questions_answered_wrong_go_back():
    found = verdict(batch(labels_with({0: "class 3"}), gold={"r000": "class 0", "r001": "class 0"}))
    assert [(one.record_id, one.why[0]) for one in found.returned] == [("r000", "gold")]
    assert found.annotators[0].right.value == 0.5
    assert any("seeded questions right" in sentence for sentence in found.sentences)


def test_ties_go_back_and_the_rest_is_judged():
    clean = batch()
    votes = (*clean.votes, Vote("r000", "other", "class 3"), *(Vote(f"r00{i}", "other", "class 0") for i in (1, 2, 3)))
    found = verdict(batch(votes=votes))
    assert found.verdict == "accept"
    tie = found.returned[-1]
    assert (tie.record_id, tie.label, tie.why) == ("r000", None, ("tie",))
    assert tie.reasons == ("Annotators disagree: class 0 1 time, class 3 1 time.",)
    assert "r000" not in found.labels
    assert found.agreement.records == 4


def test_declared_new_classes_are_learned_from_the_batch_and_others_named():
    which = np.r_[np.repeat(np.arange(CLASSES), EACH), np.repeat(CLASSES, EACH)]
    labels = names(which)
    labels[125], labels[3] = "class 0", "class 6"
    found = verdict(batch(labels, which, new_classes=frozenset({"class 6"})))
    assert {one.record_id: one.suggested for one in found.returned} == {"r125": "class 6", "r003": "class 0"}
    with pytest.raises(ValueError, match="1 classes that the reference lacks, class 6: declare"):
        verdict(batch(labels, which))


def test_the_only_label_of_a_new_class_waits_for_somebody_to_look():
    which = np.r_[np.repeat(np.arange(CLASSES), EACH), CLASSES]
    new = frozenset({"class 6"})
    found = verdict(batch(names(which), which, new_classes=new))
    assert [(one.record_id, one.why, one.suggested) for one in found.returned] == [("r120", ("unclear_group",), None)]
    assert found.verdict == "part"
    again = verdict(batch(names(which), which, new_classes=new, second_look={"r120": "class 6"}))
    assert "r120" in again.accepted


def test_every_record_is_accepted_or_returned_once_and_the_same_seed_says_the_same():
    for one in (batch(), batch(half_of_class_2()), between()):
        found = verdict(one)
        assert sorted((*found.accepted, *(back.record_id for back in found.returned))) == sorted(one.ids)
        assert verdict(one) == found
        assert sum(group.returned for group in found.classes) == len(found.returned)


def test_sentences_are_finished_and_no_reason_is_missing():
    found = verdict(batch(half_of_class_2()))
    said = [*found.sentences, *(r for one in found.returned for r in one.reasons)]
    assert all(re.fullmatch(r"[A-Z0-9].*\.", sentence) for sentence in said)
    assert all(one.reasons and len(set(one.reasons)) == len(one.reasons) for one in found.returned)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": ("a", "a")}, "1 of 2 record ids are there twice"),
        ({"votes": (Vote("a", "", "x"),)}, "1 records have no vote, 0 votes have no record"),
        ({"segments": {"s": ["x"]}}, "segment s has 1 values for 2 records"),
        ({"gold": {"c": "x"}}, "gold answers 1 records that are not in the batch"),
        ({"vectors": np.full((2, 3), np.nan, dtype=np.float32)}, "NaN"),
        ({"vectors": np.zeros((3, 3), dtype=np.float32)}, "for 2 records"),
    ],
)
def test_a_batch_that_does_not_fit_together_is_no_batch(change, message):
    whole = {
        "ids": ("a", "b"),
        "vectors": np.zeros((2, 3), np.float32),
        "votes": (Vote("a", "", "x"), Vote("b", "", "x")),
    }
    LabelBatch(**whole)
    with pytest.raises(ValueError, match=message):
        LabelBatch(**(whole | change))


@pytest.mark.parametrize(
    "wrong", [{"service_level": 1.0}, {"confidence": 0.5}, {"minor_weight": 1.1}, {"neighbours": 0}]
)
def test_terms_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GateTerms(**wrong)


def test_vectors_of_another_embedder_are_refused():
    with pytest.raises(ValueError, match="3 dimensions, the reference's 32"):
        verdict(LabelBatch(("a",), np.ones((1, 3), np.float32), (Vote("a", "", "class 0"),)))
