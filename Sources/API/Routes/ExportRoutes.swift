internal import Authorization
internal import Chat
internal import HTTPServer
internal import Identity
internal import Ledger
internal import Payments
internal import Primitives
internal import SQLite
internal import Search
internal import Sessions
internal import Delivery

extension PrivacyRoutes {
  /// One JSON document, sent as it is read: however much there is, it takes up little memory and no long read.
  func export(_ context: Context) async throws -> Response {
    let id = try context.user()
    guard let user = try await services.accounts.user(id) else {
      throw Refusal(.tokenInvalid, "The account is gone.")
    }
    let head = try await profile(of: user)
    return Response(
      status: 200,
      headers: [
        (name: "Content-Type", value: "application/json"),
        (name: "Content-Disposition", value: "attachment; filename=\"waypost-export.json\""),
      ],
      body: .stream { writer in
        // A document that breaks off is no JSON: nobody can take it for the whole.
        try? await Export(services: services, user: user.id, writer: writer).send(after: head)
      })
  }

  private func profile(of user: User) async throws -> JSONObject {
    let devices = try await services.accounts.devices(of: user.id)
    let consents = try await services.accounts.consents(of: user.id)
    let keys = try await services.record.read {
      try services.accounts.apiKeyStore.keys(of: .user(user.id), limit: 1_000, on: $0)
    }
    let identities = try await services.record.read {
      try ExternalIdentityStore.identities(of: user.id, on: $0)
    }
    return [
      "exportedAt": .string(services.clock.now.rfc3339),
      "profile": IdentityRoutes(services: services).view(user),
      "consents": .array(
        consents.map { consent in
          [
            "purpose": .string(consent.purpose.rawValue), "granted": .bool(consent.isGranted),
            "at": .string(consent.at.rfc3339),
          ]
        }),
      "devices": .array(
        devices.map { login in
          [
            "id": .string(login.id.text), "client": .string(login.client),
            "startedAt": .string(login.startedAt.rfc3339),
            "usedAt": .string(login.usedAt.rfc3339),
          ]
        }),
      "apiKeys": .array(keys.map { .object(AccountRoutes.view($0)) }),
      "apps": .array(try await OAuthClientRoutes.apps(of: user.id, services)),
      "consentsToProviders": .array(try await ProviderHubRoutes.consents(of: user.id, services)),
      "identitiesElsewhere": .array(
        identities.map { found in
          [
            "source": .string(found.identity.source), "id": .string(found.identity.externalID),
            "linkedAt": .string(found.linkedAt.rfc3339),
          ]
        }),
    ]
  }
}

/// One export on its way out, a page of rows at a time.
private struct Export: Sendable {
  static let page = 100

  let services: Services
  let user: ID<UserKind>
  let writer: StreamWriter

  /// The client has left.
  struct Gone: Error {}

  func send(after head: JSONObject) async throws {
    var text = JSON.object(head).bytes
    text.removeLast()
    try put(text)
    try await list("sessions") { (last: ID<SessionKind>?) in
      let rows = try await services.sessions.sessions(
        of: .user(user), before: last, limit: Export.page)
      return (rows.map(JSON.object), Export.next(rows.last?["id"], rows.count))
    }
    try await list("proposals") { (last: ID<ProposalKind>?) in
      let rows = try await services.sessions.proposals(of: user, after: last, limit: Export.page)
      let next = rows.count == Export.page ? rows.last?.id : nil
      return (rows.map { JSON.object($0.json) }, next)
    }
    try await list("transfers") { (below: Int64?) in try await transfers(below: below) }
    try await list("purchases") { (last: ID<PurchaseKind>?) in
      let rows = try await services.payments.purchases(of: user, before: last, limit: Export.page)
      let next = rows.count == Export.page ? rows.last?.id : nil
      return (rows.map { JSON.object($0.json) }, next)
    }
    try await list("conversations") { (last: ID<ConversationKind>?) in
      try await conversations(before: last)
    }
    try await list("searches") { (below: Int64?) in try await searches(below: below) }
    try await list("webhookEvents") { (after: Int64?) in
      let page = try await services.record.read {
        try WebhookPersonStore.events(
          about: user.bytes, after: after ?? 0, limit: Export.page, on: $0)
      }
      return (page.rows, page.next)
    }
    try await list("webhookDeliveries") { (after: Int64?) in
      let page = try await services.record.read {
        try WebhookPersonStore.attempts(
          about: user.bytes, after: after ?? 0, limit: Export.page, on: $0)
      }
      return (page.rows, page.next)
    }
    try put(Array("}".utf8))
  }

  /// One member of the document: an array, page by page until there is no next place.
  private func list<Place>(
    _ name: String, _ read: (Place?) async throws -> (rows: [JSON], next: Place?)
  ) async throws {
    try put(Array(",\"\(name)\":[".utf8))
    var place: Place?
    var isFirst = true
    repeat {
      let (rows, next) = try await read(place)
      for row in rows {
        try put((isFirst ? [] : [UInt8(ascii: ",")]) + row.bytes)
        isFirst = false
      }
      place = next
      try Task.checkCancellation()
    } while place != nil
    try put(Array("]".utf8))
  }

  private func put(_ bytes: [UInt8]) throws {
    guard writer.write(bytes) else { throw Gone() }
  }

  private static func next<Kind>(_ id: JSON?, _ count: Int) -> ID<Kind>? {
    count == page ? id?.string.flatMap { ID<Kind>($0) } : nil
  }

  private func transfers(below: Int64?) async throws -> (rows: [JSON], next: Int64?) {
    let page = try await services.record.read {
      try LedgerStore.page(
        of: .user(user), below: below ?? Int64.max, limit: Export.page, on: $0)
    }
    let rows = page.entries.map { entry -> JSON in
      [
        "sequence": .int(entry.sequence), "id": .string(entry.id.text), "kind": .string(entry.kind),
        "amountMicrotokens": .int(entry.amount.count), "reason": .string(entry.reason),
        "at": .string(entry.at.rfc3339),
      ]
    }
    return (rows, page.next)
  }

  private func conversations(
    before last: ID<ConversationKind>?
  ) async throws -> (rows: [JSON], next: ID<ConversationKind>?) {
    let heads = try await services.chat.conversations(of: user, before: last, limit: Export.page)
    var rows: [JSON] = []
    for head in heads {
      guard let id = head["id"]?.string.flatMap({ ID<ConversationKind>($0) }) else { continue }
      do {
        rows.append(try await services.chat.conversation(id, user: user, secret: nil))
      } catch let refusal as Refusal where refusal.code == .notFound {
        // Deleted since the list was read.
      }
    }
    return (rows, Export.next(heads.last?["id"], heads.count))
  }

  private func searches(below: Int64?) async throws -> (rows: [JSON], next: Int64?) {
    let (rows, next) = try await services.record.read {
      try FeedbackStore.events(
        of: user.bytes, below: below ?? Int64.max, limit: Export.page, on: $0)
    }
    return (rows, next)
  }
}
