"""A provider's side of Waypost: takes the launch token from the redirect, starts, beats, ends the session."""
import http.server, json, os, threading, time, urllib.parse, urllib.request, uuid  # noqa: E401
WAYPOST, KEY, LIVE = os.environ["WAYPOST_URL"], os.environ["WAYPOST_KEY"], {}

def call(path, body, bearer, **headers):
    headers |= {"Content-Type": "application/json", "Authorization": "Bearer " + bearer}
    request = urllib.request.Request(WAYPOST + path, json.dumps(body).encode(), headers)
    return json.load(urllib.request.urlopen(request, timeout=10))

def beat(session):
    seq = 0
    while session["state"] in ("active", "paused") and session["id"] in LIVE:
        seq += 1  # active: the user did something since the last one; a reply near the token's end brings a fresh token
        session.update(call(f"/v1/sessions/{session['id']}/heartbeat", {"seq": seq, "active": True}, session["token"]))
        time.sleep(float(os.environ.get("BEAT", session["nextHeartbeatSeconds"])))

class App(http.server.BaseHTTPRequestHandler):
    log_message = lambda *_: None  # noqa: E731  request lines carry launch tokens

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/start":  # Waypost sends the user here
            session = call("/v1/sessions/validate", {"token": query["marketplace_session"]}, KEY)
            LIVE[session["id"]] = session | {"back": query["return_url"]}
            threading.Thread(target=beat, args=(LIVE[session["id"]],), daemon=True).start()
            return self.answer(303, "/app?session=" + session["id"])  # the launch token leaves the address
        if url.path == "/done" and (session := LIVE.pop(query.get("session"), None)):
            path, key = f"/v1/sessions/{session['id']}/complete", {"Idempotency-Key": uuid.uuid4().hex}
            call(path, {"outcome": "completed"}, session["token"], **key)
            return self.answer(303, session["back"])
        self.answer(200 if query.get("session") in LIVE else 404)

    def answer(self, status, location=None):
        self.send_response(status)
        self.send_header(*(("Location", location) if location else ("Content-Length", "0")))
        self.end_headers()

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), App).serve_forever()
