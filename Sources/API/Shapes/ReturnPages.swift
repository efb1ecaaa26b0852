internal import HTTPServer
internal import Payments
internal import Primitives

/// The words of the pages that a browser comes back to.
enum ReturnPages {
  /// How the browser left the payment processor's till, as its address says; it proves nothing.
  enum Checkout: String {
    case done, cancelled
  }

  static func signIn(openID: String?) -> Response {
    let other = openID.map {
      "<p><a href=\"\(Page.escaped($0))\">Sign in with your organisation's account</a></p>"
    }
    return Page.response(
      "Sign in to see this",
      """
      <p>This page is shown to the person it belongs to. You are not signed in to Waypost in this
      browser, or your sign-in has ended. Sign in, then open this page again.</p>
      <p>What you paid or started goes on without this page.</p>
      \(other ?? "")
      """, status: 401)
  }

  static func nothing(email: String) -> Response {
    Page.response(
      "There is nothing of yours here",
      "<p>You are signed in as \(Page.escaped(email)). This account has nothing at this address.</p>",
      status: 404)
  }

  // MARK: A purchase

  /// - Parameter next: The address to look at again while a payment is not confirmed yet; nil where it has been looked
  ///   at often enough.
  static func purchase(_ purchase: Purchase, _ checkout: Checkout?, next: String?) -> Response {
    let isUnpaid = [.created, .open].contains(purchase.state)
    let waits = isUnpaid && checkout == .done
    let (title, words) =
      isUnpaid ? unpaid(checkout, looksAgain: next != nil) : settled(purchase)
    var body = "<p>\(Page.escaped(words))</p>\n"
    if isUnpaid, !waits, let link = purchase.checkoutURL {
      body += "<p><a href=\"\(Page.escaped(link))\" rel=\"noreferrer\">Pay now</a></p>\n"
    }
    let price = PriceText.text(purchase.amountMinor, purchase.currency)
    var rows = [("Tokens", String(purchase.tokenAmount)), ("Price", price)]
    if purchase.refundedMinor > 0 {
      rows.append(("Given back", PriceText.text(purchase.refundedMinor, purchase.currency)))
    }
    rows += [("Ordered", purchase.createdAt.rfc3339), ("Number", purchase.id.text)]
    body += Page.facts(rows.map { (name: $0.0, value: $0.1) })
    let again = waits ? next.map { Page.refresh(to: $0, seconds: ReturnRoutes.lookSeconds) } : nil
    return Page.response(title, body, head: again ?? "")
  }

  private static func unpaid(
    _ checkout: Checkout?, looksAgain: Bool
  ) -> (title: String, words: String) {
    switch checkout {
    case .done where looksAgain:
      (
        "Waiting for your payment",
        "The payment processor has not confirmed your payment yet. This page looks again every few seconds."
      )
    case .done:
      (
        "Waiting for your payment",
        "The payment processor has not confirmed your payment yet. Open this page again later: the tokens come when it has."
      )
    case .cancelled:
      ("You left the checkout", "Nothing was paid, and nothing was bought.")
    case nil:
      ("Waiting for your payment", "Nothing has been paid yet.")
    }
  }

  private static func settled(_ purchase: Purchase) -> (title: String, words: String) {
    let price = PriceText.text(purchase.amountMinor, purchase.currency)
    let tokens = "\(purchase.tokenAmount) tokens"
    switch purchase.state {
    case .created, .open: return unpaid(nil, looksAgain: false)
    case .processing:
      return (
        "Your payment is on its way",
        "With this means of payment it can take days. The \(tokens) come when it is certain."
      )
    case .paid: return ("Thank you", "You paid \(price), and the \(tokens) are in your account.")
    case .failed: return ("The payment failed", "Nothing was paid, and nothing was bought.")
    case .expired:
      return ("This purchase has ended", "Nobody paid in time, and nothing was bought.")
    case .partiallyRefunded:
      return (
        "Part of your money went back",
        "Of the \(price) that you paid, \(PriceText.text(purchase.refundedMinor, purchase.currency)) went back to you, and the same share of the tokens was taken back."
      )
    case .refunded:
      return (
        "Your money went back",
        "The \(price) that you paid went back to you, and the \(tokens) were taken back."
      )
    case .disputed:
      return ("This payment is disputed", "The tokens stay until the dispute has been decided.")
    case .chargedBack:
      return (
        "This payment was charged back",
        "A dispute took the money back, and the tokens with it. What is missing is owed."
      )
    }
  }

  // MARK: A session

  /// How a session went: minutes and tokens used, and who paid (specification core, T8).
  ///
  /// - Parameter session: As its user sees it.
  static func session(_ session: JSONObject) -> Response {
    let state = session["state"]?.string ?? ""
    let isPaid = session["paidBy"] == "user"
    func tokens(_ name: String) -> String {
      Microtokens(session[name]?.int ?? 0).tokens + " tokens"
    }
    let seconds = session["activeSeconds"]?.int ?? 0
    var rows = [
      ("Service", session["serviceId"]?.string ?? ""),
      ("Time used", "\(seconds / 60) min \(seconds % 60) s"),
      ("Tokens used", tokens("chargedMicrotokens")),
      ("Paid by", isPaid ? "you" : "the platform; you paid 0 tokens"),
    ]
    let refunded = session["refundedMicrotokens"]?.int ?? 0
    if refunded > 0 { rows.append(("Given back later", tokens("refundedMicrotokens"))) }
    let isOver = ["completed", "failed", "expired"].contains(state)
    if isOver {
      let whose = isPaid ? " to you" : " to the platform"
      rows.append(("Not used, gone back", tokens("releasedMicrotokens") + whose))
    }
    rows.append(("Number", session["id"]?.string ?? ""))
    return Page.response(
      title(of: state),
      "<p>\(Page.escaped(words(of: session["reason"]?.string, state)))</p>\n"
        + Page.facts(rows.map { (name: $0.0, value: $0.1) }))
  }

  private static func title(of state: String) -> String {
    switch state {
    case "completed": "Your session is over"
    case "failed": "Your session broke off"
    case "expired": "Your session has ended"
    case "paused": "Your session is paused"
    case "active": "Your session is running"
    default: "Your session has not begun"
    }
  }

  private static func words(of reason: String?, _ state: String) -> String {
    switch reason {
    case "user": "You ended it."
    case "provider": "The provider's app ended it."
    case "time_limit": "Its time was used up."
    case "provider_refused": "The provider's app did not take it."
    case "provider_error": "The provider's app reported a fault."
    case "tokens_depleted": "What you had reserved was used up."
    case "abandoned": "Nothing happened in it for half an hour."
    case "revoked": "It was taken back."
    case "wall_clock_cap": "A day had passed since it began."
    case "not_redeemed": "The provider's app did not begin it in time."
    case "idle": "Nothing happened in it for two minutes; it goes on when you do."
    case "manual": "It costs nothing while it rests."
    default: state == "active" ? "What you use is counted." : ""
    }
  }
}

/// Money of payments in words.
enum PriceText {
  /// Currencies without a minor unit, and those with a thousand, as the payment processor counts them.
  private static let whole: Set<String> = [
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv",
    "xaf", "xof", "xpf",
  ]
  private static let thousandths: Set<String> = ["bhd", "jod", "kwd", "omr", "tnd"]

  /// An amount in the minor unit, such as `2.00 EUR`.
  static func text(_ amountMinor: Int64, _ currency: String) -> String {
    let places = whole.contains(currency) ? 0 : thousandths.contains(currency) ? 3 : 2
    let digits = String(amountMinor)
    let padded = String(repeating: "0", count: max(0, places + 1 - digits.count)) + digits
    let number =
      places == 0 ? padded : padded.dropLast(places) + "." + padded.suffix(places)
    return number + " " + currency.uppercased()
  }
}
