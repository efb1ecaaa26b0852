"""A payment processor for the tests: checkout and disputes written down here, payments and refunds by localstripe."""

import http.server
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import uuid

import requests
import stripe

import harness

KEY = "sk_test_" + uuid.uuid4().hex
SECRET = "whsec_" + uuid.uuid4().hex

# localstripe listens on every address and keeps its store in /tmp when it is started by its own command: so not by that.
LOCALSTRIPE = """
import logging, sys
from aiohttp import web
from localstripe import resources
resources.Store.dump_to_disk = lambda self: None
from localstripe.server import app
logging.basicConfig(level=logging.INFO)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""


class LocalStripe:
    """localstripe as a process of its own, ended by its pid."""

    def __init__(self, log):
        self.port = harness.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOCALSTRIPE, str(self.port)], stdout=open(log, "ab"), stderr=subprocess.STDOUT)
        harness.STARTED.append(self.process)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self.process.poll() is None, log.read_text()
                time.sleep(0.05)
        raise AssertionError("localstripe did not start:\n" + log.read_text())

    def call(self, method, path, **form):
        answer = requests.request(
            method, self.url + path, data=form, headers={"Authorization": "Bearer " + KEY}, timeout=20)
        assert answer.ok, f"{path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def delivered(self, kind, seconds=15):
        """Whether it has had a 2xx for an event of this type."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if f'webhook "{kind}" successfully delivered' in self.log.read_text():
                return True
            time.sleep(0.1)
        return False

    def close(self):
        self.process.terminate()
        self.process.wait(20)


class Processor:
    """What the server under test talks to: checkout sessions here, everything else handed on to localstripe."""

    def __init__(self, localstripe):
        self.localstripe = localstripe
        self.requests, self.sessions, self.failures, self.by_key = [], {}, [], {}
        handler = type("Handler", (Handler,), {"processor": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def fail(self, *failures):
        """What becomes of the next requests: a status, or `drop` for a connection that breaks."""
        self.failures = list(failures)

    def checkout(self, form, key):
        """A session of the form; the same key gives the same one, and takes no other form."""
        if key in self.by_key:
            before, session = self.by_key[key]
            if before != form:
                return 400, {"error": {"type": "idempotency_error"}}
            return 200, session
        name = "cs_test_" + uuid.uuid4().hex
        session = {
            "id": name, "object": "checkout.session", "mode": form["mode"], "payment_status": "unpaid",
            "status": "open", "url": f"https://checkout.example/c/pay/{name}#x", "payment_intent": None,
            "amount_total": int(form["line_items[0][price_data][unit_amount]"]),
            "currency": form["line_items[0][price_data][currency]"],
            "client_reference_id": form["client_reference_id"],
            "metadata": {"purchaseId": form["metadata[purchaseId]"]},
        }
        self.sessions[name] = session
        self.by_key[key] = (form, session)
        return 200, session

    def session(self, purchase):
        return next(s for s in self.sessions.values() if s["client_reference_id"] == purchase)

    def pay(self, purchase):
        """Pays a purchase with a card at localstripe; gives the session as it is then."""
        session = self.session(purchase)
        card = self.localstripe.call("POST", "/v1/payment_methods", **{
            "type": "card", "card[number]": "4242424242424242", "card[exp_month]": "12", "card[exp_year]": "2040",
            "card[cvc]": "123"})
        payment = self.localstripe.call("POST", "/v1/payment_intents", **{
            "amount": session["amount_total"], "currency": session["currency"], "payment_method": card["id"],
            "confirm": "true", "metadata[purchaseId]": purchase})
        assert payment["status"] == "succeeded", payment
        session.update(payment_intent=payment["id"], payment_status="paid", status="complete",
                       customer_details={"email": "payer@example.org", "name": "Pat Payer"})
        return session

    def charge(self, purchase):
        payment = self.localstripe.call("GET", "/v1/payment_intents/" + self.session(purchase)["payment_intent"])
        latest = payment["latest_charge"]
        return self.localstripe.call("GET", "/v1/charges/" + (latest if isinstance(latest, str) else latest["id"]))

    def dispute(self, purchase, status="needs_response", amount=None):
        session = self.session(purchase)
        return {"id": "dp_" + purchase, "object": "dispute", "amount": amount or session["amount_total"],
                "currency": session["currency"], "payment_intent": session["payment_intent"],
                "charge": "ch_" + purchase, "reason": "fraudulent", "status": status, "metadata": {}}

    def close(self):
        self.server.shutdown()


class Handler(http.server.BaseHTTPRequestHandler):
    processor = None
    # A connection for each request: on one that is used again, curl by itself repeats what was dropped.
    protocol_version = "HTTP/1.0"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        form = dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.processor.requests.append((self.path, headers, form))
        failure = self.processor.failures.pop(0) if self.processor.failures else None
        if failure == "drop":
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if failure:
            status, answer = failure, {"error": {"type": "api_error", "message": "as the test wants it"}}
        elif headers.get("authorization") != "Bearer " + KEY:
            status, answer = 401, {"error": {"type": "invalid_request_error"}}
        elif self.path == "/v1/checkout/sessions":
            status, answer = self.processor.checkout(form, headers["idempotency-key"])
        else:
            passed = requests.post(
                self.processor.localstripe.url + self.path, data=body, timeout=20,
                headers={"Authorization": headers["authorization"], "Content-Type": headers["content-type"]})
            status, answer = passed.status_code, passed.json()
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def event(kind, thing, **more):
    """An event as it would be sent of an object."""
    return {"id": "evt_" + uuid.uuid4().hex, "object": "event", "api_version": "2026-10-28.endive",
            "created": int(time.time()), "livemode": False, "pending_webhooks": 1, "type": kind,
            "data": {"object": json.loads(json.dumps(thing))}, **more}


def signed(body, secret=SECRET, at=None):
    """The header that stripe's own library makes."""
    return stripe.WebhookSignature.generate_signature_header(body, secret, at)


def deliver(server, what, secret=SECRET, at=None, header=None):
    """Sends an event, or a text, to the server under test."""
    body = what if isinstance(what, str) else json.dumps(what)
    header = signed(body, secret, at) if header is None else header
    headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": header}
    return requests.post(server.url + "/v1/payments/webhook", data=body.encode(), headers=headers, timeout=30)
