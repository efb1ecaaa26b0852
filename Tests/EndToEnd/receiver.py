"""A webhook receiver of the standard library: answers as a test says, and remembers what came."""

import http.server
import json
import ssl
import threading
import time


class Receiver:
    """Listens on a free port of 127.0.0.1. Replies are (status, headers, body), taken in order; the last one stays."""

    def __init__(self, *replies, hold=None, tls=None):
        self.replies = list(replies) or [(204, {}, b"")]
        self.hold = hold
        self.requests = []
        self.arrived = threading.Condition()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                status, headers, answer = receiver.take(self.path, dict(self.headers), body)
                if receiver.hold:
                    receiver.hold.wait(40)
                try:
                    self.send_response(status)
                    for name, value in {"Content-Length": str(len(answer)), **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(answer)
                except OSError:
                    pass  # the sender did not wait

            do_GET = do_CONNECT = do_POST

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        scheme = "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self.http.server_port}/hook"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def take(self, path, headers, body):
        headers = {name.lower(): value for name, value in headers.items()}
        with self.arrived:
            self.requests.append(Request(path, headers, body))
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            self.arrived.notify_all()
        return reply

    def wait(self, count=1, seconds=20, type=None):
        """The requests, when there are so many (of a type)."""
        end = time.monotonic() + seconds

        def found():
            return [r for r in self.requests if type is None or r.json["type"] == type]

        with self.arrived:
            while len(found()) < count:
                left = end - time.monotonic()
                assert left > 0, f"{len(found())} of {count} came: {self.requests}"
                self.arrived.wait(left)
            return found()

    def close(self):
        if self.hold:
            self.hold.set()
        self.http.shutdown()
        self.http.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Request:
    """One delivery as it came."""

    def __init__(self, path, headers, body):
        self.path, self.headers, self.body, self.at = path, headers, body, time.monotonic()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def id(self):
        return self.headers["webhook-id"]

    def __repr__(self):
        return f"{self.headers.get('webhook-id')} {self.body[:60]}"
