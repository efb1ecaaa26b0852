"""Search against expectations that are worked out here, in Python, from the imported rows."""

import collections
import json
import re

import pytest
import requests

from harness import problem

YES, NO, UNKNOWN = True, False, None


# Kleene's three-valued logic, written as the smaller, the larger and the opposite of no < unknown < yes.
def rank(truth):
    return {NO: 0, UNKNOWN: 1, YES: 2}[truth]


def both(*parts):
    return min(parts, key=rank)


def either(*parts):
    return max(parts, key=rank)


def opposite(part):
    return UNKNOWN if part is UNKNOWN else not part


def word(row, field, *wanted):
    """Whether a text field, or a member of a list, is one of the words; case does not matter."""
    value = row.get(field)
    if value in (None, []):
        return UNKNOWN
    if isinstance(value, bool):
        value = "true" if value else "false"
    have = {str(one).lower() for one in (value if isinstance(value, list) else [value])}
    return bool(have & {one.lower() for one in wanted})


def number(row, field, test):
    value = row.get(field)
    return UNKNOWN if value is None else test(value)


def known(row, field):
    return row.get(field) not in (None, [], {})


def flag(row, name):
    return row.get("features", {}).get(name)


def amount(offer, meter, test, currency="USD"):
    """A test of an offer's price in whole units; another currency than asked for is unknown."""
    for price in (offer or {}).get("prices", []):
        if price["meter"] == meter:
            return test(price["amountNano"] / 1e9) if price["currency"] == currency else UNKNOWN
    return UNKNOWN


def slug(name):
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def status(row):
    return row.get("status", "active")


FILTERS = [
    ("kind = api", lambda s, o: word(s, "kind", "api")),
    ("kind != model", lambda s, o: opposite(word(s, "kind", "model"))),
    ("kind IN [app, tool]", lambda s, o: word(s, "kind", "app", "tool")),
    ("contextWindow >= 128k", lambda s, o: number(s, "contextWindow", lambda n: n >= 128_000)),
    ("contextWindow 100000 TO 200000", lambda s, o: number(s, "contextWindow", lambda n: 100_000 <= n <= 200_000)),
    ("maxOutputTokens > 64000", lambda s, o: number(s, "maxOutputTokens", lambda n: n > 64_000)),
    ("inputModalities = image AND contextWindow >= 128000 AND inputPrice < 0.50", lambda s, o: both(
        word(s, "inputModalities", "image"), number(s, "contextWindow", lambda n: n >= 128_000),
        amount(o, "inputToken", lambda p: p < 0.5))),
    ("outputModalities = image", lambda s, o: word(s, "outputModalities", "image")),
    ("outputModalities IN [audio, video]", lambda s, o: word(s, "outputModalities", "audio", "video")),
    ("features.vision = yes", lambda s, o: flag(s, "vision")),
    ("features.vision = no AND features.reasoning = yes", lambda s, o: both(opposite(flag(s, "vision")), flag(s, "reasoning"))),
    ("features.structuredOutputs IS UNKNOWN", lambda s, o: flag(s, "structuredOutputs") is None),
    ("openWeights = true", lambda s, o: word(s, "openWeights", "true")),
    ("NOT openWeights = true", lambda s, o: opposite(word(s, "openWeights", "true"))),
    ("authType = apiKey OR authType = oauth2", lambda s, o: word(s, "authType", "apiKey", "oauth2")),
    ("authType IS UNKNOWN", lambda s, o: not known(s, "authType")),
    ("authType EXISTS AND NOT authType = apiKey", lambda s, o: both(known(s, "authType"), opposite(word(s, "authType", "apiKey")))),
    ("https = false", lambda s, o: word(s, "https", "false")),
    ("cors IN [yes, no]", lambda s, o: word(s, "cors", "yes", "no")),
    ('categories = "Image generation"', lambda s, o: word(s, "categories", "Image generation")),
    ('categories IN ["Speech to text", "Text to speech", "Text to speech and voice"]', lambda s, o: word(
        s, "categories", "Speech to text", "Text to speech", "Text to speech and voice")),
    ("apiCompatibility = anthropic", lambda s, o: word(s, "apiCompatibility", "anthropic")),
    ("releasedAt >= 2026-01-01", lambda s, o: number(s, "releasedAt", lambda d: d[:10] >= "2026-01-01")),
    ("releasedAt 2024-06-01 TO 2024-12-31", lambda s, o: number(s, "releasedAt", lambda d: "2024-06-01" <= d[:10] <= "2024-12-31")),
    ("price = 0", lambda s, o: main_price(o, lambda p: p == 0)),
    ("outputPrice > 20 OR plan = free", lambda s, o: either(
        amount(o, "outputToken", lambda p: p > 20), UNKNOWN if o is None else o["plan"] == "free")),
    ("NOT (inputPrice < 1)", lambda s, o: opposite(amount(o, "inputToken", lambda p: p < 1))),
    ('provider = "Azure"', lambda s, o: word(s, "providerName", "Azure")),
    ("modelFamily IN [gpt, claude-opus, glm]", lambda s, o: word(s, "modelFamily", "gpt", "claude-opus", "glm")),
    ("(kind = app OR kind = tool) AND (inputModalities = audio OR NOT authType EXISTS)", lambda s, o: both(
        word(s, "kind", "app", "tool"), either(word(s, "inputModalities", "audio"), not known(s, "authType")))),
    ("pricePerCall <= 0.005 EUR", lambda s, o: amount(o, "call", lambda p: p <= 0.005, "EUR")),
    ("pricePerCall <= 0.005", lambda s, o: amount(o, "call", lambda p: p <= 0.005)),
    ("pricePerCall < 1 AND plan = hybrid AND offerRegion = us", lambda s, o: both(
        amount(o, "call", lambda p: p < 1), UNKNOWN if o is None else o["plan"] == "hybrid",
        UNKNOWN if o is None or "region" not in o else o["region"] == "us")),
    ("pricePerCall < 1 AND offerRegion = eu", lambda s, o: both(
        amount(o, "call", lambda p: p < 1), UNKNOWN if o is None or "region" not in o else o["region"] == "eu")),
    ("compliance.gdpr = yes AND compliance.hipaa = no", lambda s, o: both(
        state(s, "gdpr"), opposite(state(s, "hipaa")))),
    ("regions = eu AND rating >= 4", lambda s, o: both(word(s, "regions", "eu"), number(s, "rating", lambda n: n >= 4))),
    ("trialOffered = true", lambda s, o: s["trial"]["offered"] if "trial" in s else UNKNOWN),
    ("status = deprecated", lambda s, o: status(s) == "deprecated"),
    ("id IN [sellerpic, acuity-scheduling, no-such-id]", lambda s, o: s["id"] in ("sellerpic", "acuity-scheduling")),
]
EMPTY = {"pricePerCall <= 0.005", "pricePerCall < 1 AND offerRegion = eu"}


def main_price(offer, test):
    prices = (offer or {}).get("prices", [])
    if not any(price["meter"] == "inputToken" for price in prices) and len(prices) == 1:
        return amount(offer, prices[0]["meter"], test)
    return amount(offer, "inputToken", test)


def state(row, scheme):
    for one in row.get("compliance", []):
        if one["scheme"] == scheme:
            return {"yes": YES, "no": NO}.get(one["state"], UNKNOWN)
    return UNKNOWN


def matching(rows, test):
    """Services for which the test is true for at least one offer; a service with none has unknown prices."""
    return {row["id"] for row in rows if any(test(row, offer) is YES for offer in row.get("offers") or [None])}


def ids(server, **body):
    """All ids over pages of 100, and every page's total."""
    found, totals, offset = [], set(), 0
    while True:
        answer = server.search(limit=100, offset=offset, **body)
        totals.add(answer["total"])
        found += [hit["id"] for hit in answer["hits"]]
        offset += 100
        if not answer["hits"] or offset > 10_000:
            return found, totals


@pytest.mark.parametrize("text, test", FILTERS, ids=lambda v: v if isinstance(v, str) else "")
def test_a_filter_finds_exactly_what_the_rows_say(server, rows, text, test):
    expected = matching(rows, test)
    found, totals = ids(server, filter=text)
    assert bool(expected) == (text not in EMPTY), "a filter that decides nothing proves nothing"
    assert sorted(found) == sorted(expected)
    assert totals == {len(expected)}


def test_the_catalog_is_what_was_imported(server, rows):
    found, totals = ids(server)
    assert sorted(found) == sorted(row["id"] for row in rows) and totals == {len(rows)}


def values(row, field):
    value = row["id"] if field == "id" else status(row) if field == "status" else row.get(field)
    if isinstance(value, bool):
        value = "true" if value else "false"
    return value if isinstance(value, list) else [] if value is None else [value]


def counted(rows, field):
    counts, unknown = collections.Counter(), 0
    for row in rows:
        have = {str(one).lower() for one in values(row, field)}
        counts.update(have)
        unknown += not have
    return counts, unknown


@pytest.mark.parametrize("query", [None, "image generation from text", "weather forecast"])
@pytest.mark.parametrize("text", [None, "inputModalities = text", "contextWindow >= 128k OR https = true"])
def test_facets_count_exactly_the_result_set(server, rows, query, text):
    fields = ["kind", "authType", "openWeights", "categories", "status"]
    body = {"facets": fields, "facetLimit": 200}
    if query:
        body["q"] = query
    if text:
        body["filter"] = text
    found, totals = ids(server, **body)
    answer = server.search(limit=1, **body)
    assert totals == {answer["total"]} == {len(found)} == {len(set(found))}
    by_id = {row["id"]: row for row in rows}
    chosen = [by_id[id] for id in found]
    for field in fields:
        counts, unknown = counted(chosen, field)
        facet = answer["facets"][field]
        assert {v["value"].lower(): v["count"] for v in facet["values"]} == counts, field
        assert facet["unknownCount"] == unknown
        if field != "categories":
            total = sum(v["count"] for v in facet["values"]) + facet["otherCount"] + facet["unknownCount"]
            assert total == answer["total"], field


def test_a_short_facet_list_keeps_the_sum_in_the_rest(server):
    answer = server.search(facets=["providerId", "kind", "authType"], facetLimit=3, limit=0)
    for field in ("providerId", "kind", "authType"):
        facet = answer["facets"][field]
        assert len(facet["values"]) <= 3
        total = sum(v["count"] for v in facet["values"]) + facet["otherCount"] + facet["unknownCount"]
        assert total == answer["total"]


def test_a_facet_is_counted_without_its_own_condition(server, rows):
    answer = server.search(filter="kind = app AND authType IS UNKNOWN", facets=["kind", "categories"], limit=1, facetLimit=200)
    unknown = [row for row in rows if not row.get("authType")]
    counts, _ = counted(unknown, "kind")
    facet = {v["value"]: v for v in answer["facets"]["kind"]["values"]}
    assert {k: v["count"] for k, v in facet.items()} == counts
    assert [k for k, v in facet.items() if v["selected"]] == ["app"]
    counts, _ = counted([row for row in unknown if row["kind"] == "app"], "categories")
    assert {v["value"].lower(): v["count"] for v in answer["facets"]["categories"]["values"]} == counts


def test_a_price_facet_has_its_statistics_and_a_histogram_that_adds_up(server, rows):
    facet = server.search(facets=["inputPrice"], filter="kind = model", limit=0)["facets"]["inputPrice"]
    prices = [p["amountNano"] / 1e9 for row in rows if row["kind"] == "model" for o in row.get("offers", [])
              for p in o["prices"] if p["meter"] == "inputToken"]
    assert facet["stats"]["min"] == min(prices) and facet["stats"]["max"] == max(prices)
    assert abs(facet["stats"]["avg"] - sum(prices) / len(prices)) < 1e-6
    assert sum(bucket["count"] for bucket in facet["histogram"]) == len(prices)
    assert facet["unknownCount"] == sum(row["kind"] == "model" and not row.get("offers") for row in rows)


def by_cursor(server, **body):
    found, cursor = [], None
    while True:
        answer = server.search(limit=37, **body, **({"cursor": cursor} if cursor else {}))
        found += [hit["id"] for hit in answer["hits"]]
        cursor = answer["nextCursor"]
        if not cursor:
            return found


@pytest.mark.parametrize("body", [
    {"filter": "kind = model"}, {"q": "speech to text"}, {"sort": ["name"]},
    {"q": "image", "filter": "kind != model", "sort": ["newest", "name:desc"]}], ids=str)
def test_cursor_pages_and_offset_pages_are_the_same(server, body):
    found, totals = ids(server, **body)
    assert by_cursor(server, **body) == found and totals == {len(set(found))}


@pytest.mark.parametrize("key, read, backwards", [
    ("contextWindow", lambda r: r.get("contextWindow"), False),
    ("contextWindow:desc", lambda r: r.get("contextWindow"), True),
    ("newest", lambda r: r.get("releasedAt"), True),
    ("releasedAt:asc", lambda r: r.get("releasedAt"), False),
    ("inputPrice", lambda r: r["offers"][0]["prices"][0]["amountNano"] if r["kind"] == "model" and r.get("offers") else None, False),
])
def test_a_sort_orders_by_the_stored_value_with_unknown_last(server, rows, key, read, backwards):
    by_id = {row["id"]: row for row in rows}
    found = [read(by_id[id]) for id in ids(server, sort=[key])[0]]
    there = [value for value in found if value is not None]
    assert there == sorted(there, reverse=backwards)
    assert found[len(there):] == [None] * (len(found) - len(there)) and there


def test_two_sort_keys_break_ties_by_id(server, rows):
    by_id = {row["id"]: row for row in rows}
    found = ids(server, filter="contextWindow EXISTS AND maxOutputTokens EXISTS", sort=["contextWindow", "maxOutputTokens:desc"])[0]
    keys = [(by_id[i]["contextWindow"], -by_id[i]["maxOutputTokens"], i) for i in found]
    assert keys == sorted(keys)


def test_a_hit_shows_the_best_matching_offer(server):
    def offer(text):
        return server.search(filter="id = zz-two-offers AND " + text)["hits"][0]["offer"]["id"]
    assert offer("offerRegion = us") == "us" and offer("offerRegion = eu") == "eu"
    assert offer("pricePerCall > 0 EUR") == "eu"


def test_an_exact_name_comes_first(server):
    for name, id in [("Acuity Scheduling", "acuity-scheduling"), ("SellerPic AI", "sellerpic")]:
        assert server.search(q=name)["hits"][0]["id"] == id


def test_conditions_in_words_are_understood_with_their_span(server):
    query = "image input model under $0.50 per 1M input tokens"
    answer = server.search(q=query, limit=100)
    assert any("inputPrice" in chip["filter"] and "0.5" in chip["filter"] for chip in answer["understood"])
    for chip in answer["understood"]:
        assert query[chip["start"]:chip["end"]].strip()
    for hit in answer["hits"]:
        assert hit["offer"]["prices"][0]["amountNano"] < 500_000_000
    assert server.search(q=query, understand="off")["understood"] == []


def test_an_understood_condition_is_left_out_by_its_key_or_label(server):
    query = "image input model under $0.50 per 1M input tokens"
    answer = server.search(q=query)
    chips = answer["understood"]
    assert len({chip["key"] for chip in chips}) == len(chips) >= 2
    price = next(chip for chip in chips if "inputPrice" in chip["filter"])
    rest = [chip["key"] for chip in chips if chip is not price]
    for name in (price["key"], price["label"]):
        without = server.search(q=query, ignored=[name, "no such condition"])
        assert [chip["key"] for chip in without["understood"]] == rest
        assert without["total"] >= answer["total"]
    for given in (price["key"], json.dumps([price["key"]])):
        got = server.get("/v1/providers/search", params={"q": query, "ignored": given}).json()
        assert [chip["key"] for chip in got["understood"]] == rest


def test_notes_say_what_became_no_condition_and_that_a_query_was_cut(server):
    assert server.search(q="translate")["notes"] == []
    notes = server.search(q="text to speech under $5 per 1M characters")["notes"]
    assert any("characters" in note for note in notes)
    assert any("1000" in note for note in server.search(q="translate " * 150)["notes"])


def test_few_hits_say_what_to_drop_and_where_the_bound_would_have_to_be(server):
    filter = "kind = model AND inputPrice > 0 AND contextWindow > 900000000"
    answer = server.search(filter=filter)
    assert answer["total"] == 0
    one = next(one for one in answer["relaxations"] if one["keys"] == ["contextWindow > 900000000"])
    without = server.search(filter="kind = model AND inputPrice > 0", limit=0)
    assert one["total"] == without["total"] > one["loosened"]["total"] > 0
    moved = server.search(filter=one["loosened"]["filter"], limit=100)
    assert moved["total"] == one["loosened"]["total"]
    # The nearest bound: those found are the ones with the largest window.
    largest = server.search(filter="kind = model AND inputPrice > 0", sort=["contextWindow:desc"], limit=1)
    window = largest["hits"][0]["service"]["contextWindow"]
    assert {hit["service"]["contextWindow"] for hit in moved["hits"]} == {window}
    assert server.search(filter="kind = model", limit=0)["relaxations"] == []


def test_get_and_post_give_the_same_answer(server):
    bodies = [
        {"q": "image", "filter": "kind = model AND inputPrice < 2", "limit": 5, "offset": 3},
        {"facets": ["kind", "categories"], "facetLimit": 4, "sort": ["name", "newest"], "limit": 2},
        {"q": "100% free & open = yes?", "understand": "off", "highlight": True}]
    for body in bodies:
        query = {k: ",".join(v) if isinstance(v, list) else json.dumps(v) if not isinstance(v, str) else v
                 for k, v in body.items()}
        got, posted = server.get("/v1/providers/search", params=query).json(), server.search(**body)
        for answer in (got, posted):
            answer.pop("took"), answer.pop("searchId")
        assert got == posted


def test_the_same_search_gives_the_same_body(server):
    one, two = (server.search(q="translate documents", facets=["kind"]) for _ in range(2))
    for answer in (one, two):
        answer.pop("took"), answer.pop("searchId")
    assert one == two


@pytest.mark.parametrize("text, position", [
    ("kind ==", None), ("kind = api AND", 14), ("bogus = 1", 0), ("kind = api OR nonsense > 3", 14), ("(kind = api", 11),
    ("kind > api", 5), ("contextWindow > many", 16), ("kind IN [api", 12), ("releasedAt > 2024-13-01", 13),
    ('name = "open', 7), ("inputPrice < 1 XYZ", None), ("(" * 70 + "kind = api" + ")" * 70, None), ("kind = api " * 400, None)])
def test_a_bad_filter_is_refused_with_its_position(server, text, position):
    body = problem(server.post("/v1/providers/search", {"filter": text}), 400, "filter_invalid")
    assert isinstance(body["position"], int) and body["expected"]
    if position is not None:
        assert body["position"] == position


def test_a_bad_cursor_is_refused(server):
    cursor = server.search(filter="kind = model", limit=1)["nextCursor"]
    for bad in ("nonsense", "e30", cursor[:-4]):
        problem(server.post("/v1/providers/search", {"filter": "kind = model", "cursor": bad}), 400, "cursor_invalid")
    problem(server.post("/v1/providers/search", {"filter": "kind = api", "cursor": cursor}), 400, "cursor_invalid")


@pytest.mark.parametrize("body, pointer", [
    ({"limit": 101}, "/limit"), ({"limit": -1}, "/limit"), ({"limit": "5"}, "/limit"), ({"limit": 1.5}, "/limit"),
    ({"offset": 10_001}, "/offset"), ({"facetLimit": 0}, "/facetLimit"), ({"semantic": 2}, "/semantic"),
    ({"sort": ["sideways"]}, "/sort"), ({"sort": "name"}, "/sort"), ({"q": 5}, "/q"), ({"highlight": "yes"}, "/highlight"),
    ({"understand": "maybe"}, "/understand"), ({"ignored": "price"}, "/ignored"), ({"ignored": ["a"] * 51}, "/ignored"),
    ({"ignored": ["a" * 201]}, "/ignored"), ({"wrong": 1}, "/wrong"), ({"facets": ["no-such-field"]}, "/facets")])
def test_a_bad_search_is_refused_with_its_field(server, body, pointer):
    answer = problem(server.post("/v1/providers/search", body), 422, "validation_failed")
    assert pointer in [error["pointer"] for error in answer["errors"]]


def test_an_unknown_query_parameter_of_get_is_refused(server):
    problem(server.get("/v1/providers/search?q=a&wrong=1"), 422, "validation_failed")


def test_a_revision_that_is_not_there_yet_says_so(server):
    answer = server.post("/v1/providers/search", {"minRevision": 10_000_000})
    problem(answer, 503, "not_searchable_yet")
    assert answer.headers["Retry-After"]


def test_a_body_that_is_no_json_is_refused_with_its_place(server):
    url = server.url + "/v1/providers/search"
    for data, code in [(b'{"q": ', 400), (b"[]", 400), (b'{"q": "\xff"}', 400), (b'{"q":1,"q":2}', 400)]:
        answer = requests.post(url, data=data, headers={"Content-Type": "application/json"}, timeout=10)
        problem(answer, code, "malformed_json")
    problem(requests.post(url, data=b"q=a", headers={"Content-Type": "text/plain"}, timeout=10), 415, "unsupported_media_type")


def test_the_schema_names_every_field_and_each_facet_works(server):
    schema = server.get("/v1/meta/schema").json()
    names = {field["name"] for field in schema["fields"]}
    assert {"kind", "categories", "inputPrice", "contextWindow", "features", "providerId", "id"} <= names
    facets = [field["name"] for field in schema["fields"] if field["facet"]]
    for start in range(0, len(facets), 30):
        answer = server.search(facets=facets[start:start + 30], limit=0)
        assert set(answer["facets"]) == set(facets[start:start + 30])
    for field in schema["fields"]:
        if field["sortable"]:
            assert server.search(sort=[field["name"]], limit=1)["hits"]
        assert server.search(filter=field["name"] + " IS UNKNOWN OR kind EXISTS", limit=0)["total"]


def test_a_draft_is_not_found_anywhere(server):
    problem(server.get("/v1/services/zz-draft"), 404, "not_found")
    assert server.search(filter="id = zz-draft")["total"] == 0
    assert all(hit["id"] != "zz-draft" for hit in server.search(q="Zeta Draft", limit=100)["hits"])
