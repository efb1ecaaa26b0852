internal import HTTPServer
internal import Identity
internal import Payments
internal import Primitives
internal import Sessions

/// The pages that a browser comes back to: from the payment processor, and from a provider's app. They show their
/// owner how it stands, and nobody else anything.
struct ReturnRoutes: Sendable {
  /// How often a page looks again by itself for a payment to be confirmed, and every how many seconds.
  static let looksMax = 60
  static let lookSeconds = 5

  let services: Services

  var routes: [Route] {
    [
      Route(
        "GET", "/purchases/{purchaseId}", "how a purchase stands; a page", handler: purchase),
      Route("GET", "/sessions/{sessionId}", "how a session stands; a page", handler: session),
    ]
  }

  func purchase(_ context: Context) async throws -> Response {
    let id = ID<PurchaseKind>(context.parameter("purchaseId"))
    let checkout = context.request.query("checkout").flatMap(ReturnPages.Checkout.init(rawValue:))
    let path = "/purchases/" + (id?.text ?? "unknown")
    let query = checkout.map { "checkout=" + $0.rawValue }
    return try await owned(context, path, query) { user in
      guard let id else { throw Refusal(.notFound, "There is no such purchase.") }
      let found = try await services.payments.purchase(id, of: user)
      let look = try context.integer("look", default: 1, in: 1...ReturnRoutes.looksMax)
      let next = "\(path)?checkout=done&look=\(look + 1)"
      return ReturnPages.purchase(
        found, checkout, next: look < ReturnRoutes.looksMax ? next : nil)
    }
  }

  func session(_ context: Context) async throws -> Response {
    let id = ID<SessionKind>(context.parameter("sessionId"))
    return try await owned(context, "/sessions/" + (id?.text ?? "unknown"), nil) { user in
      guard let id else { throw Refusal(.notFound, "There is no such session.") }
      let found = try await services.sessions.session(id, for: .user(user))
      return ReturnPages.session(found)
    }
  }

  /// A page for the person who is signed in here. Whether there is something at its address is told to nobody else.
  private func owned(
    _ context: Context, _ path: String, _ query: String?,
    _ page: (ID<UserKind>) async throws -> Response
  ) async throws -> Response {
    let address = query.map { path + "?" + $0 } ?? path
    guard let person = try await BrowserLogin.read(context.request, services) else {
      if BrowserLogin.needsSecondLook(context.request) {
        return Page.again(address + (query == nil ? "?" : "&") + "again=1")
      }
      let elsewhere = OpenIDRoutes.start(returningTo: address)
      return ReturnPages.signIn(openID: services.openID == nil ? nil : elsewhere)
    }
    do {
      return try await page(person.user.id)
    } catch let refusal as Refusal where refusal.code == .notFound {
      return ReturnPages.nothing(email: person.user.email)
    }
  }
}
