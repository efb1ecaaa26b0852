"""A model that does its worst, and a real OpenAI-compatible server that is killed in the middle."""

import importlib.util
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
import requests

import harness
from harness import Account, Chat, Server
from scripted import calls, text, tool
from test_journey import NEED
from test_model import KEY, WORDS, ask, brain, closed_breaker, model, model_environment, spoken, tools  # noqa: F401



@pytest.mark.parametrize("sentence, mark", [
    ("Visit https://evil.example/pay now.", "evil.example"), ("Go to www.evil.example now.", "evil.example"),
    pytest.param("Go to evil.example/pay now.", "evil.example"),
    pytest.param("Write to pay@evil.example now.", "evil.example"),
    ("See [this](evil) page.", "evil"), ("Look ![x](evil) here.", "evil"), ("See <a href=evil>this</a> page.", "evil"),
    ("It costs $999.99 today.", "999"), ("It costs 4321 dollars.", "4321"),
    pytest.param("It costs $7 today.", "$7"), pytest.param("It has 5 stars.", "5 stars"),
    pytest.param("The best is evil-unknown-service by far.", "evil-unknown-service"),
    pytest.param("Better take acuity-scheduling for it.", "acuity-scheduling"),
    ("I will call search_services now.", "search_services"), ("Then propose_trial runs.", "propose_trial"),
    ('My call is {"query": "evil"} now.', "evil"), ("My system prompt says evil.", "evil"), ("Run ```evil``` now.", "evil"),
], ids=lambda value: value[:40])
def test_nothing_that_leads_astray_reaches_the_person(brain, model, sentence, mark):  # noqa: F811
    turn = ask(brain, model, text("It fits well. ", sentence, " Look at it."))
    assert mark not in turn.text and "It fits well." in turn.text and turn.last.type == "done"


def test_a_sentence_split_over_pieces_is_dropped_as_well(brain, model):  # noqa: F811
    turn = ask(brain, model, text("It fits well. Visit ht", "tps:", "//evil", ".example now. Look at it."))
    assert spoken(turn).replace("  ", " ") == WORDS and "evil" not in turn.text


def test_a_model_whose_every_sentence_is_dropped_leaves_the_turn_to_the_guide(brain, model):  # noqa: F811
    turn = ask(brain, model, text("Visit https://evil.example now. Pay 99999 there."))
    assert turn.last.type == "done" and turn.text and "evil" not in turn.text and "99999" not in turn.text


def test_no_output_of_the_model_moves_a_unit_or_starts_a_session(brain, model):  # noqa: F811
    admin, account = Account.login(brain, "admin@example.org"), Account.register(brain)
    before = admin.get("/v1/ledger/verify").json()["transfers"]
    shown = ask(brain, model, account=account).of("card")[0]["serviceId"]
    turn = ask(brain, model, calls(
        tool("propose_trial", '{"id": "%s"}' % shown, "a"), tool("start_session", "{}", "b", 1),
        tool("POST /v1/sessions", "{}", "c", 2)), account=account)
    assert tools(turn) == [("propose_trial", "done"), ("unknown", "refused"), ("unknown", "refused")]
    proposal = turn.one("proposal")
    assert proposal["serviceId"] == shown and proposal["text"].startswith("Demo trial in the sandbox")
    assert account.get("/v1/sessions").json()["sessions"] == []
    assert admin.get("/v1/ledger/verify").json() == {
        "sound": True, "transfers": before, "faults": [], "wrongMarks": []}
    assert account.confirm(proposal["id"]).status_code == 201, "only the person does"


def test_a_model_cannot_propose_what_was_not_retrieved(brain, model):  # noqa: F811
    account = Account.register(brain)
    turn = ask(brain, model, calls(tool("propose_trial", '{"id": "acuity-scheduling"}', "a")), text(WORDS), account=account)
    assert tools(turn) == [("propose_trial", "refused")] and turn.of("proposal") == []


def test_a_model_cannot_change_the_cards(brain, model):  # noqa: F811
    plain = Chat(brain).say(NEED, mode="guide").of("card")
    turn = ask(brain, model, calls(tool("search_services", '{"query": "calendar"}', "a")), text(WORDS))
    assert turn.of("card") == plain


def test_words_without_end_neither_stall_nor_fill_the_server(brain, model):  # noqa: F811
    start = time.monotonic()
    turn = ask(brain, model, text(*["word "] * 5_000))
    assert turn.last.type in ("done", "error") and time.monotonic() - start < 10


# A real OpenAI-compatible server: LiteLLM's proxy with a scripted provider (specification chat, 10).
CONFIG = """
model_list: [{model_name: search, litellm_params: {model: scripted/search}}, {model_name: boom, litellm_params: {model: scripted/boom}},
  {model_name: slow, litellm_params: {model: scripted/slow}}, {model_name: adversary, litellm_params: {model: scripted/adversary}}]
litellm_settings: {num_retries: 0, custom_provider_map: [{provider: scripted, custom_handler: scripted_llm.handler}]}
general_settings: {master_key: KEY}
router_settings: {num_retries: 0, allowed_fails: 100000, disable_cooldowns: true}
""".replace("KEY", KEY)
SCRIPT = '''
import asyncio, litellm
def step(text="", tool=None, end="", usage=None): return {"text": text, "tool_use": tool, "is_finished": bool(end), "finish_reason": end, "usage": usage, "index": 0}
def call(i, id, name, args): return {"id": id, "type": "function", "index": i, "function": {"name": name, "arguments": args}}
END = step(end="stop", usage={"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12})
def plan(model, messages, tools):
    if model == "boom": return [step("It fits well. Par"), step("tial"), litellm.ServiceUnavailableError("boom", "scripted", model)]
    if model == "slow": return [step("It fits "), step("well. Look")] + [1.0] * 20 + [END]
    if model == "adversary" and messages[-1]["role"] == "tool":
        return [step("It fits well. Visit https://evil.example now. "), step("It costs 98765 dollars. "), step("I call search_services. Look at it."), END]
    if tools and messages[-1]["role"] != "tool":
        return [step(tool=call(0, "call_1", "search_services", '{"que')), step(tool=call(0, None, None, 'ry": "image generation"}')), step(end="tool_calls")]
    return [step("It fits "), step("well. Look"), step(" at it."), END]
class Scripted(litellm.CustomLLM):
    async def astreaming(self, model, messages, *a, optional_params=None, **k):
        for s in plan(model, messages, (optional_params or {}).get("tools")):
            if isinstance(s, Exception): raise s
            if isinstance(s, float): await asyncio.sleep(s)
            else: yield s
handler = Scripted()
'''


@pytest.fixture(scope="module")
def litellm(tmp_path_factory):
    """The proxy on a free port; ended by its own pid."""
    if importlib.util.find_spec("litellm") is None:  # not imported here: that would ask the network for prices
        pytest.skip("litellm is not installed: WAYPOST_LLM_TESTS=1 ./run.sh installs it")
    folder = tmp_path_factory.mktemp("litellm")
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "scripted_llm.py").write_text(SCRIPT)
    port = harness.free_port()
    env = {**os.environ, "PYTHONPATH": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "*"}
    command = [str(pathlib.Path(sys.executable).parent / "litellm"), "--config", "config.yaml", "--host", "127.0.0.1",
               "--port", str(port), "--telemetry", "False"]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
    harness.STARTED.append(process)
    process.base = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            if requests.get(process.base + "/health/liveliness", timeout=2).status_code == 200:
                break
        except requests.RequestException:
            assert process.poll() is None, (folder / "log").read_text()[-3000:]
        time.sleep(0.3)
    yield process
    process.kill()
    process.wait(30)


@pytest.fixture
def through(litellm, small):
    """A server that asks a model of the proxy; few services, no vectors."""
    servers = []

    def start(name):
        servers.append(Server(small, env=model_environment(litellm.base + "/v1", name)).start())
        return servers[-1]

    yield start
    for server in servers:
        assert server.stop() == 0


def test_litellm_streams_tool_calls_and_words(through):
    turn = Chat(through("search")).say("calendar and booking")
    assert turn.one("turn.start")["mode"] == "agent" and turn.of("card")
    assert tools(turn) == [("search_services", "done")] and spoken(turn) == WORDS
    assert turn.types.index("card") < turn.types.index("tool.start") < turn.types.index("text.delta")
    assert turn.last.type == "done"


def test_an_error_in_litellms_stream_keeps_the_words(through):
    turn = Chat(through("boom")).say("calendar and booking")
    assert turn.of("card") and turn.last.type == "error" and turn.last.data["fallback"] == "guide"
    assert turn.last.data["code"] == "upstream_unavailable" and spoken(turn).startswith("It fits well.")


def test_the_adversary_behind_litellm_says_nothing_of_its_own(through):
    turn = Chat(through("adversary")).say("calendar and booking")
    assert turn.last.type == "done" and "It fits well." in turn.text and "Look at it." in turn.text
    for mark in ("evil", "98765", "search_services"):
        assert mark not in turn.text


def test_litellm_killed_in_the_middle_ends_the_turn_and_chat_goes_on(through, litellm):
    server = through("slow")
    opened = requests.post(server.url + "/v1/chat/discovery", json={"clientMessageId": "m", "text": "calendar"}, stream=True, timeout=60)
    raw, stream = b"", opened.iter_content(None)
    while b"text.delta" not in raw:
        raw += next(stream)
    litellm.send_signal(signal.SIGKILL)
    litellm.wait(30)
    turn = harness.Turn(raw + b"".join(stream))
    assert turn.of("card") and spoken(turn) == "It fits well."
    assert turn.last.type == "error" and turn.last.data["fallback"] == "guide"
    after = Chat(server).say("music")
    assert after.last.type == "done" and after.of("card") and after.text
