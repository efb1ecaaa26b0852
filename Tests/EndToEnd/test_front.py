"""What never becomes a request, byte by byte over a socket: one answer each, a problem document, with the headers of every answer."""

import json
import os
import re
import threading
import time

import pytest

import harness
from harness import Server
from test_refusals import HEADERS

HOST = b"Host: waypost\r\n"
OURS = b"Origin: https://one.example\r\n"
POST = b"POST /v1/proposals HTTP/1.1\r\n" + HOST
CLOSE = b"Connection: close\r\n"


def get(path=b"/healthz", more=b"", version=b"HTTP/1.1"):
    return b"GET " + path + b" " + version + b"\r\n" + HOST + more + b"\r\n"


# Refused by us, from a head that was read, or by the library that reads it.
READ = [
    ("a long address", get(b"/" + b"a" * 9_000), 414, "target_too_long"),
    ("a long head", get(more=b"X: " + b"a" * 20_000 + b"\r\n"), 431, "head_too_large"),
    ("many headers", get(more=b"".join(b"X-%d: 1\r\n" % i for i in range(150))), 431, "head_too_large"),
    ("a version that is not spoken", get(version=b"HTTP/1.3"), 505, "version_not_supported"),
    ("no host", b"GET /healthz HTTP/1.1\r\n\r\n", 400, "malformed_request"),
    ("a space before the colon", get(more=b"X : 1\r\n"), 400, "malformed_request"),
    ("two lengths", POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400, "malformed_request"),
    ("two callers", get(more=b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"), 400, "malformed_request"),
    ("two keys", POST + b"Idempotency-Key: a\r\nidempotency-key: b\r\n\r\n", 400, "malformed_request"),
    ("a length and chunks", POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "malformed_request"),
    ("another encoding", POST + b"Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 400, "malformed_request"),
    ("a long body", POST + b"Content-Length: 99999999\r\n\r\n", 413, "body_too_large"),
    ("a long body of nobody", b"POST /v1/admin/import HTTP/1.1\r\n" + HOST + b"Content-Length: 9000000\r\n\r\n", 401, "unauthenticated"),
    ("another method", b"DELETE /healthz HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 405, "method_not_allowed"),
    ("a method that nobody knows", b"BREW /healthz HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 405, "method_not_allowed"),
    ("an address where nothing is", get(b"/nowhere", CLOSE), 404, "not_found"),
]
UNREAD = [
    ("no version", b"GET /healthz\r\n\r\n", 400, "malformed_request"),
    ("a line without a colon", get(more=b"Broken\r\n"), 400, "malformed_request"),
    ("HTTP/2 at once", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version_not_supported"),
    ("a length in words", POST + b"Content-Length: abc\r\n\r\n", 400, "malformed_request"),
    ("a length below nothing", POST + b"Content-Length: -1\r\n\r\n", 400, "malformed_request"),
    ("a length beyond counting", POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", 413, "body_too_large"),
    ("a chunk in words", POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n", 400, "malformed_request"),
    ("a chunk beyond counting", POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\nab\r\n0\r\n\r\n", 413, "body_too_large"),
    ("a very long address", get(b"/" + b"a" * 60_000), 414, "target_too_long"),
    ("a very long head", get(more=b"X: " + b"a" * 200_000 + b"\r\n"), 431, "head_too_large"),
    ("thousands of headers", get(more=b"".join(b"X-%d: 1\r\n" % i for i in range(5_000))), 431, "head_too_large"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    data = tmp_path_factory.mktemp("front") / "data"
    rows = harness.write_rows(data.parent / "few.jsonl", harness.read_rows(harness.SERVICES, 20))
    harness.cli("import", rows, "--data", data, "--no-embed")
    return data


@pytest.fixture(scope="module")
def plain(folder):
    with Server(folder, "--cors-origins", "https://one.example") as server:
        yield server


def exchange(server, data):
    """Everything that comes back until the end: status, headers by name, body."""
    with server.socket() as wire:
        try:
            wire.sendall(data)
        except OSError:
            pass  # answered before all of it was taken
        out = b""
        try:
            while part := wire.recv(65536):
                out += part
        except ConnectionResetError:
            pass  # after the answer: the rest of what was sent was not read
    head, _, body = out.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    names = [line.split(": ", 1)[0] for line in lines[1:]]
    assert len(names) == len(set(names)), f"a header twice: {names}"
    assert out.count(b"HTTP/1.1 ") == 1, "one answer"
    return int(lines[0].split()[1]), dict(line.split(": ", 1) for line in lines[1:]), body


def checked(server, data, status, code):
    got, headers, body = exchange(server, data)
    assert (got, headers["Content-Type"]) == (status, "application/problem+json"), body
    assert {name: headers.get(name) for name in HEADERS} == HEADERS
    assert headers["Cache-Control"] == "no-store" and headers["Vary"] == "Origin" and headers["Connection"].lower() == "close"
    assert int(headers["Content-Length"]) == len(body)
    document = json.loads(body)
    assert document["code"] == code and document["status"] == status and document["requestId"] == headers["X-Request-Id"]
    return headers


@pytest.mark.parametrize("name, data, status, code", READ + UNREAD, ids=[row[0] for row in READ + UNREAD])
def test_a_refusal_before_routing_is_like_every_other(plain, name, data, status, code):
    headers = checked(plain, data, status, code)
    assert "Strict-Transport-Security" not in headers and not [name for name in headers if name.startswith("Access-Control")]
    assert (status == 401) == ("WWW-Authenticate" in headers)


@pytest.mark.parametrize("name, data, status, code", READ, ids=[row[0] for row in READ])
def test_a_listed_origin_may_read_why(plain, name, data, status, code):
    start, _, rest = data.partition(b"\r\n")
    headers = checked(plain, start + b"\r\n" + OURS + rest, status, code)
    assert headers["Access-Control-Allow-Origin"] == "https://one.example" and headers["Access-Control-Allow-Credentials"] == "true"
    other = checked(plain, start + b"\r\n" + OURS.replace(b"one", b"two") + rest, status, code)
    assert not [name for name in other if name.startswith("Access-Control")]


def test_https_is_held_to_there_too(folder):
    with Server(folder.parent / "secure", "--public-url", "https://waypost.example", "--trusted-proxies", "127.0.0.1") as server:
        for name, data, status, code in READ + UNREAD:
            headers = checked(server, data, status, code)
            assert headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains", name


def counted(server):
    """Requests by route and status, as /metrics has them."""
    rows = re.findall(r'(?m)^waypost_requests_total\{route="([^"]*)",status="(\d+)"\} (\d+)$', server.get("/metrics").text)
    return {(route, int(status)): int(count) for route, status, count in rows}


def lines_of(text, request):
    lines = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
    return [line for line in lines if line.get("requestId") == request]


def logged(server, request, seconds=5):
    """The log's only line of a request; those of refusals come a moment after the answer."""
    end = time.monotonic() + seconds
    while not (lines := lines_of(server.log(), request)) and time.monotonic() < end:
        time.sleep(0.02)
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize("name, data, status, code", UNREAD, ids=[row[0] for row in UNREAD])
def test_what_the_library_refuses_is_counted_and_logged_once(plain, name, data, status, code):
    before = counted(plain)
    headers = checked(plain, data, status, code)
    after = counted(plain)
    assert after[("none", status)] - before.get(("none", status), 0) == 1
    changed = {key for key in after if after[key] != before.get(key)} - {("none", status)}
    assert changed <= {("/metrics", 200)}, "nothing else is counted"
    line = logged(plain, headers["X-Request-Id"])
    assert set(line) == {"at", "requestId", "method", "route", "status", "microseconds", "code"}
    assert (line["method"], line["route"], line["status"], line["code"]) == (None, None, status, code)


@pytest.mark.parametrize("data, method, route, status, code", [
    (get(more=b"X : 1\r\n"), "GET", "/healthz", 400, "malformed_request"),
    (get(b"/v1/sessions/" + b"a" * 9_000), "GET", "/v1/sessions/{id}", 414, "target_too_long"),
    (get(b"/nowhere", version=b"HTTP/1.3"), "GET", None, 505, "version_not_supported"),
    (b"A-VERY-LONG-METHOD-OF-NOBODY /healthz HTTP/1.1\r\n\r\n", "A-VERY-LONG-METH", None, 400, "malformed_request"),
    (b"POST /v1/admin/import HTTP/1.1\r\n" + HOST + b"Content-Length: 9000000\r\n\r\n", "POST", "/v1/admin/import", 401, "unauthenticated")],
    ids=["a fixed route", "a route with a name in it", "no route", "a long method", "a body of nobody"])
def test_what_we_refuse_is_counted_and_logged_by_route(plain, data, method, route, status, code):
    key = (route or "none", status)
    before = counted(plain).get(key, 0)
    line = logged(plain, checked(plain, data, status, code)["X-Request-Id"])
    assert counted(plain)[key] - before == 1
    assert (line["method"], line["route"], line["status"], line["code"]) == (method, route, status, code)


def test_no_line_of_a_refusal_holds_what_was_sent(plain):
    secret = b"hush-hush-1729"
    bearer = b"Authorization: Bearer " + secret + b"\r\n"
    sent = [(get(b"/healthz?key=" + secret, bearer + b"Broken\r\n"), 400), (get(b"/healthz?key=" + secret, bearer + b"X : 1\r\n"), 400),
            (b"GET /" + secret + b"\r\n\r\n", 400), (get(b"/" + secret, bearer, b"HTTP/1.3"), 505),
            (b"POST /v1/proposals HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + secret + b"\r\n\r\n", 400)]
    for data, status in sent:
        got, headers, _ = exchange(plain, data)
        assert got == status and len(json.dumps(logged(plain, headers["X-Request-Id"]))) < 300
    assert secret.decode() not in plain.log() and secret.decode() not in plain.get("/metrics").text


def test_a_log_that_nobody_reads_holds_up_no_refusal(folder):
    server = Server(folder.parent / "unread")
    os.mkfifo(server.log_path)
    pipe = os.open(server.log_path, os.O_RDONLY | os.O_NONBLOCK)
    read = bytearray()

    def drain():
        while server.process.poll() is None:
            try:
                read.extend(os.read(pipe, 65536))
            except BlockingIOError:
                time.sleep(0.01)

    server.start()
    reader = threading.Thread(target=drain)
    try:
        # Some 64 kB of lines fit in the pipe and 1,024 wait behind it; these are more.
        for _ in range(2_000):
            assert exchange(server, UNREAD[1][1])[0] == 400
        reader.start()
        size = -1
        while size != len(read):
            size = len(read)
            time.sleep(0.5)
        assert size, "what waited comes once somebody reads"
        last, end = exchange(server, UNREAD[1][1])[1]["X-Request-Id"], time.monotonic() + 10
        while not lines_of(read.decode(), last) and time.monotonic() < end:
            time.sleep(0.05)
        assert counted(server)[("none", 400)] == 2_001
    finally:
        server.kill()
        if reader.is_alive():
            reader.join(10)
        os.close(pipe)
    refusals = [line for line in map(json.loads, read.decode().splitlines()) if line.get("code") == "malformed_request"]
    left_out = sum(line.get("leftOut", 0) for line in refusals)
    assert left_out > 0 and len(refusals) + left_out == 2_001
