"""What the tests of accounts, keys and own data share."""

import types
import uuid

import pytest

import harness
from harness import PASSWORD, SANDBOX, Account, Server

NEW_PASSWORD = "seven owls in the barn"


def address():
    return f"p{uuid.uuid4().hex[:12]}@example.org"


def form(mail=None, **more):
    return {"email": mail or address(), "password": PASSWORD, **more}


def sign_in(server, mail, password=PASSWORD, **headers):
    return server.post("/v1/auth/login", {"email": mail, "password": password}, headers=headers)


def catalog(folder):
    """A data folder with a few services, an admin and a person of the sandbox provider."""
    rows = harness.write_rows(folder / "few.jsonl", harness.read_rows(harness.SERVICES, 60))
    data = folder / "data"
    harness.cli("import", rows, "--data", data, "--no-embed")
    harness.add_key(data)
    harness.add_user(data, "admin", "admin@example.org")
    harness.add_user(data, "provider", "sandbox@example.org", SANDBOX)
    return data


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with Server(catalog(tmp_path_factory.mktemp("accounts"))) as server:
        yield server


@pytest.fixture(scope="module")
def operator(house):
    return Account.login(house, "admin@example.org")


@pytest.fixture
def person(house):
    mail = address()
    account = Account.register(house, mail)
    return types.SimpleNamespace(mail=mail, account=account, id=account.get("/v1/me").json()["id"])


def make_key(account, **body):
    answer = account.post("/v1/me/keys", {"name": "test", **body}, key=uuid.uuid4().hex)
    assert answer.status_code == 201, answer.text
    return answer.json()
