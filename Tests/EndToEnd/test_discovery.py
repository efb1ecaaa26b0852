"""The end points around a search: similar, compare, cost, suggest, facet values, batch, ranking, placements."""

import itertools
import uuid
from fractions import Fraction

import pytest

from harness import problem

MODEL = "kind = model AND inputPrice > 0 AND outputPrice > 0"


def half_up(value):
    """A fraction rounded half up to a whole number."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def expected_cost(offer, counts, months=1):
    """What a usage costs under an offer, in fractions; None where a price is missing."""
    total = 0
    for meter, count in counts.items():
        if count == 0:
            continue
        prices = [price for price in offer["prices"] if price["meter"] == meter]
        if not prices:
            return None
        total += half_up(Fraction(count * months * prices[0]["amountNano"], prices[0]["per"]))
    return total + offer.get("monthlyFeeNano", 0) * months


@pytest.fixture(scope="module")
def models(server):
    """The ids of some priced models."""
    return [hit["id"] for hit in server.search(filter=MODEL, sort=["name"], limit=5)["hits"]]


def answer(response):
    assert response.status_code == 200, response.text
    return response.json()


def test_similar_services_leave_out_the_one_and_keep_the_filter(server, models):
    body = answer(server.get(f"/v1/services/{models[0]}/similar", params={
        "filter": "kind = model", "limit": 7, "facets": "kind"}))
    assert body["service"]["id"] == models[0]
    ids = [hit["id"] for hit in body["hits"]]
    assert ids and len(ids) <= 7 and models[0] not in ids and len(set(ids)) == len(ids)
    kinds = {value["value"]: value["selected"] for value in body["facets"]["kind"]["values"] if value["count"]}
    assert kinds["model"] and sum(kinds.values()) == 1
    assert {hit["service"]["kind"] for hit in body["hits"]} == {"model"}
    base = answer(server.get(f"/v1/services/{models[0]}"))["service"]
    for hit in body["hits"]:
        for category in hit["why"]["shared"].get("categories", []):
            assert category in base["categories"]
        for price in hit["why"]["prices"]:
            less = price["amountNano"] * price["thanPer"] < price["thanAmountNano"] * price["per"]
            assert (price["verdict"] == "cheaper") == less


@pytest.mark.parametrize("id", ["zz-draft", "no-such-id", "UPPER"])
def test_what_is_not_public_has_nothing_similar(server, id):
    problem(server.get(f"/v1/services/{id}/similar"), 404, "not_found")


@pytest.mark.parametrize("query, pointer", [
    ({"limit": 0}, "/limit"), ({"limit": 51}, "/limit"), ({"q": "x"}, "/q"), ({"facets": "nothing"}, "/facets")])
def test_similar_refuses_what_it_does_not_know(server, models, query, pointer):
    body = problem(server.get(f"/v1/services/{models[0]}/similar", params=query), 422, "validation_failed")
    assert [error["pointer"] for error in body["errors"]] == [pointer]


def test_a_comparison_shows_what_the_record_says_and_marks_the_rest(server, models):
    ids = models[:2] + ["zz-two-offers"]
    body = answer(server.post("/v1/compare", {"ids": ids, "usage": {"promptTokens": 1000}}))
    assert [service["id"] for service in body["services"]] == ids
    records = {id: answer(server.get(f"/v1/services/{id}"))["service"] for id in ids}
    rows = {row["field"]: row for row in body["fields"]}
    for field in ("contextWindow", "maxOutputTokens", "categories", "releasedAt", "rating", "license"):
        for id, value in zip(ids, rows[field]["values"]):
            have = records[id].get(field)
            assert value == ({"state": "known", "value": have} if have is not None else {"state": "unknown"})
    flags = {row[9:] for row in rows if row.startswith("features.")}
    assert flags == {name for record in records.values() for name in record.get("features", {})}
    assert len(body["reasons"]) == 6
    for reason in body["reasons"]:
        for why in reason["why"]:
            if why["direction"] == "higher":
                assert why["value"] > why["other"]
        assert not {why["field"] for why in reason["why"]} & {row["field"] for row in reason["undecided"]}
    # A price a call says nothing of tokens, and one in euros nothing of dollars.
    verdict = [r["cost"] for r in body["reasons"] if r["id"] == models[0] and r["over"] == "zz-two-offers"][0]
    assert verdict == {"state": "unknown", "unknownFor": ["zz-two-offers"]}


def test_the_use_at_which_the_cheaper_changes_is_exact(server, models):
    usage = {"promptTokens": 1000, "completionTokens": 10}

    def verdict(left, right, counts):
        body = answer(server.post("/v1/compare", {"ids": [left, right], "usage": counts}))
        return body["reasons"][0]["cost"]

    for left, right in itertools.combinations(models, 2):
        now = verdict(left, right, usage)
        for flip in now["flips"]:
            other = right if now["cheaper"] == left else left
            above = flip.get("otherIsCheaperFrom")
            if above:
                # A thousand times as many are far from any rounding; one less has not turned.
                far = min(above * 1000, 10 ** 12)
                assert verdict(left, right, {**usage, flip["usageName"]: far})["cheaper"] == other
                assert verdict(left, right, {**usage, flip["usageName"]: above - 1})["cheaper"] != other
            below = flip.get("otherIsCheaperUpTo")
            if below:
                assert verdict(left, right, {**usage, flip["usageName"]: below // 2})["cheaper"] == other


@pytest.mark.parametrize("body, pointer", [
    ({}, "/ids"), ({"ids": ["a"]}, "/ids"), ({"ids": list("abcdef")}, "/ids"), ({"ids": ["a", "a"]}, "/ids"),
    ({"ids": "ab"}, "/ids"), ({"ids": ["a", "b"], "usage": {"tokens": 1}}, "/usage/tokens"),
    ({"ids": ["a", "b"], "usage": {"calls": -1}}, "/usage/calls"),
    ({"ids": ["a", "b"], "usage": {"calls": 10 ** 13}}, "/usage/calls"),
    ({"ids": ["a", "b"], "usage": {"months": 0}}, "/usage/months"), ({"ids": ["a", "b"], "more": 1}, "/more")])
def test_a_comparison_refuses_what_is_wrong(server, body, pointer):
    refusal = problem(server.post("/v1/compare", body), 422, "validation_failed")
    assert pointer in [error["pointer"] for error in refusal["errors"]]


def test_a_comparison_names_the_ids_that_nobody_may_see(server, models):
    refusal = problem(server.post("/v1/compare", {"ids": [models[0], "zz-draft", "none"]}), 404, "not_found")
    assert refusal["missing"] == ["zz-draft", "none"]


def test_costs_are_exact_for_low_expected_and_high_use(server, models):
    low, expected, high = 333, 1_234_567, 999_999_999_999
    usage = {"promptTokens": {"low": low, "expected": expected, "high": high}, "completionTokens": 77, "months": 3}
    body = answer(server.post("/v1/cost", {"ids": models, "usage": usage}))
    assert [service["id"] for service in body["services"]] == models and body["total"] == len(models)
    for service in body["services"]:
        record = answer(server.get("/v1/services/" + service["id"]))["service"]
        for offer, shown in zip(record["offers"], service["offers"]):
            for name, count in (("low", low), ("expected", expected), ("high", high)):
                want = expected_cost(offer, {"inputToken": count, "outputToken": 77}, months=3)
                assert shown["cost"][name]["amountNano"] == want
                assert sum(line["amountNano"] for line in shown["cost"][name]["lines"]) == want


def test_a_price_that_is_not_stated_is_unknown_and_not_nothing(server):
    body = answer(server.post("/v1/cost", {"ids": ["zz-two-offers", "zz-regions"], "usage": {"minutes": 5}}))
    two, none = body["services"]
    assert [offer["cost"]["expected"]["state"] for offer in two["offers"]] == ["unknown", "unknown"]
    assert two["offers"][0]["cost"]["expected"]["reasons"] == ["no price is stated for minutes"]
    assert two["cheapest"] == [] and none["offers"] == []
    calls = answer(server.post("/v1/cost", {"ids": ["zz-two-offers"], "usage": {"calls": 10}}))
    assert [(one["currency"], one["amountNano"]) for one in calls["services"][0]["cheapest"]] == [
        ("EUR", 20_000_000), ("USD", 90_000_000)]


def test_costs_of_the_hits_of_a_filter(server):
    body = answer(server.post("/v1/cost", {"filter": MODEL, "limit": 3, "usage": {"promptTokens": 1}}))
    assert len(body["services"]) == 3 and body["total"] == server.search(filter=MODEL)["total"]
    problem(server.post("/v1/cost", {"filter": "nothing = 1", "usage": {}}), 400, "filter_invalid")
    refusal = problem(server.post("/v1/cost", {"ids": ["a"], "q": "b", "usage": {}}), 422, "validation_failed")
    assert [error["pointer"] for error in refusal["errors"]] == ["/q"]
    problem(server.post("/v1/cost", {"ids": ["zz-two-offers"]}), 422, "validation_failed")


def test_suggestions_complete_names_words_and_values(server, rows):
    body = answer(server.get("/v1/suggest", params={"q": "zeta"}))
    assert [one["id"] for one in body["services"]] == ["zz-two-offers", "zz-regions"]
    assert {one["match"] for one in body["services"]} == {"start"}
    values = {(one["field"], one["value"]): one for one in body["values"]}
    assert values["provider", "Zeta Works"]["count"] == 2
    for value in answer(server.get("/v1/suggest", params={"q": "speech"}))["values"]:
        assert server.search(filter=value["filter"], limit=0)["total"] == value["count"]
    assert [one["id"] for one in answer(server.get("/v1/suggest", params={"q": "works zeta"}))["services"]] == []
    typo = answer(server.get("/v1/suggest", params={"q": "regoins"}))
    assert ("zz-regions", "typo") in [(one["id"], one["match"]) for one in typo["services"]]


@pytest.mark.parametrize("text", ["", "zeta draft", "<script>", "a" * 2000, "%25", "😀"])
def test_suggestions_never_show_a_draft_and_take_any_text(server, text):
    body = answer(server.get("/v1/suggest", params={"q": text, "limit": 4}))
    assert "zz-draft" not in {one["id"] for one in body["services"]}
    assert all(len(body[name]) <= 4 for name in ("queries", "services", "values"))


def test_suggestions_refuse_other_parameters(server):
    problem(server.get("/v1/suggest", params={"q": "a", "limit": 11}), 422, "validation_failed")
    problem(server.get("/v1/suggest", params={"query": "a"}), 422, "validation_failed")


def test_values_of_a_facet_are_found_by_what_is_typed(server):
    whole = server.search(facets=["categories"], facetLimit=200, filter="kind = model", limit=0)
    counts = {one["value"]: one["count"] for one in whole["facets"]["categories"]["values"]}
    body = answer(server.post("/v1/facets/search", {
        "field": "categories", "q": "model", "filter": "kind = model", "limit": 200}))
    assert body["total"] == whole["total"] and body["values"]
    for one in body["values"]:
        assert any(word.startswith("model") for word in one["value"].lower().replace("-", " ").split())
        assert counts[one["value"]] == one["count"]
    typo = answer(server.post("/v1/facets/search", {"field": "categories", "q": "resaoning"}))
    assert "Reasoning models" in [one["value"] for one in typo["values"]]
    for field in ("contextWindow", "nothing", "description", ""):
        problem(server.post("/v1/facets/search", {"field": field}), 422, "validation_failed")


def test_a_batch_answers_each_search_and_one_bad_one_spoils_nothing(server):
    searches = [{"q": "weather"}, {"filter": "nothing = 1"}, {"q": "speech", "limit": 3, "facets": ["kind"]},
                {"limit": 1000}, 7, {"cursor": "x"}]
    body = answer(server.post("/v1/search:batch", {"searches": searches}))
    assert [one["status"] for one in body["answers"]] == [200, 400, 200, 422, 400, 422]
    assert body["answers"][1]["problem"]["code"] == "filter_invalid"
    for place in (0, 2):
        alone = server.search(**searches[place])
        both = [dict(one) for one in (alone, body["answers"][place]["answer"])]
        for one in both:
            one.pop("took")
            one.pop("searchId")
        assert both[0] == both[1]
    assert {one["answer"]["asOf"] for one in body["answers"] if one["status"] == 200} == {body["asOf"]}
    for wrong in ({}, {"searches": []}, {"searches": [{}] * 21}, {"searches": {}}):
        problem(server.post("/v1/search:batch", wrong), 422, "validation_failed")


def test_the_ranking_is_disclosed(server):
    body = answer(server.get("/v1/ranking"))
    assert body["signals"]["text"]["fields"]["name"] > body["signals"]["text"]["fields"]["body"]
    assert set(body["signals"]["mix"]["vectorShare"]) == {"name", "keywords", "sentence", "task"}
    assert body["placements"]["shownMax"] == 2 and body["generation"] == server.search()["generation"]
    assert body == answer(server.get("/v1/ranking"))


def test_explained_hits_say_why_each_precedes_the_next(server):
    hits = server.search(q="speech to text", explain=True, limit=10)["hits"]
    for upper, lower in zip(hits, hits[1:]):
        why = upper["aboveNext"]
        assert why["over"] == lower["id"] and abs(why["by"] - (upper["score"] - lower["score"])) < 1e-5
    assert "aboveNext" not in hits[-1]


def test_a_sort_by_cost_needs_a_usage_and_puts_unknown_last(server):
    problem(server.post("/v1/providers/search", {"sort": ["cost"]}), 422, "validation_failed")
    usage = {"promptTokens": 3_000_000, "completionTokens": 1_000_000}
    hits = server.search(filter="kind = model", sort=["cost"], usage=usage, limit=100)["hits"]
    costs = [hit["cost"]["amountNano"] if hit.get("cost") else None for hit in hits]
    known = [cost for cost in costs if cost is not None]
    assert known == sorted(known) and costs[:len(known)] == known and known


def test_spreading_providers_changes_the_order_and_nothing_else(server):
    plain = server.search(q="chat model with vision", limit=50, facets=["kind"])
    spread = server.search(q="chat model with vision", limit=50, facets=["kind"], diversify="provider")
    assert plain["total"] == spread["total"] and plain["facets"] == spread["facets"]
    first = [[hit["service"]["provider"]["id"] for hit in one["hits"][:10]] for one in (plain, spread)]
    assert len(set(first[1])) >= len(set(first[0]))
    problem(server.post("/v1/providers/search", {"diversify": "price"}), 422, "validation_failed")


def test_a_placement_moves_a_hit_of_the_set_is_labelled_and_changes_no_count(server, admin, user):
    word = "zeta" + uuid.uuid4().hex[:8]
    id = "e2e-" + word
    path = "/v1/admin/placements/" + id
    body = {"kind": "sponsored", "serviceId": "zz-regions", "filter": 'provider = "Zeta Works"', "paid": True}
    before = server.search(filter='provider = "Zeta Works"', facets=["kind"])
    assert len(before["hits"]) >= 2
    last = before["hits"][-1]["id"]
    made = admin.put(path, {**body, "serviceId": last})
    assert made.status_code == 201 and made.json()["active"] is True, made.text
    try:
        after = server.search(filter='provider = "Zeta Works"', facets=["kind"])
        assert after["hits"][0]["id"] == last and after["hits"][0]["label"] == "sponsored"
        assert after["total"] == before["total"] and after["facets"] == before["facets"]
        assert all("label" not in hit for hit in after["hits"][1:])
        # It obeys filters: outside of the set it is not shown; and it belongs to no other search.
        none = server.search(filter='provider = "Zeta Works" AND NOT id = ' + last)
        assert last not in [hit["id"] for hit in none["hits"]]
        assert all("label" not in hit for hit in server.search(q="zeta")["hits"])
        walked, cursor = [], None
        while True:
            page = server.search(filter='provider = "Zeta Works"', limit=1, **({"cursor": cursor} if cursor else {}))
            walked += [hit["id"] for hit in page["hits"]]
            cursor = page["nextCursor"]
            if not cursor:
                break
        assert walked == [hit["id"] for hit in after["hits"]]
        assert path.rsplit("/", 1)[1] in [one["id"] for one in admin.get("/v1/admin/placements").json()["placements"]]
        problem(user.get("/v1/admin/placements"), 403, "forbidden")
        problem(server.get(path), 401, "unauthenticated")
    finally:
        assert admin.delete(path).status_code == 204
    problem(admin.delete(path), 404, "not_found")
    assert server.search(filter='provider = "Zeta Works"')["hits"] == before["hits"]


@pytest.mark.parametrize("changes, pointer", [
    ({"kind": "ad"}, "/kind"), ({"kind": "pin", "paid": True}, "/kind"), ({"serviceId": "zz-draft"}, "/serviceId"),
    ({"position": 0}, "/position"), ({"position": 11}, "/position"), ({"terms": []}, "/terms"),
    ({"terms": ["a"], "filter": "kind = api"}, "/filter"), ({"startsAt": "soon"}, "/startsAt"),
    ({"startsAt": "2031-01-02", "endsAt": "2031-01-01T00:00:00Z"}, "/endsAt"), ({"more": 1}, "/more")])
def test_a_placement_that_is_wrong_is_refused_with_its_field(admin, changes, pointer):
    body = {"kind": "pin", "serviceId": "zz-regions", **changes}
    refusal = problem(admin.put("/v1/admin/placements/e2e-wrong", body), 422, "validation_failed")
    assert pointer in [error["pointer"] for error in refusal["errors"]]
