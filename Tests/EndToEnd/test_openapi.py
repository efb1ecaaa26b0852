"""The API's document: valid, whole, true. What the routes are is compared; how they answer is tried by schemathesis."""

import json
import os
import re
import subprocess
import sys
import uuid

import pytest
import requests
from openapi_spec_validator import validate

import harness
from harness import Account, Server

# Routes that have no document yet, such as `GET /v1/example`; whoever documents one takes it away.
UNDOCUMENTED = set()
METHODS = {"get", "put", "post", "delete", "patch"}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A server of its own: what is tried at random disturbs nobody else."""
    folder = tmp_path_factory.mktemp("openapi")
    data = folder / "data"
    rows = harness.write_rows(folder / "few.jsonl", harness.read_rows(harness.SERVICES, 60))
    harness.cli("import", rows, "--data", data, "--no-embed")
    harness.add_user(data, "admin", "admin@example.org")
    harness.add_user(data, "provider", "alpha@example.org", "alpha")
    harness.add_user(data, "provider", "beta@example.org", "beta")
    with Server(data) as server:
        yield server


@pytest.fixture(scope="module")
def document(house):
    return house.get("/openapi.json").json()


def operations(document):
    return {f"{method.upper()} {path}": operation for path, item in document["paths"].items()
            for method, operation in item.items() if method in METHODS}


def test_the_document_is_valid_openapi(document):
    assert document["openapi"] == "3.1.0"
    validate(document)
    ids = [operation["operationId"] for operation in operations(document).values()]
    assert len(ids) == len(set(ids)) > 50


def test_every_route_is_documented(document):
    missing = {name for name, operation in operations(document).items() if operation.get("x-undocumented")}
    assert missing == UNDOCUMENTED


def test_the_document_and_the_page_of_the_api_name_the_same_routes(document):
    page = (harness.ROOT / "Pages/http-api.md").read_text()
    named = {f"{method} {path}" for method, path in
             re.findall(r"^\| (GET|PUT|POST|DELETE|PATCH) \| ([^ |]+) \|", page, re.M)}
    assert named == set(operations(document))


def test_every_problem_code_is_documented(document):
    page = (harness.ROOT / "Pages/problems.md").read_text()
    rows = {code: int(status) for code, status in re.findall(r"^\| `([a-z_]+)` \| (\d+) \|", page, re.M)}
    front = {"malformed_request", "target_too_long", "head_too_large", "too_many_bodies", "version_not_supported"}
    assert document["x-problems"] == {code: status for code, status in rows.items() if code not in front}
    for name, operation in operations(document).items():
        for status, answer in operation["responses"].items():
            answer = document["components"]["responses"][answer["$ref"].rsplit("/")[-1]] if "$ref" in answer else answer
            schema = answer.get("content", {}).get("application/problem+json", {}).get("schema")
            for code in schema["allOf"][1]["properties"]["code"]["enum"] if schema else []:
                assert rows[code] == int(status), f"{name}: {code}"


def test_the_document_is_cached_by_its_tag(house):
    for path in ("/openapi.json", "/docs", "/docs/style.css"):
        first = house.get(path)
        assert first.status_code == 200 and first.headers["Cache-Control"] == "public, max-age=300"
        again = house.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert again.status_code == 304 and again.content == b"" and again.headers["ETag"] == first.headers["ETag"]
        assert house.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_the_page_needs_nothing_from_elsewhere(house, document):
    answer = house.get("/docs")
    page = answer.text
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<script" not in page and "style=" not in page and "http" not in re.sub(r"<[^>]*>|HTTP", "", page).lower().replace("https", "")
    assert {link for link in re.findall(r'(?:href|src)="([^"]*)"', page) if not link.startswith("#")} == {"/docs/style.css", "/openapi.json"}
    anchors = set(re.findall(r'id="([^"]*)"', page))
    assert {operation["operationId"] for operation in operations(document).values()} <= anchors
    assert set(re.findall(r'href="#([^"]*)"', page)) <= anchors
    assert house.get("/docs/style.css").headers["Content-Type"] == "text/css; charset=utf-8"


def test_the_command_prints_the_document(document):
    assert json.loads(harness.cli("openapi", "--demo").stdout) == document
    plain = json.loads(harness.cli("openapi").stdout)
    assert set(document["paths"]) - set(plain["paths"]) == {"/demo/app", "/demo/app.js", "/demo/app.css"}


def test_the_readme_counts_its_paths(document):
    told = re.search(r'prints `\["3\.1\.0",(\d+)\]`', (harness.ROOT / "README.md").read_text())
    assert int(told[1]) == len(document["paths"])


# What schemathesis leaves alone, and why. Each has tests of its own.
LEFT_OUT = [
    "POST /v1/admin/signing-keys/{id}/remove",  # would end the key that its own tokens are signed with
    "POST /v1/me/password", "DELETE /v1/auth/sessions", "DELETE /v1/auth/sessions/{id}",  # would end its own logins
]
# What would lock its own people out once it acts on objects that are there: only the fixed cases.
FIXED_ONLY = ["POST /v1/admin/users/{id}/freeze", "PUT /v1/admin/users/{id}/role", "POST /v1/auth/logout"]
# Some steps of work each: an index, a model, a file.
FEW = ["/v1/admin/import", "/v1/admin/index/rebuild", "/v1/admin/index/rollback", "/v1/admin/tune",
       "/v1/admin/tune/rollback", "/v1/admin/backups", "/v1/admin/signing-keys/rotate"]
# What stays readable when it has ended: a DELETE there is no end of the object.
STAYS = ["/v1/sessions/{id}", "/v1/me/keys/{id}"]
# Everybody's own of an id that is everybody's: each has one, and may see no other's (test_ownership.py).
OWN = ["GET /v1/me/consents/providers/{id}", "GET /v1/me/consents/{purpose}"]
CHECKS = ["not_a_server_error", "status_code_conformance", "content_type_conformance",
          "response_schema_conformance", "ignored_auth", "use_after_free", "negative_data_rejection",
          "object_level_authorization", "told_why_it_is_unavailable"]


def known(people):
    """Objects that are there, by what a path's id or a field of a body is: half of the time one of them is sent."""
    made = {name: [] for name in ("services", "sessions", "proposals", "hooks", "keys", "users", "drafts")}
    made["services"] = [row["id"] for row in harness.read_rows(harness.SERVICES, 60)]
    chosen = iter(made["services"])
    for account in people:
        for _ in range(2):
            answer = account.confirm(account.propose(next(chosen))["id"])
            assert answer.status_code == 201, answer.text
            made["sessions"].append(answer.json()["id"])
        made["proposals"] += [account.propose(next(chosen))["id"] for _ in range(4)]
        hook = account.post("/v1/provider/webhooks", {"url": "https://example.com/hook"}, key=uuid.uuid4().hex).json()
        made["hooks"].append(hook["id"])
        made["keys"].append(account.post("/v1/me/keys", {"name": "known"}, key=uuid.uuid4().hex).json()["id"])
        draft = "draft-of-" + hook["id"]
        body = {"name": "Draft", "kind": "api", "description": "A draft.", "categories": ["Databases"], "status": "draft"}
        assert account.put("/v1/provider/services/" + draft, body).status_code == 201
        made["drafts"].append(draft)
        made["users"].append(Account.register(account.server).get("/v1/me").json()["id"])
    return made


PATHS = {"/v1/services/": "services", "/v1/sessions/": "sessions", "/v1/proposals/": "proposals", "/v1/provider/webhooks/": "hooks",
         "/v1/me/keys/": "keys", "/v1/admin/users/": "users", "/v1/provider/services/": "drafts"}
FIELDS = {"serviceId": "services", "sessionId": "sessions", "proposalId": "proposals", "userId": "users", "ids[*]": "services",
          "url": ["https://example.com/other"], "redirectUris[*]": ["https://example.com/back", "http://127.0.0.1/back"],
          "scopes[*]": ["discovery:read", "sessions:read"], "types[*]": ["session.started", "session.completed"],
          "offerId": ["default"], "filter": ["kind = api"]}


def settings(house, folder):
    """Two providers who must not see each other's objects, and an admin for what they may not do."""
    people = {name: Account.login(house, name + "@example.org") for name in ("alpha", "beta", "admin")}
    auth = [{"name": name, "fixedHeaders": [{"name": "Authorization", "value": "Bearer " + account.token}]}
            for name, account in people.items()]
    (folder / "auth.json").write_text(json.dumps({"auth": auth}))
    refused = [400, 401, 403, 404, 405, 406, 409, 410, 412, 413, 414, 415, 422, 428, 429, 431, 503]
    lists = known([people["alpha"], people["beta"]])
    bound = {}
    for field, values in FIELDS.items():
        name = values if isinstance(values, str) else "field-" + field.removesuffix("[*]")
        lists.setdefault(name, values)
        bound[field] = name
    (folder / "schemathesis.toml").write_text(f"""
[auth.wfc]
path = {json.dumps(str(folder / "auth.json"))}
peers = ["alpha", "beta"]
[phases.stateful]
generation.max-examples = {200 if harness.LONG else 100}
max-steps = 8
[checks.negative_data_rejection]
expected-statuses = {refused}
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 503]
[dictionaries]
""" + "".join(f"{name}.values = {json.dumps(values)}\n" for name, values in lists.items())
      + "[parameters]\n"
      + "".join(f'"body.{field}" = {{dictionary = "{name}", probability = 0.5}}\n' for field, name in bound.items())
      + operations_of(STAYS, "path", "checks.use_after_free.enabled = false")
      + operations_of(OWN, "name", "phases.stateful.enabled = false")
      + operations_of(LEFT_OUT, "name", "enabled = false")
      + operations_of(FIXED_ONLY, "name", "phases.fuzzing.enabled = false\nphases.stateful.enabled = false")
      + operations_of(FEW, "path", "generation.max-examples = 2\nphases.stateful.enabled = false")
      + operations_of(["/v1/me/events"], "path", "max-stream-events = 1\nrequest-timeout = 2")
      + "".join(operations_of(["^" + re.escape(path + "{")], "path-regex",
                              f'parameters."path.id" = {{dictionary = "{name}", probability = 0.5}}')
                for path, name in PATHS.items()))
    return folder / "schemathesis.toml"


def operations_of(names, by, setting):
    """A setting of some operations."""
    return "".join(f"\n[[operations]]\ninclude-{by} = {json.dumps(name)}\n{setting}\n" for name in names)


def reached(report):
    """The operations that were tried one after the other, on what the ones before had made: all, and those that worked."""
    tried, worked = set(), set()
    for line in report.open():
        event = json.loads(line).get("ScenarioFinished", {})
        if event.get("phase") != "stateful":
            continue
        for name, case in event["recorder"].get("cases", {}).items():
            operation = f"{case['value']['method']} {case['value']['path']}"
            answer = event["recorder"].get("interactions", {}).get(name, {}).get("response") or {}
            tried.add(operation)
            if answer.get("status_code", 999) < 300:
                worked.add(operation)
    return tried, worked


def test_schemathesis_finds_nothing(house, tmp_path):
    count, seconds = ("60", 1_800) if harness.LONG else ("5", 600)
    report = tmp_path / "report.ndjson"
    command = [os.path.join(os.path.dirname(sys.executable), "st"), "--config-file", settings(house, tmp_path),
               "run", house.url + "/openapi.json", "--checks", ",".join(CHECKS), "--max-examples", count,
               "--phases", "coverage,fuzzing,stateful", "--seed", os.environ.get("WAYPOST_SEED", "1"),
               "--request-timeout", "15", "--no-color", "--warnings", "off",
               "--report", "ndjson", "--report-ndjson-path", report]
    env = {**os.environ, "SCHEMATHESIS_HOOKS": "schema_hooks", "PYTHONPATH": os.path.dirname(__file__)}
    done = subprocess.run(list(map(str, command)), cwd=tmp_path, env=env, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2_000:]
    tested = int(re.search(r"Tested: (\d+)", done.stdout).group(1))
    assert tested > 140, done.stdout[-3_000:]
    tried, worked = reached(report)
    print(f"\n{tested} operations; in sequences {len(tried)}, of which {len(worked)} did something")
    assert len(worked) > 15, sorted(tried - worked)
    assert house.get("/readyz").status_code == 200
