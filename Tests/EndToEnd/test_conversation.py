"""Conversations as a protocol: numbered events, resuming, replaying, whose they are, how they end."""

import re
import uuid

import pytest

from harness import Account, Chat, events, problem
from test_journey import NEED, NARROWER

TERMINAL = {"done", "error", "aborted"}


@pytest.fixture(scope="module")
def chat(server):
    """An anonymous conversation of four turns, with its bytes."""
    chat = Chat(server)
    chat.turns = [chat.say(NEED), chat.say(NARROWER), chat.say("compare the first two"), chat.say("undo")]
    chat.raw = b"".join(turn.raw for turn in chat.turns)
    return chat


def test_event_ids_are_free_of_gaps_over_the_whole_conversation(chat):
    found = events(chat.raw)
    assert [event.seq for event in found] == list(range(1, len(found) + 1))
    assert {event.conversation for event in found} == {chat.id}


def test_every_turn_ends_with_exactly_one_terminal_event(chat):
    for turn in chat.turns:
        assert [kind for kind in turn.types if kind in TERMINAL] == [turn.types[-1]]
        assert turn.types[0] == "turn.start"


def test_the_stream_is_not_stored_or_buffered_on_its_way(server):
    answer = Chat(server).send({"text": "hello"})
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert "Content-Encoding" not in answer.headers


def test_resuming_at_every_event_gives_the_same_bytes(chat):
    found = events(chat.raw)
    at = 0
    for event in found[:-1]:
        at += len(event.raw)
        answer = chat.get("/stream", Last_Event_ID=event.id)
        assert answer.status_code == 200 and answer.content == chat.raw[at:], event


def test_resuming_after_the_last_event_has_nothing_more(chat):
    last = events(chat.raw)[-1]
    assert chat.get("/stream", Last_Event_ID=last.id).status_code == 204


def test_an_unknown_event_id_is_gone(chat):
    last = events(chat.raw)[-1]
    for id in (f"{chat.id}.{last.seq + 1}", f"{'0' * 26}.1", "nonsense"):
        problem(chat.get("/stream", Last_Event_ID=id), 410, "stream_expired")


def without_secret(raw):
    return re.sub(rb',"conversationSecret":"[^"]*"', b"", raw)


def test_the_same_client_message_id_replays_the_turn(server):
    chat = Chat(server)
    first = chat.say(NEED, clientMessageId="one")
    second = chat.say(NARROWER, clientMessageId="two")
    # The secret of an anonymous conversation is shown once and never kept.
    assert chat.say(NEED, clientMessageId="one").raw == without_secret(first.raw)
    assert chat.say("something else", clientMessageId="two").raw == second.raw
    assert len(chat.get().json()["turns"]) == 2


def test_a_repeated_first_message_of_a_user_replays_its_turn(server, user):
    body = {"clientMessageId": uuid.uuid4().hex, "text": NEED}
    first = Chat(server, user).say(**body)
    again = Chat(server, user).say(**body, conversationId=first.conversation)
    assert first.raw == again.raw


def test_the_same_needs_give_the_same_turns(server, chat):
    other = Chat(server)
    for turn, text in zip(chat.turns, [NEED, NARROWER, "compare the first two", "undo"]):
        again = other.say(text)
        assert again.types == turn.types
        skip = {"turn.start", "done"}
        assert [e.data for e in again.events if e.type not in skip] == [
            e.data for e in turn.events if e.type not in skip]
        assert again.last.data["services"] == turn.last.data["services"]


def test_undo_brings_the_earlier_constraints_and_first_card_back(chat):
    assert chat.turns[3].one("constraints") == chat.turns[0].one("constraints")
    assert chat.turns[3].of("card")[0] == chat.turns[0].of("card")[0]


def test_undo_brings_all_earlier_cards_back(chat):
    assert chat.turns[3].of("card") == chat.turns[0].of("card")


def test_a_stale_parent_is_a_conflict(server):
    chat = Chat(server)
    chat.say(NEED, clientMessageId="one")
    chat.say(NARROWER, clientMessageId="two", parentMessageId="one")
    problem(chat.send({"text": "more", "parentMessageId": "one"}), 409, "parent_stale")


def test_an_anonymous_conversation_needs_its_secret(server, user, chat):
    assert chat.secret and len(chat.secret) >= 22, "128 random bits"
    assert "conversationSecret" not in chat.turns[1].one("turn.start"), "it is shown once"
    for secret in (None, "", "A" * 22):
        thief = Chat(server)
        thief.id, thief.secret = chat.id, secret
        problem(thief.get(), 404, "not_found")
        problem(thief.get("/stream"), 404, "not_found")
        problem(thief.get("/export"), 404, "not_found")
        problem(thief.send({"text": "hello"}), 404, "not_found")
        problem(server.post(thief.path("/cancel"), headers=thief.headers()), 404, "not_found")
    assert chat.get().status_code == 200
    problem(user.delete(chat.path()), 404, "not_found")


def test_another_users_conversation_is_not_there(server, user):
    owner = Chat(server, Account.register(server))
    owner.say(NEED)
    assert "conversationSecret" not in owner.say(NARROWER).one("turn.start")
    thief = Chat(server, user)
    thief.id = owner.id
    for answer in (thief.get(), thief.get("/stream"), thief.get("/export"), thief.send({"text": "hello"}),
                   user.delete(owner.path()), user.post(owner.path("/cancel")), Chat.get(_of(server, owner.id))):
        problem(answer, 404, "not_found")
    assert owner.get().status_code == 200


def _of(server, id):
    chat = Chat(server)
    chat.id = id
    return chat


def test_own_conversations_are_listed_with_short_titles(server, user):
    chat = Chat(server, user)
    chat.say("images " * 40)
    listed = user.get("/v1/chat/conversations").json()["conversations"]
    assert [one["id"] for one in listed] == [chat.id]
    assert len(listed[0]["title"]) <= 60
    problem(server.get("/v1/chat/conversations"), 401, "unauthenticated")


def test_the_export_has_every_event(chat):
    export = chat.get("/export").json()
    assert [(e["seq"], e["type"], e["data"]) for e in export["events"]] == [
        (e.seq, e.type, e.data) for e in events(without_secret(chat.raw))]
    assert [turn["state"] for turn in export["turns"]] == ["done"] * 4


def test_cancelling_a_finished_turn_changes_nothing(server, chat):
    for _ in range(2):
        assert server.post(chat.path("/cancel"), headers=chat.headers()).status_code == 204
    assert chat.get("/export").json()["turns"][-1]["state"] == "done"


def test_a_deleted_conversation_is_gone(server, user):
    chat = Chat(server, user)
    chat.say(NEED)
    assert user.delete(chat.path()).status_code == 204
    problem(user.delete(chat.path()), 404, "not_found")
    problem(chat.get(), 404, "not_found")
    problem(chat.send({"text": "more"}), 404, "not_found")
    assert user.get("/v1/chat/conversations").json()["conversations"] == []


def test_an_answer_to_the_question_becomes_a_condition(server):
    chat = Chat(server)
    question = chat.say(NEED).one("question")
    value = question["options"][0]["value"]
    turn = chat.say(answer={"questionId": question["questionId"], "values": [value]})
    chip = turn.one("constraints")["constraints"][-1]
    assert chip["source"] == "answer" and chip["field"] == question["field"]
    for card in turn.of("card"):
        stored = server.get("/v1/services/" + card["serviceId"]).json()["service"]
        have = stored[question["field"]]
        assert value in (have if isinstance(have, list) else [have])
    assert turn.of("question") == [] or turn.one("question")["field"] != question["field"]


def test_an_edit_removes_a_constraint(server):
    chat = Chat(server)
    chat.say(NEED)
    chips = chat.say(NARROWER).one("constraints")["constraints"]
    turn = chat.say(edit={"ops": [{"op": "remove", "id": chips[1]["id"]}]})
    assert [chip["id"] for chip in turn.one("constraints")["constraints"]] == [chips[0]["id"]]
    turn = chat.say(edit={"ops": [{"op": "set", "filter": "kind = app"}]})
    assert turn.of("card") and all(card["kind"] == "app" for card in turn.of("card"))


def test_conditions_that_nothing_meets_are_said_with_relaxations(server):
    chat = Chat(server)
    chat.say(NEED)
    turn = chat.say(edit={"ops": [{"op": "set", "filter": "rating > 4.9"}]})
    assert turn.one("done")["finish"] == "no_match" and turn.of("card") == []
    assert all(row["dropped"] and row["total"] > 0 for row in turn.of("relaxation"))
    assert turn.of("relaxation")


def test_a_proposal_needs_a_signed_in_user(server):
    chat = Chat(server)
    chat.say(NEED)
    turn = chat.say("let me try the first")
    assert turn.of("proposal") == [] and "sign" in turn.text.lower()


@pytest.mark.parametrize("body, pointer", [
    ({"text": "a", "answer": {"questionId": "q1", "values": ["x"]}}, "/text"),
    ({}, "/text"), ({"text": "   "}, "/text"), ({"text": "a", "mode": "loud"}, "/mode"),
    ({"text": "a", "clientMessageId": ""}, "/clientMessageId"), ({"text": "a", "wrong": 1}, "/wrong"),
    ({"edit": {"ops": [{"op": "explode"}]}}, "/edit"), ({"answer": {"questionId": "q1"}}, "/answer"),
])
def test_a_bad_message_is_refused_with_its_field(server, body, pointer):
    answer = Chat(server).send(body)
    assert pointer in [e["pointer"] for e in problem(answer, 422, "validation_failed")["errors"]]


def test_a_message_over_eight_kilobytes_is_refused(server):
    problem(Chat(server).send({"text": "x" * 8_200}), 413, "body_too_large")
