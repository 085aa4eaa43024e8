"""What people did about a drift is told on its ticket, and the last comment says what it brought."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from episode import play, reference
from run_examples import deployment, verification, week
from shop import open_shop

from monitor.documents.markdown import escaped
from monitor.outcomes import outcome_of
from monitor.publish import publish_pending
from monitor.remarks import about_labels, about_model, about_verification, proof, remark
from monitor.report.verified import outcome_sentences, verification_sentences
from monitor.tickets.file import FileTickets
from monitor.values import TrainingSet


def test_the_ticket_ends_with_the_proof(tmp_path):
    _, store, shop = open_shop(tmp_path)
    folder = tmp_path / "tickets"
    tickets = {"file": FileTickets(str(folder))}
    support = replace(
        shop, name="support", load_reference=reference, tickets=tickets, exports={}, reopen=timedelta(days=14)
    )
    assert not remark(store, "support", "labels", about_labels(3, 0, None, None), store.now())
    for at, (number, _, desk) in enumerate(play(store, support)):
        now = desk.clock()
        if at % 2 and number == 2:
            (episode,) = store.living("support")
            assert proof(store, episode, ()) == []
            assert remark(store, "support", "labels", about_labels(30, 1, 2, 4), now)
            assert not remark(store, "support", "labels", about_labels(30, 1, 2, 4), now)
            found = verification(made_at=now)
            store.save_verification(found)
            assert remark(store, "support", "verified", about_verification(found), now)
            publish_pending({"support": support}, desk)
            (path,) = folder.glob("*.md")
            text = path.read_text()
            for said in (
                "30 labels came in and passed the quality gate.",
                "- 1 went back to be labelled again.",
                "- They are in version 2 of the training set and version 4 of the reference.",
                "## What the refresh has brought",
            ):
                assert said in text
            assert text.count(verification_sentences(found)[0]) == 2, "in a comment and in the body"
            live = replace(deployment(), live_at=now, declared_at=now, verification=found.id)
            store.declare_live(live)
            assert remark(store, "support", "live", about_model(live), now)
        if at % 2:
            publish_pending({"support": support}, desk)
    (episode,) = store.living("support")
    told = proof(store, episode, support.junk)
    assert len(told) > 2
    assert told[0] == outcome_sentences_of(store)[0]
    last = path.read_text().rpartition("<!-- drift-monitor note ")[2]
    assert "The drift is over" in last
    assert any("and the drift was over by" in sentence for sentence in told)
    for sentence in told:
        # The verdict that ended it counts, though it was saved with the comment.
        assert escaped(sentence) in last
    later = store.now() + timedelta(days=400)
    assert not remark(store, "support", "again", ["Too late."], later), "a drift of long ago is told nothing"
    store.close()


def outcome_sentences_of(store):
    return outcome_sentences(outcome_of(store, store.deployments("support")[0]))


def test_labels_used_are_those_of_the_training_set_it_learnt_from(store, monkeypatch):
    store.register_monitor("support", settings="s", period=timedelta(days=7), now=week(0).start)
    sets = [
        TrainingSet("support", n, week(0).start, None, n, "f", 700, {}, added=10 * n, relabelled=1) for n in (1, 2, 3)
    ]
    monkeypatch.setattr(type(store), "training_sets", lambda self, monitor: sets)
    for version, number in ((2, 1), (3, 2)):
        at = week(number).start
        store.declare_live(replace(deployment(f"v{version}"), live_at=at, declared_at=at, dataset_version=version))
    newest, first = store.deployments("support")
    assert (outcome_of(store, newest).labels, outcome_of(store, first).labels) == (31, 21)
