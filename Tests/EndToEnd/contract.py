"""Holds every answer that a test module gets against the document of the API."""

import contextlib
import re
import urllib.parse

import jsonschema
import requests
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

BODY_TYPES = ("application/json", "application/problem+json")
# Answers of one kind, such as a route's 409, that are looked at: load tests get thousands.
EACH_MAX = 25


class Contract:
    """The document, looked up by answers."""

    def __init__(self, document):
        self.document = document
        self.counts = {}
        self.registry = Registry().with_resource(
            "urn:api", Resource(contents=document, specification=DRAFT202012))
        # A fixed path goes before a pattern, as in the server's router.
        paths = sorted(document["paths"], key=lambda path: path.count("{"))
        self.paths = [(re.compile(re.sub(r"\{[^}]*\}", "[^/]+", path)), path) for path in paths]

    def fault(self, answer):
        """What of an answer the document does not say, or None."""
        place = urllib.parse.urlsplit(answer.request.url).path
        path = next((path for pattern, path in self.paths if pattern.fullmatch(place)), None)
        method = answer.request.method.lower()
        # The sandbox's page is there only with --demo.
        if path is None or path.startswith("/demo/") or method not in self.document["paths"][path]:
            return None
        one = (method, path, answer.status_code)
        self.counts[one] = self.counts.get(one, 0) + 1
        if self.counts[one] > EACH_MAX:
            return None
        name = f"{method} {path}: {answer.status_code}"
        response = self.document["paths"][path][method]["responses"].get(str(answer.status_code))
        if response is None:
            return name + " is not documented"
        place = f"/paths/{path.replace('/', '~1')}/{method}/responses/{answer.status_code}"
        if "$ref" in response:
            place = response["$ref"].removeprefix("#")
            response = self.document["components"]["responses"][place.rsplit("/", 1)[1]]
        kind = answer.headers.get("Content-Type", "").split(";")[0]
        if kind not in BODY_TYPES or not answer.content:
            return None
        if kind not in response.get("content", {}):
            return f"{name} is not documented as {kind}"
        pointer = urllib.parse.quote(f"{place}/content/{kind.replace('/', '~1')}/schema", safe="/~+")
        schema = jsonschema.Draft202012Validator({"$ref": "urn:api#" + pointer}, registry=self.registry)
        errors = [f"{'/'.join(map(str, error.absolute_path))} {error.message[:300]}"
                  for error in schema.iter_errors(answer.json())]
        return f"{name}: " + "; ".join(errors) if errors else None


@contextlib.contextmanager
def watched(document):
    """Every answer of ours inside of the block must be as the document says."""
    send = requests.Session.send
    contract, faults = Contract(document), set()

    def watching(session, request, **more):
        answer = send(session, request, **more)
        # Other programs of the tests answer on loopback too, and have no such header.
        if not more.get("stream") and "X-Request-Id" in answer.headers:
            fault = contract.fault(answer)
            if fault:
                faults.add(fault)
        return answer

    requests.Session.send = watching
    try:
        yield
    finally:
        requests.Session.send = send
    assert not faults, "not as /openapi.json says:\n" + "\n".join(sorted(faults))
