"""What searches led to: searchIds that cannot be forged, events, trials noted by the server itself."""

import sqlite3
import uuid

import pytest

from harness import Account, Server, problem


def events(caller, search, *items, **headers):
    return caller.post("/v1/events", {"searchId": search, "events": list(items)}, **headers)


def results(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def opened(service, **more):
    return {"kind": "opened", "serviceId": service, **more}


def test_each_event_is_answered_alone(server):
    found = server.search(q="speech to text", limit=5)
    first, second = (hit["id"] for hit in found["hits"][:2])
    forged = found["searchId"][:-4] + "AAAA"
    got = results(events(
        server, found["searchId"], opened(first), opened(first), opened("never-shown"), {"kind": "bought"},
        opened(second, searchId=forged), opened(second, position=1), opened(second, position=2)))
    assert [row.get("code", row["status"]) for row in got] == [
        "recorded", "repeated", "service_not_shown", "validation_failed", "search_id_invalid",
        "service_not_shown", "recorded"]


def test_a_search_id_belongs_to_its_user(server):
    one, other = Account.register(server), Account.register(server)
    found = one.post("/v1/providers/search", {"q": "speech to text"}).json()
    event = opened(found["hits"][0]["id"])
    for stranger in (other, server):
        assert results(events(stranger, found["searchId"], event))[0]["code"] == "search_id_invalid"
    assert results(events(one, found["searchId"], event))[0]["status"] == "recorded"


def test_nothing_is_learnt_where_the_user_says_no(server):
    quiet = {"X-Waypost-Learn": "no"}
    assert server.post("/v1/providers/search", {"q": "speech"}, headers=quiet).json()["searchId"] is None
    assert server.search(q="")["searchId"] is None
    found = server.search(q="speech to text", limit=3)
    got = results(events(server, found["searchId"], opened(found["hits"][2]["id"]), headers=quiet))
    assert got == [{"status": "dropped", "reason": "learning_off"}]


@pytest.mark.parametrize("count", [0, 101])
def test_a_batch_has_its_limits(server, count):
    problem(server.post("/v1/events", {"events": [opened("x")] * count}), 422, "validation_failed")


def test_a_trial_from_a_search_is_noted_by_the_server(small):
    with Server(small) as server:
        found = server.search(q="api", limit=3)
        account, service = Account.register(server), found["hits"][0]["id"]
        body = {"proposalId": account.propose(service)["id"], "searchId": found["searchId"]}
        session = account.post("/v1/sessions", body, key=uuid.uuid4().hex)
        assert session.status_code == 201, session.text
        launch = session.json()["redirectUrl"].split("marketplace_session=")[1].split("&")[0]
        started = server.post("/v1/sessions/validate", {"token": launch}, headers={"Origin": server.url})
        assert started.status_code == 200, started.text
        path = "/v1/sessions/" + session.json()["id"] + "/complete"
        ended = account.post(path, {"outcome": "completed"}, key=uuid.uuid4().hex)
        assert ended.status_code == 200, ended.text
        record = sqlite3.connect(f"file:{server.data}/record.db?mode=ro", uri=True)
        rows = record.execute("SELECT kind, origin, position, service_id FROM feedback_event").fetchall()
    assert rows == [("tried", "server", 1, service), ("kept", "server", 1, service)]
