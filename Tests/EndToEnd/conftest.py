"""One server for the whole run, with the services and the first models of the demo catalog."""

import json
import signal
import types

import pytest

import contract
import harness


SPECIAL = [
    {"id": "zz-two-offers", "name": "Zeta Two", "providerName": "Zeta Works", "kind": "api",
     "description": "An invented listing with two offers, for the tests of offers.",
     "categories": ["Test fixtures"], "tags": [], "contextWindow": 128000,
     "inputModalities": ["text", "image"], "releasedAt": "2031-01-02",
     "compliance": [{"scheme": "gdpr", "state": "yes"}, {"scheme": "hipaa", "state": "no"}],
     "trial": {"offered": True, "minutes": 15, "capTokens": 100},
     "offers": [
         {"id": "eu", "name": "Europe", "plan": "usage", "region": "eu", "prices": [
             {"meter": "call", "per": 1, "amountNano": 2000000, "currency": "EUR"}]},
         {"id": "us", "name": "America", "plan": "hybrid", "region": "us", "prices": [
             {"meter": "call", "per": 1, "amountNano": 9000000, "currency": "USD"}]}]},
    {"id": "zz-regions", "name": "Zeta Regions", "providerName": "Zeta Works", "kind": "tool",
     "description": "An invented listing with regions and a rating.", "categories": ["Test fixtures"],
     "tags": ["one tag"], "regions": ["eu", "us"], "rating": 4.5, "license": "MIT",
     "status": "deprecated"},
    {"id": "zz-draft", "name": "Zeta Draft", "providerName": "Zeta Works", "kind": "tool",
     "description": "An invented listing that nobody may see yet.", "categories": ["Test fixtures"],
     "tags": [], "status": "draft"},
]


@pytest.fixture(scope="session")
def document():
    """What /openapi.json says."""
    return json.loads(harness.cli("openapi", "--demo").stdout)


@pytest.fixture(scope="module", autouse=True)
def as_documented(document):
    """No test gets an answer that the document does not know, or that is not of its shape."""
    with contract.watched(document):
        yield


@pytest.fixture(scope="session")
def rows():
    """The rows that searches see: what was imported, without the draft."""
    rows = harness.read_rows(harness.SERVICES) + harness.read_rows(harness.MODELS, harness.MODEL_ROWS)
    return rows + [row for row in SPECIAL if row.get("status") != "draft"]


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """The data folder before the server: catalog, an admin, two providers, the sandbox's key."""
    folder = tmp_path_factory.mktemp("waypost")
    data = folder / "data"
    models = harness.read_rows(harness.MODELS, harness.MODEL_ROWS)
    files = [harness.write_rows(folder / "models.jsonl", models),
             harness.write_rows(folder / "special.jsonl", SPECIAL)]
    harness.cli("import", harness.SERVICES, *files, "--data", data, "--no-embed")
    harness.add_user(data, "admin", "admin@example.org")
    harness.add_user(data, "provider", "alpha@example.org", "alpha")
    harness.add_user(data, "provider", "beta@example.org", "beta")
    return types.SimpleNamespace(data=data, sandbox_key=harness.add_key(data))


def pytest_configure():
    """A run that is told to end takes its servers and folders with it, as one does that is interrupted."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("told to end", 128 + signal.SIGTERM))


def pytest_collection_modifyitems(items):
    """Tests of the shared server come last: it embeds its catalog while the others run."""
    items.sort(key=lambda item: "server" in item.fixturenames)


@pytest.fixture(scope="session", autouse=True)
def embedding(request):
    """The shared server, started first where any test wants it."""
    if not any("server" in item.fixturenames for item in request.session.items):
        yield None
        return
    world = request.getfixturevalue("world")
    with harness.Server(world.data, home=harness.HOME) as server:
        yield server


@pytest.fixture(scope="session")
def server(embedding):
    harness.vectors_ready(embedding)
    return embedding


@pytest.fixture(scope="session")
def admin(server):
    return harness.Account.login(server, "admin@example.org")


@pytest.fixture(scope="session")
def sandbox(server, world):
    return harness.Account(server, world.sandbox_key)


@pytest.fixture
def user(server):
    return harness.Account.register(server)


@pytest.fixture
def small(tmp_path):
    """A data folder with a few services and no accounts."""
    rows = harness.write_rows(tmp_path / "few.jsonl", harness.read_rows(harness.SERVICES, 60))
    data = tmp_path / "data"
    harness.cli("import", rows, "--data", data, "--no-embed")
    return data
