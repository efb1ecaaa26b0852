"""With a model: its words come after the cards and through the guard, and whatever it does, the turn ends well."""

import json
import re
import threading
import time

import pytest
import requests

import harness
from harness import Chat, Server, Turn, events, problem
from scripted import DONE, Reply, ScriptedModel, calls, chunk, text, tool
from test_journey import NEED

WORDS = "It fits well. Look at it."
WHOLE = text("It fits ", "well. Look", " at it.")
KEY = "sk-very-secret-model-key"


@pytest.fixture(scope="module")
def model():
    model = ScriptedModel()
    yield model
    model.close()


def model_environment(url, name="scripted"):
    return {"WAYPOST_LLM_URL": url, "WAYPOST_LLM_MODEL": name, "WAYPOST_LLM_KEY": KEY}


@pytest.fixture(scope="module")
def brain(model, tmp_path_factory):
    """A server with the scripted model, by words alone."""
    data = tmp_path_factory.mktemp("model") / "data"
    harness.cli("import", harness.SERVICES, "--data", data, "--no-embed")
    harness.add_user(data, "admin", "admin@example.org")
    with Server(data, "--trials-per-day", "1000", env=model_environment(model.url)) as server:
        yield server
        assert KEY not in server.log()


@pytest.fixture(autouse=True)
def closed_breaker(request):
    """Five good turns after each test: failures of one test must not open the breaker for the next."""
    yield
    if "brain" in request.fixturenames:
        server, model = request.getfixturevalue("brain"), request.getfixturevalue("model")
        model.play()
        for _ in range(5):
            Chat(server).say("calendar")


def ask(brain, model, *replies, account=None, said=NEED):
    model.play(*replies)
    turn = Chat(brain, account).say(said)
    assert turn.one("turn.start")["mode"] == "agent", "the breaker is closed"
    assert turn.types[-1] in ("done", "error") and turn.of("card")
    return turn


def spoken(turn):
    return "".join(data["text"] for data in turn.of("text.delta") if data["block"] == "m1")


def tools(turn):
    """Names and outcomes of the tools that ran; the end of the model itself is left out."""
    started = [data["tool"] for data in turn.of("tool.start")]
    ended = [(data["tool"], data["outcome"]) for data in turn.of("tool.end") if data["tool"] != "model"]
    assert [name for name, _ in ended] == started
    return ended


def fell_back(turn, code):
    """The guide answered in place of the model."""
    end = [data for data in turn.of("tool.end") if data["tool"] == "model"]
    assert [(data["outcome"], data["fallback"]) for data in end] == [(code, "guide")], turn.of("tool.end")
    assert turn.last.type == "done" and turn.text and spoken(turn) == ""


def broke_off(turn, code):
    """What was said is kept; the turn ends with an error that names the guide."""
    assert turn.last.type == "error", turn.types
    assert turn.last.data["code"] == code and turn.last.data["fallback"] == "guide" and turn.last.data["retryable"]
    assert spoken(turn) == "It fits well."


# What can go wrong on the wire and must not be noticed (specification chat, 5.5).
def bytewise(chunks):
    return [bytes([byte]) for byte in b"".join(chunks)]


def lines(ending):
    return [part.replace(b"\n", ending) for part in WHOLE]


FINE = {
    "row 1: a byte a read": bytewise(WHOLE),
    "row 2: CRLF": lines(b"\r\n"), "row 2: CR": lines(b"\r"), "row 2: CRLF a byte a read": bytewise(lines(b"\r\n")),
    "row 2: mixed": [part.replace(b"\n", ending) for part, ending in zip(WHOLE, [b"\r", b"\n", b"\r\n", b"\r", b"\n", b"\r\n"])],
    "row 3: byte-order mark": [b"\xef\xbb\xbf" + WHOLE[0]] + WHOLE[1:],
    "row 4: no space, other fields, comments": [b": hello\n\n", b"event: x\nid: 7\nretry: 10\n" + WHOLE[0]] + [
        part.replace(b"data: ", b"data:") for part in WHOLE[1:]] + [b": bye\n\n"],
    "row 4: several data lines": [part.replace(b', "choices"', b',\ndata: "choices"') for part in WHOLE],
    "row 6: no [DONE]": WHOLE[:-1],
    "row 8: last event without its blank line": WHOLE[:-2] + [WHOLE[-2].rstrip(b"\n")],
    "row 9: data that is to be ignored": [b'data: {"type": "ping"}\n\n', b'data: {"choices": []}\n\n', b'data: {"choices": null}\n\n']
    + WHOLE + [b"data: after the end\n\n", chunk({"content": "Late."})],
    "row 13: roles and empty contents": [chunk({"role": "assistant", "content": None}), chunk({"content": ""})] + [
        chunk({"role": "assistant", "content": piece}) for piece in ("It fits ", "well. Look", " at it.")] + WHOLE[-2:],
    "row 22: finish twice": WHOLE[:-1] + WHOLE[-2:],
    "row 23: an unknown finish": WHOLE[:-2] + [chunk({}, "tired"), DONE],
    "unknown keys and usage": WHOLE[:-1] + [
        b'data: {"choices": [], "usage": {"prompt_tokens": 1}, "timings": {}, "obfuscation": "xx"}\n\n', DONE]}


@pytest.mark.parametrize("name", FINE)
def test_a_stream_that_is_odd_but_whole_is_read(brain, model, name):
    turn = ask(brain, model, FINE[name])
    assert spoken(turn) == WORDS and turn.last.type == "done" and not turn.of("error")


def test_row_1_characters_split_over_reads_stay_whole(brain, model):
    turn = ask(brain, model, bytewise(text("Schöne Bilder für Läden. ", "写真も 🎨 gut.")))
    assert spoken(turn) == "Schöne Bilder für Läden. 写真も 🎨 gut."


def test_row_5_other_line_separators_do_not_end_a_line(brain, model):
    turn = ask(brain, model, text("It fits\u2028well\u0085here. Look at it."))
    assert re.sub(r"\s", "", spoken(turn).replace("\u0085", "")) == "Itfitswellhere.Lookatit."
    assert turn.last.type == "done"


def test_row_25_a_plain_answer_is_taken(brain, model):
    body = {"object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assistant", "content": WORDS}, "finish_reason": "stop"}]}
    turn = ask(brain, model, Reply([json.dumps(body).encode()], kind="application/json"))
    assert spoken(turn) == WORDS and turn.last.type == "done"


BROKEN = {
    "row 7: no end at all": (WHOLE[:-2], "upstream_truncated"),
    "row 10: an error in the stream": (WHOLE[:-2] + [b'data: {"error": {"message": "overloaded", "code": 503}}\n\n'], "upstream_unavailable"),
    "row 10: an error beside choices": (WHOLE[:-2] + [
        b'data: {"error": {"message": "x", "code": "server_error"}, "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}\n\n'], "upstream_unavailable"),
    "row 11: no JSON": (WHOLE[:-2] + [b"data: {nonsense}\n\n"] + WHOLE[-2:], "upstream_protocol_error"),
    "row 12: cut inside JSON": (WHOLE[:-2] + [WHOLE[-2][:25]], "upstream_truncated")}


@pytest.mark.parametrize("name", BROKEN)
def test_a_stream_that_breaks_keeps_its_words_and_names_the_guide(brain, model, name):
    chunks, code = BROKEN[name]
    broke_off(ask(brain, model, chunks), code)


def test_a_connection_that_breaks_keeps_its_words(brain, model):
    turn = ask(brain, model, Reply(WHOLE[:-2], whole=False))
    assert turn.last.type == "error" and turn.last.data["fallback"] == "guide" and spoken(turn).startswith("It fits well.")


NEVER = {
    "row 7: a tool call without an end": (Reply([chunk({"tool_calls": [tool("search_services", '{"query": "x"}', "a")]})]), "upstream_truncated"),
    "row 24: HTML": (Reply([b"<html><body>Login</body></html>"], kind="text/html"), "upstream_not_sse"),
    "arguments cut": (Reply(calls(tool("search_services", '{"query": "im', "a"), finish="length")), "tool_args_truncated"),
    "a refusal": (Reply([chunk({"refusal": "no"}), chunk({}, "stop"), DONE]), "guard_blocked"),
    "row 39: content filter": (Reply([chunk({}, "content_filter"), DONE]), "guard_blocked"),
    "an error before any word": (Reply([b'data: {"error": {"message": "down"}}\n\n']), "upstream_unavailable"),
    "no JSON before any word": (Reply([b"data: {\n\n"]), "upstream_protocol_error"),
    "400 context": (Reply([b'{"error": {"code": "context_length_exceeded"}}'], status=400, kind="application/json"), "context_overflow"),
    "401": (Reply([b'{"error": {"message": "key"}}'], status=401, kind="application/json"), "upstream_unavailable"),
    "nine calls": (Reply(calls([tool("list_filters", "{}", f"c{n}", n) for n in range(9)])), "budget_exceeded")}


@pytest.mark.parametrize("name", NEVER)
def test_a_model_that_fails_before_its_first_word_leaves_the_turn_to_the_guide(brain, model, name):
    reply, code = NEVER[name]
    turn = ask(brain, model, reply)
    fell_back(turn, code)
    assert tools(turn) == [], "a tool call of a broken reply never runs"


RUN = {
    "row 14: empty arguments": (calls(tool("list_filters", "", "a")), [("list_filters", "done")]),
    "row 14: null arguments": (calls(tool("list_filters", id="a", arguments=None) | {"function": {"name": "list_filters", "arguments": None}}), [("list_filters", "done")]),
    "row 14: no arguments": (calls(tool("list_filters", id="a")), [("list_filters", "done")]),
    "row 14: the schema is checked": (calls(tool("search_services", "", "a")), [("search_services", "refused")]),
    "row 15: arguments as an object": (calls(tool("search_services", {"query": "logo"}, "a")), [("search_services", "done")]),
    "row 16: one call without index": (calls(tool("search_services", '{"que', "a", None), tool(None, 'ry": "x"}', None, None)), [("search_services", "done")]),
    "row 16: two calls without index": (calls(tool("list_filters", "{}", "a", None), tool("search_services", '{"query": "x"}', "b", None)),
                                        [("list_filters", "done"), ("search_services", "done")]),
    "row 16: two in one delta": (calls([tool("list_filters", "{}", "a", None), tool("search_services", '{"query": "x"}', "b", None)]),
                                 [("list_filters", "done"), ("search_services", "done")]),
    "row 17: one index, two ids": (calls(tool("list_filters", "{}", "a"), tool("search_services", '{"query": "x"}', "b")),
                                   [("list_filters", "done"), ("search_services", "done")]),
    "row 18: id and name in every delta": (calls(tool("search_services", '{"que', "a"), tool("search_services", 'ry": "x"}', "a")), [("search_services", "done")]),
    "row 20: name after arguments": (calls(tool(None, '{"query": ', "a"), tool("search_services", '"x"}')), [("search_services", "done")]),
    "row 21: stop with calls": (calls(tool("list_filters", "{}", "a"), finish="stop"), [("list_filters", "done")]),
    "an unknown tool": (calls(tool("move_money", '{"to": "me"}', "a")), [("unknown", "refused")]),
    "an id that was not retrieved": (calls(tool("get_service", '{"id": "acuity-scheduling"}', "a")), [("get_service", "refused")])}


@pytest.mark.parametrize("name", RUN)
def test_tool_calls_are_put_together_and_run_once(brain, model, name):
    chunks, outcome = RUN[name]
    turn = ask(brain, model, chunks, WHOLE)
    assert tools(turn) == outcome and spoken(turn) == WORDS and turn.last.type == "done"
    second = model.requests[1]["messages"]
    asked = next(message["tool_calls"] for message in second if message["role"] == "assistant")
    answers = [message for message in second if message["role"] == "tool"]
    assert [call["id"] for call in asked] == [message["tool_call_id"] for message in answers]
    assert all(isinstance(json.loads(call["function"]["arguments"]), dict) for call in asked)
    assert all(json.loads(message["content"]) for message in answers)


def test_row_19_a_call_without_id_gets_one(brain, model):
    turn = ask(brain, model, calls(tool("list_filters", "{}", None)), WHOLE)
    assert tools(turn) == [("list_filters", "done")]
    answers = [message for message in model.requests[1]["messages"] if message["role"] == "tool"]
    assert re.fullmatch(r"call_\w+_\d+", answers[0]["tool_call_id"])


def test_cards_come_before_any_word_of_the_model(brain, model):
    turn = ask(brain, model, calls(tool("search_services", '{"query": "x"}', "a")), WHOLE)
    kinds = turn.types
    last_card = max(n for n, kind in enumerate(kinds) if kind == "card")
    assert last_card < kinds.index("tool.start") < kinds.index("tool.end") < kinds.index("text.delta")
    assert turn.one("usage")["toolCalls"] == 1


def test_the_request_is_a_streaming_one_with_listings_as_data(brain, model):
    ask(brain, model, WHOLE)
    (line, names), body = model.heads[0], model.requests[0]
    assert line == "POST /v1/chat/completions HTTP/1.1" and names["authorization"] == "Bearer " + KEY
    assert body["model"] == "scripted" and body["stream"] is True and body["stream_options"]["include_usage"] is True
    assert {t["function"]["name"] for t in body["tools"]} == {
        "search_services", "get_service", "compare_services", "list_filters", "propose_trial"}
    system = [m["content"] for m in body["messages"] if m["role"] == "system"]
    assert len(system) == 1 and all(card["name"] not in system[0] for card in Chat(brain).say(NEED).of("card"))


def test_a_model_that_calls_tools_for_ever_is_stopped(brain, model):
    turn = ask(brain, model, *[calls(tool("list_filters", "{}", "a")) for _ in range(20)])
    assert len(tools(turn)) <= 8 and len(model.requests) <= 5 and turn.last.type == "done" and turn.text


def test_a_user_may_choose_the_guide(brain, model):
    model.play()
    turn = Chat(brain).say(NEED, mode="guide")
    assert turn.one("turn.start")["mode"] == "guide" and model.requests == []


def test_a_running_turn_can_be_followed_refused_and_cancelled(brain, model):
    gate = threading.Event()
    model.play(Reply(text("It fits well. Look")[:-2], hold=gate))
    chat = Chat(brain)
    opened = requests.post(brain.url + "/v1/chat/discovery", json={"clientMessageId": "m", "text": NEED}, stream=True, timeout=30)
    raw = b""
    stream = opened.iter_content(None)
    while b"text.delta" not in raw or not raw.endswith(b"\n\n"):
        raw += next(stream)
    first = events(raw)
    chat.id, chat.secret = first[0].conversation, first[0].data["conversationSecret"]
    problem(chat.send({"text": "more"}), 409, "turn_running")
    follower = requests.get(brain.url + chat.path("/stream"), stream=True, timeout=30,
                            headers={**chat.headers(), "Last-Event-ID": first[2].id})
    followed = follower.iter_content(None)
    got = next(followed)
    start = time.monotonic()
    assert brain.post(chat.path("/cancel"), headers=chat.headers()).status_code == 204
    raw += b"".join(stream)
    assert time.monotonic() - start < 10, "it does not wait for the model, which says nothing more"
    gate.set()
    turn = Turn(raw)
    assert turn.last.type == "aborted" and turn.last.data["reason"] == "user_cancel"
    assert spoken(turn) == "It fits well.", "what was produced is kept"
    assert got + b"".join(followed) == raw[sum(len(event.raw) for event in first[:3]):]
    assert chat.get("/export").json()["turns"][0]["state"] == "aborted"
    model.play()
    assert chat.say("calendar").last.type == "done"


def test_a_client_that_leaves_does_not_cancel(brain, model):
    gate = threading.Event()
    model.play(Reply(WHOLE[:3], hold=gate, whole=False))
    opened = requests.post(brain.url + "/v1/chat/discovery", json={"clientMessageId": "m", "text": NEED}, stream=True, timeout=30)
    head = next(opened.iter_content(400))
    opened.close()
    chat = Chat(brain)
    start = json.loads(head.split(b"data: ", 1)[1].split(b"\n", 1)[0])
    chat.id, chat.secret = start["conversationId"], start["conversationSecret"]
    time.sleep(0.8)
    gate.set()
    turn = Turn(chat.get("/stream").content)
    assert turn.last.type in ("done", "error") and turn.of("card")


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_model_is_asked_again(brain, model, status):
    turn = ask(brain, model, Reply([b'{"error": {"message": "busy"}}'], kind="application/json", status=status), WHOLE)
    assert spoken(turn) == WORDS and len(model.requests) == 2


def test_the_breaker_opens_after_failures_and_the_guide_goes_on(small, model):
    with Server(small, env=model_environment("http://127.0.0.1:9/v1")) as server:
        modes = []
        for _ in range(6):
            turn = Chat(server).say("calendar")
            assert turn.last.type == "done" and turn.of("card") and turn.text
            modes.append(turn.one("turn.start")["mode"])
        assert modes[0] == "agent" and modes[-1] == "guide"


def counted(total):
    """A whole answer whose server says what it cost."""
    usage = {"prompt_tokens": total - 5, "completion_tokens": 5, "total_tokens": total}
    last = b"data: " + json.dumps({"id": "x", "choices": [], "usage": usage}).encode() + b"\n\n"
    return WHOLE[:-1] + [last, DONE]


def test_the_models_tokens_are_bounded_by_user_and_day_and_then_the_guide_answers(small, model):
    with Server(small, "--llm-tokens-per-day", "100", env=model_environment(model.url)) as server:
        user, other = harness.Account.register(server), harness.Account.register(server)
        model.play(Reply(counted(60)), Reply(counted(60)))
        for left in (100, 40):
            answer = Chat(server, user).send({"text": "calendar"})
            assert Turn(answer.content).one("turn.start")["mode"] == "agent"
            assert answer.headers["RateLimit-Policy"] == '"llm-tokens";q=100;w=86400'
            assert answer.headers["RateLimit"].startswith(f'"llm-tokens";r={left};t=')
        asked = len(model.requests)
        turn = Chat(server, user).say("calendar")
        assert turn.one("turn.start")["mode"] == "guide" and turn.of("card") and turn.last.type == "done"
        assert len(model.requests) == asked, "nobody asked the model"
        assert Chat(server, other).say("calendar").one("turn.start")["mode"] == "agent"
        model.play()
        assert Chat(server).say("calendar").one("turn.start")["mode"] == "agent", "a model that does not count is estimated"
        assert Chat(server).say("calendar").one("turn.start")["mode"] == "guide", "by address without an account"


def test_what_a_model_wraps_its_words_in_is_not_counted(small, model):
    """One that does not say what an answer cost: 300 kB of frames around a few words are a few tokens."""
    frames = [b'data: {"choices": [], "obfuscation": "' + b"x" * 15_000 + b'"}\n\n' for _ in range(20)]
    with Server(small, "--llm-tokens-per-day", "100000", env=model_environment(model.url)) as server:
        user = harness.Account.register(server)
        model.play(Reply(frames + WHOLE), Reply(WHOLE))
        assert Chat(server, user).say("calendar").one("turn.start")["mode"] == "agent"
        answer = Chat(server, user).send({"text": "calendar"})
        sent = max(len(json.dumps(request)) for request in model.requests)
        left = int(answer.headers["RateLimit"].split("r=")[1].split(";")[0])
        assert answer.headers["RateLimit"].startswith('"llm-tokens"')
        assert 100_000 - sent < left < 100_000, f"{left} left after {sent} bytes"
