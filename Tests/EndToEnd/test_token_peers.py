"""Tokens beside five other libraries: over published vectors, over all three algorithms, and over tokens that a seed spoils."""

import json
import os
import random
import time
import uuid

import pytest
import requests
from jwcrypto import jwk as jwcrypto_jwk

import harness
from harness import LONG, Account, problem
from test_sessions import launch_token, place, propose  # noqa: F401  (place is a fixture)
from token_peers import KINDS, READERS, SIGNERS, TAKERS, packed, signed_by, unpacked

VECTORS = harness.ROOT.parent / "shared/data/vectors/wycheproof-json_web_signature_test.json"
# Published tokens that are invalid and that a library takes all the same; ours takes none (Tests/CryptographyTests).
FAULTS = {"PyJWT": {353, 354, 355, 356, 367, 370}, "joserfc": {367, 370}, "jwcrypto": {360, 367, 370, 374, 379, 385},
          "Authlib": {360, 365, 366, 367, 368, 369, 370, 375}}
COUNT = 100 if LONG else 50


def works(call, *arguments):
    try:
        call(*arguments)
        return True
    except Exception:
        return False


@pytest.mark.skipif(not VECTORS.exists(), reason="../shared/data/vectors is not here")
@pytest.mark.parametrize("name", TAKERS)
def test_of_401_published_tokens_a_peer_takes_the_invalid_ones_that_are_known(name):
    taken = set()
    for group in json.loads(VECTORS.read_text())["testGroups"]:
        key = group.get("public", group["private"])
        taken |= {test["tcId"] for test in group["tests"]
                  if test["result"] == "invalid" and works(TAKERS[name], test["jws"], key)}
    assert taken == FAULTS[name]


def assertion(place, sign, key, algorithm, **changes):
    now = int(time.time())
    claims = {"iss": "alpha", "sub": "alpha", "aud": place.server.url, "iat": now, "exp": now + 60,
              "jti": uuid.uuid4().hex, **changes}
    return sign(key, {"alg": algorithm, "kid": "theirs", "typ": "JWT"}, claims)


def registered(place, algorithm):
    """A key pair, the public half known to the server."""
    key = jwcrypto_jwk.JWK.generate(**KINDS[algorithm])
    public = {**key.export_public(as_dict=True), "kid": "theirs", "alg": algorithm}
    answer = place.provider.put("/v1/provider/key-set", {"keys": [public]})
    assert answer.status_code == 200, answer.text
    return key, public


def redeemed(place, launch, token):
    return requests.post(place.server.url + "/v1/sessions/validate", timeout=30, json={
        "token": launch, "clientAssertion": token,
        "clientAssertionType": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"})


def fresh_launch(place):
    user = Account.register(place.server)
    return launch_token(user.confirm(propose(user, "alpha-trial")["id"]).json())


@pytest.mark.parametrize("name", SIGNERS)
@pytest.mark.parametrize("algorithm", KINDS)
def test_ours_verifies_what_a_peer_signs(place, algorithm, name):  # noqa: F811
    key, _ = registered(place, algorithm)
    launch = fresh_launch(place)
    stranger = jwcrypto_jwk.JWK.generate(**KINDS[algorithm])
    problem(redeemed(place, launch, assertion(place, SIGNERS[name], stranger, algorithm)), 401, "token_invalid")
    answer = redeemed(place, launch, assertion(place, SIGNERS[name], key, algorithm))
    assert answer.status_code == 200 and answer.json()["state"] == "active", answer.text


# Tokens that are spoilt

def spoilt(token, key, algorithm, chance):
    """A token that is nearly sound, and what was done to it."""
    head, body, signature = token.split(".")
    header, claims = json.loads(unpacked(head)), unpacked(body)

    def again(**changes):
        """Truly signed, under another header."""
        return signed_by(key, algorithm, json.dumps({**header, **changes}).encode(), claims)

    def flipped(text):
        data = bytearray(unpacked(text))
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        return packed(bytes(data))

    ways = {
        "nothing": lambda: token,
        "header": lambda: f"{flipped(head)}.{body}.{signature}",
        "claims": lambda: f"{head}.{flipped(body)}.{signature}",
        "signature": lambda: f"{head}.{body}.{flipped(signature)}",
        "shorter": lambda: f"{head}.{body}.{packed(unpacked(signature)[:-1])}",
        "longer": lambda: f"{head}.{body}.{packed(unpacked(signature) + bytes([chance.randrange(256)]))}",
        "no signature": lambda: f"{head}.{body}.",
        "zeros": lambda: f"{head}.{body}.{packed(bytes(len(unpacked(signature))))}",
        "padding": lambda: f"{head}.{body}.{signature}" + "=" * (1 + chance.randrange(3)),
        "space": lambda: token.replace(".", chance.choice([". ", " .", ".\n", ".\t"]), 1),
        "segments": lambda: token + "." + chance.choice(["", "e30", signature]),
        "unused bits": lambda: token[:-1] + chance.choice([c for c in "ABCDEFGHabcdefgh0123_-" if c != token[-1]]),
        "alg": lambda: again(alg=chance.choice(["none", "None", "", "HS256", "RS384", "PS256", algorithm.lower(), 1, None])),
        "another alg": lambda: again(alg=chance.choice([a for a in KINDS if a != algorithm])),
        "crit": lambda: again(crit=chance.choice([["b64"], ["exp"], [], "x"])),
        "b64": lambda: again(b64=False, crit=["b64"]),
        "embedded key": lambda: again(jwk=key.export_public(as_dict=True)),
        "key elsewhere": lambda: again(jku="https://evil.example/keys"),
        "zip": lambda: again(zip="DEF"),
        "kid": lambda: again(kid=chance.choice(["", "other", "../theirs", "theirs\x00", 7, ["theirs"]])),
        "twice": lambda: signed_by(key, algorithm, json.dumps(header)[:-1].encode() + b', "alg": "none"}', claims),
        "claim twice": lambda: signed_by(key, algorithm, json.dumps(header).encode(), claims[:-1] + b', "sub": "beta"}'),
        "header of another form": lambda: signed_by(key, algorithm, chance.choice([b"[]", b"null", b"{", b"{}", b""]), claims),
        "claims of another form": lambda: signed_by(
            key, algorithm, json.dumps(header).encode(), chance.choice([b"[]", b"1", b"{", b"\xff\xfe", b""])),
    }
    way = chance.choice(list(ways))
    return way, ways[way]()


@pytest.mark.parametrize("algorithm", KINDS)
def test_ours_takes_no_spoilt_token_and_none_that_a_peer_refuses(place, algorithm):  # noqa: F811
    chance = random.Random(int(os.environ.get("WAYPOST_SEED", "1")))
    key, public = registered(place, algorithm)
    launch, at = fresh_launch(place), time.monotonic()
    seen, stricter = {}, set()
    for number in range(COUNT):
        if time.monotonic() - at > 20:  # a redemption may be repeated for 30 s
            launch, at = fresh_launch(place), time.monotonic()
        sign = SIGNERS[chance.choice(list(SIGNERS))]
        way, token = spoilt(assertion(place, sign, key, algorithm), key, algorithm, chance)
        answer = redeemed(place, launch, token)
        verdicts = {name: works(reader, token, public, algorithm) for name, reader in READERS.items()}
        where = f"{number}: {way}: {token} {verdicts} {answer.text}"
        if way == "nothing":
            assert answer.status_code == 200 and all(verdicts.values()), where
        else:
            assert answer.status_code == 401 and answer.json()["code"] in ("token_invalid", "token_expired"), where
            stricter |= {f"{name}: {way}" for name, verdict in verdicts.items() if verdict}
        seen[way] = seen.get(way, 0) + 1
    assert seen["nothing"] > 0 and len(seen) > 15, seen
    print(f"\n{algorithm}: {COUNT} tokens; peers take what we refuse: {', '.join(sorted(stricter))}")
