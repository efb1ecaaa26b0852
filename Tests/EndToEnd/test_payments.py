"""Buying tokens: checkout, signed events, refunds, disputes. The processor is localstripe and a scripted server."""

import json
import threading
import time
import types
import uuid

import pytest

import harness
import processor
from browser import Browser, signed_in
from harness import Account, problem
from processor import deliver, event, signed
from test_user_events import Stream

TOKEN = 1_000_000
HOURLY = {
    "id": "zz-hourly", "name": "Zeta Hourly", "providerName": "Zeta Works", "kind": "app",
    "description": "An invented listing whose time is paid in tokens.", "categories": ["Test fixtures"], "tags": [],
    "redirectUris": ["https://zeta.example/start"],
    "offers": [{"id": "hourly", "name": "Hourly", "plan": "time", "tokenRatePerHour": 100}]}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A server that sells tokens at 2 cents, and what it buys from."""
    folder = tmp_path_factory.mktemp("payments")
    data = folder / "data"
    rows = harness.write_rows(folder / "few.jsonl", harness.read_rows(harness.SERVICES, 20) + [HOURLY])
    harness.cli("import", rows, "--data", data, "--no-embed")
    harness.add_user(data, "admin", "till@example.org")
    local = processor.LocalStripe(folder / "localstripe.log")
    till = processor.Processor(local)
    secrets = {"WAYPOST_STRIPE_KEY": processor.KEY, "WAYPOST_STRIPE_WEBHOOK_SECRET": processor.SECRET}
    try:
        with harness.Server(data, "--stripe-url", till.url, "--token-price", "2", env=secrets) as server:
            local.call("POST", "/_config/webhooks/ours", url=server.url + "/v1/payments/webhook",
                       secret=processor.SECRET)
            admin = Account.login(server, "till@example.org")
            yield types.SimpleNamespace(server=server, till=till, local=local, admin=admin, data=data)
    finally:
        till.close()
        local.close()


@pytest.fixture
def buyer(shop):
    return Account.register(shop.server)


def buy(account, tokens=100, key=None):
    answer = account.post("/v1/tokens/purchase", {"tokenAmount": tokens}, key=key or uuid.uuid4().hex)
    assert answer.status_code == 201, answer.text
    return answer.json()


def available(account):
    return account.get("/v1/tokens/balance").json()["availableMicrotokens"]


def paid(shop, account, tokens=100):
    """A purchase with its tokens."""
    purchase = buy(account, tokens)
    session = shop.till.pay(purchase["purchaseId"])
    answer = deliver(shop.server, event("checkout.session.completed", session))
    assert answer.status_code == 200 and answer.json() == {"received": True, "result": "applied"}, answer.text
    return purchase["purchaseId"]


def tell(shop, kind, thing):
    answer = deliver(shop.server, event(kind, thing))
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def state(account, purchase):
    answer = account.get("/v1/tokens/purchases/" + purchase)
    assert answer.status_code == 200, answer.text
    return answer.json()["state"]


def sound(shop):
    report = shop.admin.get("/v1/ledger/verify").json()
    assert report["sound"], report


def test_tokens_are_bought_and_paid_for(shop, buyer):
    before = len(shop.till.requests)
    purchase = buy(buyer, 250)
    assert purchase["amountMinor"] == 500 and purchase["currency"] == "eur" and purchase["tokenAmount"] == 250
    assert purchase["state"] == "open" and purchase["checkoutUrl"].startswith("https://checkout.example/")
    assert available(buyer) == 0
    (path, headers, form), = shop.till.requests[before:]
    name = purchase["purchaseId"]
    assert path == "/v1/checkout/sessions"
    assert headers["authorization"] == "Bearer " + processor.KEY
    assert headers["idempotency-key"] == name
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert headers["stripe-version"] == "2026-10-28.endive"
    back = f"{shop.server.url}/purchases/{name}?checkout="
    assert form == {
        "mode": "payment", "client_reference_id": name, "success_url": back + "done",
        "cancel_url": back + "cancelled", "line_items[0][quantity]": "1",
        "line_items[0][price_data][currency]": "eur", "line_items[0][price_data][unit_amount]": "500",
        "line_items[0][price_data][product_data][name]": "250 Waypost tokens", "adaptive_pricing[enabled]": "false",
        "metadata[purchaseId]": name, "payment_intent_data[metadata][purchaseId]": name}
    assert tell(shop, "checkout.session.completed", shop.till.pay(name)) == "applied"
    assert available(buyer) == 250 * TOKEN
    assert state(buyer, name) == "paid"
    moves = buyer.get("/v1/tokens/transactions").json()["transactions"]
    assert [(move["amountMicrotokens"], move["reason"]) for move in moves] == [(250 * TOKEN, "tokens bought")]
    sound(shop)


def shown(browser, purchase, query=""):
    page = browser.open(f"/purchases/{purchase}{query}")
    assert page.answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<script" not in page.text and "style=" not in page.text
    assert "default-src 'none'" in page.answer.headers["Content-Security-Policy"]
    return page


def test_the_page_after_the_checkout_says_how_it_stands(shop):
    mail = f"page{uuid.uuid4().hex[:8]}@example.org"
    buyer = Account.register(shop.server, mail)
    purchase = buy(buyer, 250)
    name = purchase["purchaseId"]
    browser = signed_in(Browser(shop.server), mail)
    page = shown(browser, name)
    assert page.status == 200 and "Nothing has been paid yet" in page.text and "5.00 EUR" in page.text
    assert f'href="{purchase["checkoutUrl"]}"' in page.text.replace("&amp;", "&")
    cancelled = shown(browser, name, "?checkout=cancelled")
    assert "Nothing was paid" in cancelled.text and "http-equiv" not in cancelled.text
    waiting = shown(browser, name, "?checkout=done")
    assert f'content="5; url=/purchases/{name}?checkout=done&amp;look=2"' in waiting.text
    assert "checkout.example" not in waiting.text, "who has paid is not asked to pay again"
    assert "http-equiv" not in shown(browser, name, "?checkout=done&look=60").text
    for look in ("9223372036854775807", "0", "61", "x"):
        problem(browser.open(f"/purchases/{name}?checkout=done&look={look}").answer, 422, "validation_failed")
    assert "in your account" not in waiting.text, "the address alone proves no payment"
    assert tell(shop, "checkout.session.completed", shop.till.pay(name)) == "applied"
    thanks = shown(browser, name, "?checkout=done")
    assert "You paid 5.00 EUR, and the 250 tokens are in your account." in thanks.text
    assert "http-equiv" not in thanks.text and "Pay now" not in thanks.text
    charge = shop.till.charge(name)
    assert tell(shop, "charge.refunded", {**charge, "amount_refunded": 200}) == "applied"
    assert "2.00 EUR went back to you" in shown(browser, name).text
    assert tell(shop, "charge.refunded", {**charge, "amount_refunded": 500}) == "applied"
    assert "Your money went back" in shown(browser, name).text
    left = buy(buyer)["purchaseId"]
    assert tell(shop, "checkout.session.expired", shop.till.session(left)) == "applied"
    assert "Nobody paid in time" in shown(browser, left, "?checkout=done").text


def test_the_page_of_a_purchase_is_its_buyers_alone(shop, buyer):
    name = paid(shop, buyer)
    for strange in (name, "0" * 26, "nothing", "%3Cscript%3E"):
        nobody = shown(Browser(shop.server), strange, "?checkout=done")
        assert nobody.status == 401 and "Sign in to see this" in nobody.text
        assert "EUR" not in nobody.text and "tokens" not in nobody.text
    mail = f"other{uuid.uuid4().hex[:8]}@example.org"
    Account.register(shop.server, mail)
    other = signed_in(Browser(shop.server), mail)
    missing = shown(other, "0" * 26)
    assert missing.status == 404 and shown(other, name).text == missing.text == shown(other, "nothing").text
    # The till is another site: the cookie comes along only from a page of our own.
    back = Browser(shop.server).open(f"/purchases/{name}?checkout=done", Sec_Fetch_Site="cross-site")
    assert f"url=/purchases/{name}?checkout=done&amp;again=1" in back.text and back.status == 200
    # A bearer is no browser.
    assert buyer.get("/purchases/" + name).status_code == 401


def test_a_purchase_is_in_the_export_and_its_tokens_in_the_stream(shop, buyer):
    stream = Stream(buyer)
    assert stream.next("balance")[0]["availableMicrotokens"] == 0
    name = paid(shop, buyer)
    assert stream.next("balance")[0]["availableMicrotokens"] == 100 * TOKEN
    stream.close()
    export = buyer.get("/v1/me/export").json()["purchases"]
    assert [(row["purchaseId"], row["state"], row["tokenAmount"]) for row in export] == [(name, "paid", 100)]
    assert buyer.get("/v1/tokens/purchases").json()["purchases"] == export
    assert Account.register(shop.server).get("/v1/me/export").json()["purchases"] == []


def test_one_key_is_one_purchase(shop, buyer):
    key = uuid.uuid4().hex
    body = {"tokenAmount": 100}
    first = buyer.post("/v1/tokens/purchase", body, key=key)
    again = buyer.post("/v1/tokens/purchase", body, key=key)
    assert first.status_code == 201 and again.content == first.content
    assert again.headers["Idempotent-Replayed"] == "true"
    problem(buyer.post("/v1/tokens/purchase", {"tokenAmount": 101}, key=key), 422, "idempotency_conflict")
    assert len(buyer.get("/v1/tokens/purchases").json()["purchases"]) == 1


def test_what_cannot_be_bought_is_refused(shop, buyer):
    for tokens in (99, 100_001, 0, -100, 1.5, "100", None, True):
        answer = buyer.post("/v1/tokens/purchase", {"tokenAmount": tokens}, key=uuid.uuid4().hex)
        assert problem(answer, 422, "validation_failed")["errors"][0]["pointer"] == "/tokenAmount"
    problem(buyer.post("/v1/tokens/purchase", {}, key="a"), 422, "validation_failed")
    problem(buyer.post("/v1/tokens/purchase", {"tokenAmount": 100, "price": 1}, key="b"), 422, "validation_failed")
    problem(buyer.post("/v1/tokens/purchase", {"tokenAmount": 100}), 400, "idempotency_key_required")
    anonymous = shop.server.post("/v1/tokens/purchase", {"tokenAmount": 100}, headers={"Idempotency-Key": "c"})
    problem(anonymous, 401, "unauthenticated")
    assert buyer.get("/v1/tokens/purchases").json()["purchases"] == []


def test_a_purchase_is_its_buyers_alone(shop, buyer):
    name = buy(buyer)["purchaseId"]
    other = Account.register(shop.server)
    problem(other.get("/v1/tokens/purchases/" + name), 404, "not_found")
    problem(other.get("/v1/admin/purchases"), 403, "forbidden")
    problem(other.get("/v1/admin/purchases/" + name), 403, "forbidden")
    problem(other.post(f"/v1/admin/purchases/{name}/refund", {}, key="a"), 403, "forbidden")
    problem(other.get("/v1/admin/payment-events"), 403, "forbidden")
    problem(other.get("/v1/admin/chargebacks"), 403, "forbidden")
    problem(buyer.get("/v1/tokens/purchases/" + "0" * 26), 404, "not_found")
    assert shop.admin.get("/v1/admin/purchases/" + name).json()["purchaseId"] == name


@pytest.mark.parametrize("failure", ["drop", 402, 429, 500, 503, 401, 400])
def test_a_failing_processor_leaves_nothing_half_done(shop, buyer, failure):
    key = uuid.uuid4().hex
    shop.till.fail(failure, failure)
    before = len(shop.till.requests)
    for _ in range(2):
        answer = buyer.post("/v1/tokens/purchase", {"tokenAmount": 100}, key=key)
        problem(answer, 503, "payments_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    assert shop.till.failures == []
    made = buy(buyer, 100, key)
    own = buyer.get("/v1/tokens/purchases").json()["purchases"]
    assert [one["purchaseId"] for one in own] == [made["purchaseId"]]
    keys = [headers["idempotency-key"] for _, headers, _ in shop.till.requests[before:]]
    assert len(keys) == 3 and keys[0] == made["purchaseId"]
    # Under a key that has failed for good the processor would repeat its failure for a day.
    assert (len(set(keys)) == 1) == (failure not in (402, 500, 503))
    assert all(one.startswith(made["purchaseId"]) for one in keys)


def test_an_event_counts_once(shop, buyer):
    purchase = buy(buyer)["purchaseId"]
    what = event("checkout.session.completed", shop.till.pay(purchase))
    results = []

    def send():
        answer = deliver(shop.server, what)
        results.append((answer.status_code, answer.json()["result"]))

    threads = [threading.Thread(target=send) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [(200, "applied")] + [(200, "repeated")] * 11
    twin = event("checkout.session.completed", shop.till.session(purchase))
    assert deliver(shop.server, twin).json()["result"] == "applied"
    assert available(buyer) == 100 * TOKEN
    sound(shop)


def test_forged_and_stale_events_are_refused(shop, buyer):
    purchase = buy(buyer)["purchaseId"]
    body = json.dumps(event("checkout.session.completed", shop.till.pay(purchase)), ensure_ascii=False)
    now = int(time.time())
    good = signed(body)
    forged = [
        deliver(shop.server, body, secret="whsec_other"), deliver(shop.server, body + " ", header=good),
        deliver(shop.server, body, header=""), deliver(shop.server, body, header="t=1"),
        deliver(shop.server, body, header=good.replace("v1=", "v0=")),
        deliver(shop.server, body, header=good.replace("v1=", "v1=0")),
        deliver(shop.server, body, header=f"t={now}," + good),
        # stripe's own library takes any time ahead; the specification does not.
        deliver(shop.server, body, at=now + 310), deliver(shop.server, body, at=now - 310)]
    for answer in forged:
        problem(answer, 400, "signature_invalid")
    problem(shop.server.post("/v1/payments/webhook", json.loads(body)), 400, "signature_invalid")
    problem(deliver(shop.server, "{"), 400, "malformed_json")
    problem(deliver(shop.server, "{}"), 422, "validation_failed")
    assert available(buyer) == 0 and state(buyer, purchase) == "open"
    both = good + ",v1=" + "0" * 64
    assert deliver(shop.server, body, header=both).json()["result"] == "applied"
    assert available(buyer) == 100 * TOKEN


def test_a_body_may_have_256_kb(shop):
    small = json.dumps(event("invoice.paid", {"id": "in_1", "text": "x" * 200_000}))
    assert deliver(shop.server, small).json() == {"received": True, "result": "ignored"}
    large = json.dumps(event("invoice.paid", {"id": "in_1", "text": "x" * 262_144}))
    problem(deliver(shop.server, large), 413, "body_too_large")
    unsigned = shop.server.post("/v1/payments/webhook", {"text": "x" * 70_000})
    problem(unsigned, 401, "unauthenticated")


def test_localstripes_own_events_are_taken_and_left_alone(shop, buyer):
    paid(shop, buyer)
    assert shop.local.delivered("payment_intent.succeeded"), shop.local.log.read_text()[-2000:]
    assert available(buyer) == 100 * TOKEN


def test_a_mismatch_moves_nothing_and_is_shown_to_the_operator(shop, buyer):
    purchase = buy(buyer)["purchaseId"]
    session = shop.till.pay(purchase)
    for change in ({"amount_total": 199}, {"amount_total": 201}, {"currency": "usd"}):
        assert tell(shop, "checkout.session.completed", {**session, **change}) == "recorded"
    assert available(buyer) == 0 and state(buyer, purchase) == "open"
    flagged = shop.admin.get("/v1/admin/purchases?flagged=1").json()["purchases"]
    assert purchase in [one["purchaseId"] for one in flagged]
    events = shop.admin.get("/v1/admin/payment-events?outcome=mismatch").json()["events"]
    assert len([one for one in events if one["purchaseId"] == purchase]) == 3
    assert shop.admin.post(f"/v1/admin/purchases/{purchase}/unflag", {}).json()["flag"] is None
    assert tell(shop, "checkout.session.completed", session) == "applied"
    assert available(buyer) == 100 * TOKEN


def test_a_refund_by_an_admin_takes_the_share_back(shop, buyer):
    purchase = paid(shop, buyer)
    path = f"/v1/admin/purchases/{purchase}/refund"
    shop.till.fail(500)
    body = {"amountMinor": 50, "reason": "asked for"}
    problem(shop.admin.post(path, body, key="one"), 503, "payments_unavailable")
    first = shop.admin.post(path, body, key="one")
    assert first.status_code == 201, first.text
    refund = first.json()
    assert refund["amountMinor"] == 50 and refund["state"] == "accepted" and refund["processorId"].startswith("re_")
    assert shop.admin.post(path, body, key="one").content == first.content
    problem(shop.admin.post(path, {"amountMinor": 60}, key="one"), 422, "idempotency_conflict")
    (_, headers, form), = [one for one in shop.till.requests if one[0] == "/v1/refunds"][-1:]
    assert headers["idempotency-key"] == refund["refundId"] == form["metadata[refundId]"]
    assert form["amount"] == "50" and form["payment_intent"] == shop.till.session(purchase)["payment_intent"]
    assert available(buyer) == 100 * TOKEN, "only the event moves units"
    charge = shop.till.charge(purchase)
    assert charge["amount_refunded"] == 50
    assert tell(shop, "charge.refunded", charge) == "applied"
    assert available(buyer) == 75 * TOKEN and state(buyer, purchase) == "partially_refunded"
    problem(shop.admin.post(path, {"amountMinor": 151}, key="two"), 422, "exceeds_capture")
    assert shop.admin.post(path, {}, key="three").json()["amountMinor"] == 150
    assert tell(shop, "charge.refunded", shop.till.charge(purchase)) == "applied"
    assert available(buyer) == 0 and state(buyer, purchase) == "refunded"
    detail = shop.admin.get("/v1/admin/purchases/" + purchase).json()
    assert [one["state"] for one in detail["refunds"]] == ["accepted", "accepted"]
    assert len(detail["events"]) == 3 and detail["clawedMicrotokens"] == 100 * TOKEN
    problem(shop.admin.post(f"/v1/admin/purchases/{buy(buyer)['purchaseId']}/refund", {}, key="four"),
            409, "invalid_transition")
    sound(shop)


def test_events_before_their_purchase_is_paid_wait(shop, buyer):
    purchase = buy(buyer)["purchaseId"]
    session = shop.till.pay(purchase)
    charge = {**shop.till.charge(purchase), "amount_refunded": 40}
    assert tell(shop, "charge.refunded", charge) == "waiting"
    assert tell(shop, "charge.dispute.created", shop.till.dispute(purchase, amount=60)) == "waiting"
    assert tell(shop, "charge.dispute.funds_withdrawn", shop.till.dispute(purchase, amount=60)) == "waiting"
    assert available(buyer) == 0
    assert tell(shop, "checkout.session.completed", session) == "applied"
    assert available(buyer) == 50 * TOKEN and state(buyer, purchase) == "charged_back"
    sound(shop)


def test_a_dispute_that_is_won_gives_everything_back(shop, buyer):
    purchase = paid(shop, buyer)
    assert tell(shop, "charge.dispute.created", shop.till.dispute(purchase)) == "applied"
    assert available(buyer) == 100 * TOKEN and state(buyer, purchase) == "disputed"
    assert tell(shop, "charge.dispute.funds_withdrawn", shop.till.dispute(purchase)) == "applied"
    assert available(buyer) == 0 and state(buyer, purchase) == "charged_back"
    assert tell(shop, "charge.dispute.funds_reinstated", shop.till.dispute(purchase, "won")) == "applied"
    assert tell(shop, "charge.dispute.closed", shop.till.dispute(purchase, "won")) == "applied"
    assert available(buyer) == 100 * TOKEN and state(buyer, purchase) == "paid"
    sound(shop)


def test_tokens_that_are_reserved_when_a_dispute_comes_are_owed(shop, buyer):
    purchase = paid(shop, buyer)
    wish = {"serviceId": "zz-hourly", "offerId": "hourly", "kind": "paid", "durationMinutes": 60, "maxTokens": 100}
    proposal = buyer.post("/v1/proposals", wish, key=uuid.uuid4().hex)
    assert proposal.status_code == 201, proposal.text
    confirmed = buyer.confirm(proposal.json()["id"])
    assert confirmed.status_code == 201, confirmed.text
    held = buyer.get("/v1/tokens/balance").json()["heldMicrotokens"]
    assert 0 < held <= 100 * TOKEN
    assert tell(shop, "charge.dispute.funds_withdrawn", shop.till.dispute(purchase)) == "applied"
    assert available(buyer) == 0
    problem(buyer.post("/v1/tokens/purchase", {"tokenAmount": 100}, key="more"), 409, "account_frozen")
    again = buyer.post("/v1/proposals", wish, key=uuid.uuid4().hex)
    if again.status_code == 201:
        again = buyer.confirm(again.json()["id"])
    problem(again, 409, "account_frozen")
    detail = shop.admin.get("/v1/admin/purchases/" + purchase).json()
    assert detail["owedMicrotokens"] == held
    debtors = {one["userId"]: one for one in shop.admin.get("/v1/admin/chargebacks").json()["users"]}
    debtor = debtors[detail["userId"]]
    assert debtor["owedMicrotokens"] == held and debtor["frozenAt"]
    sound(shop)
    assert buyer.delete("/v1/sessions/" + confirmed.json()["id"]).ok
    path = f"/v1/admin/chargebacks/{detail['userId']}/settle"
    settled = shop.admin.post(path, {}, key="settle")
    assert settled.status_code == 200, settled.text
    assert settled.json()["collectedMicrotokens"] == held and settled.json()["forgivenMicrotokens"] == 0
    assert buy(buyer)["state"] == "open"
    assert available(buyer) == 0
    sound(shop)


def test_tokens_that_are_reserved_when_a_refund_comes_are_not_spent_again(shop, buyer):
    purchase = paid(shop, buyer)
    wish = {"serviceId": "zz-hourly", "offerId": "hourly", "kind": "paid", "durationMinutes": 60, "maxTokens": 100}

    def start():
        proposal = buyer.post("/v1/proposals", wish, key=uuid.uuid4().hex)
        assert proposal.status_code == 201, proposal.text
        return buyer.confirm(proposal.json()["id"])

    session = start().json()
    refund = shop.admin.post(f"/v1/admin/purchases/{purchase}/refund", {"reason": "asked for"}, key=uuid.uuid4().hex)
    assert refund.status_code == 201, refund.text
    assert tell(shop, "charge.refunded", shop.till.charge(purchase)) == "applied"
    assert buyer.delete("/v1/sessions/" + session["id"]).ok
    problem(start(), 402, "insufficient_funds")
    sound(shop)


def test_purchases_outlive_a_kill(shop, buyer):
    purchase = buy(buyer)["purchaseId"]
    session = shop.till.pay(purchase)
    what = event("checkout.session.completed", session)
    assert deliver(shop.server, what).json()["result"] == "applied"
    shop.server.kill()
    shop.server.start()
    assert deliver(shop.server, what).json()["result"] == "repeated"
    # The address has changed, and with it the issuer of tokens.
    shop.admin = Account.login(shop.server, "till@example.org")
    assert shop.admin.get("/v1/admin/purchases/" + purchase).json()["creditedMicrotokens"] == 100 * TOKEN
    sound(shop)


def test_no_secret_and_no_person_is_in_a_log_or_the_record(shop):
    shop.server.stop()
    log = shop.server.log()
    record = b"".join(path.read_bytes() for path in shop.data.glob("record.db*"))
    for secret in (processor.KEY, processor.SECRET):
        assert secret not in log and secret.encode() not in record
    for person in ("payer@example.org", "Pat Payer"):
        assert person not in log and person.encode() not in record
    assert "/v1/payments/webhook" in log
    shop.server.start()


def test_without_a_key_nothing_is_sold(small):
    with harness.Server(small) as server:
        buyer = Account.register(server)
        problem(buyer.post("/v1/tokens/purchase", {"tokenAmount": 100}, key="a"), 409, "purchases_not_offered")
        problem(deliver(server, "{}"), 409, "purchases_not_offered")
        assert buyer.get("/v1/tokens/purchases").json() == {"purchases": [], "next": None}


@pytest.mark.parametrize("flags, secrets, word", [
    ([], {"WAYPOST_STRIPE_KEY": "sk_test_1"}, "WAYPOST_STRIPE_WEBHOOK_SECRET"),
    (["--stripe-url", "http://processor.example"],
     {"WAYPOST_STRIPE_KEY": "sk_test_1", "WAYPOST_STRIPE_WEBHOOK_SECRET": "whsec_1"}, "https"),
    (["--token-currency", "euro"],
     {"WAYPOST_STRIPE_KEY": "sk_test_1", "WAYPOST_STRIPE_WEBHOOK_SECRET": "whsec_1"}, "--token-currency"),
])
def test_half_a_setting_is_refused_at_the_start(small, flags, secrets, word):
    done = harness.cli("serve", "--data", small, "--port", "0", *flags, env=secrets, check=False)
    assert done.returncode != 0 and word in done.stderr
    assert "sk_test_1" not in done.stderr
