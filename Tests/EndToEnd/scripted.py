"""A model server of the standard library that sends exactly the bytes that a test wrote down."""

import json
import socket
import threading
import time


class Reply:
    """One answer: its chunks as they go over the wire, each an HTTP chunk of its own."""

    def __init__(self, chunks, kind="text/event-stream", status=200, whole=True, pause=0.0, hold=None):
        self.chunks = list(chunks)
        self.kind, self.status, self.whole, self.pause, self.hold = kind, status, whole, pause, hold


def chunk(delta=None, finish=None, **more):
    """One event of the OpenAI stream."""
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    body = {"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **more}
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


def tool(name=None, arguments=None, id=None, index=0, **more):
    """One piece of a tool call; what is None is left out."""
    function = {k: v for k, v in (("name", name), ("arguments", arguments)) if v is not None}
    call = {k: v for k, v in (("index", index), ("id", id)) if v is not None}
    return {**call, "type": "function", "function": {**function, **more}}


DONE = b"data: [DONE]\n\n"


def text(*pieces):
    """A whole answer in words."""
    start = [chunk({"role": "assistant", "content": ""})]
    return start + [chunk({"content": piece}) for piece in pieces] + [chunk({}, "stop"), DONE]


def calls(*deltas, finish="tool_calls"):
    """A whole answer of tool call pieces, each delta a list of them or one."""
    lists = [delta if isinstance(delta, list) else [delta] for delta in deltas]
    return [chunk({"tool_calls": one}) for one in lists] + [chunk({}, finish), DONE]


class ScriptedModel:
    """Answers requests with the replies in order, then with the last good words."""

    def __init__(self):
        self.replies, self.requests, self.heads = [], [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"
        threading.Thread(target=self.accept, daemon=True).start()

    def play(self, *replies):
        self.requests.clear()
        self.heads.clear()
        self.replies = [reply if isinstance(reply, Reply) else Reply(reply) for reply in replies]

    def close(self):
        self.listener.close()

    def accept(self):
        while True:
            try:
                wire, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(wire,), daemon=True).start()

    def serve(self, wire):
        try:
            data = b""
            while b"\r\n\r\n" not in data:
                data += wire.recv(65536)
            head, _, body = data.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            names = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
            if "100-continue" in names.get("expect", ""):
                wire.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            while len(body) < int(names["content-length"]):
                body += wire.recv(65536)
            self.heads.append((lines[0], names))
            self.requests.append(json.loads(body))
            self.answer(wire, self.replies.pop(0) if self.replies else Reply(text("It fits well. Look at it.")))
        except OSError:
            pass
        finally:
            wire.close()

    def answer(self, wire, reply):
        wire.sendall(b"HTTP/1.1 %d X\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                     % (reply.status, reply.kind.encode()))
        for part in reply.chunks:
            wire.sendall(b"%x\r\n" % len(part) + part + b"\r\n")
            if reply.pause:
                time.sleep(reply.pause)
        if reply.hold:
            reply.hold.wait(30)
        if reply.whole:
            wire.sendall(b"0\r\n\r\n")
