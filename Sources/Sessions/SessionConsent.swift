public import Identity
public import Primitives
internal import Prompts
internal import SQLite

/// What a provider would know of a person, as the person is asked before a session with it (specification core, H3).
public struct ConsentQuestion: Sendable {
  /// Who would know it.
  public let providerID: String
  /// Its name.
  public let providerName: String
  /// What is asked for, in the order of asking; with what was allowed before and is not asked for any more.
  public let scopes: [ProviderScope]
  /// What is allowed now; empty where nothing was said, or all was taken back.
  public let granted: Set<ProviderScope>
  /// Since when, or nil.
  public let givenAt: Timestamp?

  static func read(
    of user: ID<UserKind>, to provider: String, on connection: Connection
  ) throws -> ConsentQuestion {
    let known = try ProviderConsentStore.consent(of: user, to: provider, on: connection)
    let isInForce = known.map { $0.withdrawnAt == nil } ?? false
    let granted = isInForce ? known?.scopes ?? [] : []
    let asked = try ProviderConsentStore.asked(by: provider, on: connection)
    let name = try connection.first(
      "SELECT name FROM provider WHERE id = ?", [.text(provider)]
    ) { $0.text(0) }
    return ConsentQuestion(
      providerID: provider, providerName: name ?? provider,
      scopes: ProviderScope.allCases.filter { asked.contains($0) || granted.contains($0) },
      granted: granted, givenAt: isInForce ? known?.givenAt : nil)
  }

  /// Whether a session cannot start without something being allowed that is not yet.
  public var isOpen: Bool { scopes.contains { $0.isRequired && !granted.contains($0) } }

  /// As the person, or the program that shows it, gets it.
  public var json: JSON {
    let rows = scopes.map { scope -> JSON in
      [
        "name": .string(scope.rawValue), "description": .string(Words.shipped[scope]),
        "required": .bool(scope.isRequired), "granted": .bool(granted.contains(scope)),
      ]
    }
    return [
      "providerId": .string(providerID), "providerName": .string(providerName),
      "needed": .bool(isOpen), "scopes": .array(rows), "givenAt": .optional(givenAt?.rfc3339),
    ]
  }

  /// The question in a sentence or two, or nil where nothing is left to ask.
  public var text: String? {
    guard isOpen else { return nil }
    let words = Words.shipped
    let required = scopes.filter(\.isRequired)
    let optional = scopes.filter { !$0.isRequired && !granted.contains($0) }
    return words.fill(
      optional.isEmpty ? "firstRequired" : "first",
      [
        ("{provider}", providerName), ("{required}", words.list(required)),
        ("{optional}", words.list(optional)),
      ])
  }

  /// The texts, from `Prompts/consent.json`. One that is missing shows its key, so that tests see it.
  private struct Words {
    static let shipped = Words()
    private let texts = (try? JSON.parse(Array(PromptFiles.consent.utf8))) ?? [:]

    subscript(scope: ProviderScope) -> String { texts[scope.rawValue]?.string ?? scope.rawValue }

    func list(_ scopes: [ProviderScope]) -> String {
      scopes.map { texts["names"]?[$0.rawValue]?.string ?? $0.rawValue }
        .joined(separator: texts["and"]?.string ?? ", ")
    }

    func fill(_ key: String, _ slots: [(name: String, value: String)]) -> String {
      // The name is a provider's own choice: it goes in last, where nothing is looked for any more.
      slots.reversed().reduce(texts[key]?.string ?? key) {
        $0.replacing($1.name, with: $1.value)
      }
    }
  }
}

/// What is said to that question with the start of a session.
public struct ConsentAnswer: Sendable {
  /// Everything that the provider may know from now on; nil leaves it as it was, with what a session needs.
  public let scopes: Set<ProviderScope>?
  /// Whether a program says so, and not its person: it cannot allow more than a session needs, nor undo a withdrawal.
  public let isOfProgram: Bool
  /// Who is answerable.
  public let author: AuditLog.Author

  /// An answer; without more, as a person gives it who only starts the session.
  public init(
    scopes: Set<ProviderScope>? = nil, isOfProgram: Bool = false, author: AuditLog.Author = .system
  ) {
    self.scopes = scopes
    self.isOfProgram = isOfProgram
    self.author = author
  }

  /// - Parameter listed: The scopes that the person was asked about.
  /// - Throws: `Refusal` `forbidden`, `validation_failed`.
  func requireSound(among listed: [ProviderScope]) throws(Refusal) {
    guard let scopes else { return }
    guard !isOfProgram || scopes.allSatisfy(\.isRequired) else {
      throw Refusal(.forbidden, "Only a person who has signed in allows a provider to know more.")
    }
    let needed = Set(ProviderScope.allCases.filter(\.isRequired))
    guard scopes.isSuperset(of: needed), scopes.isSubset(of: listed) else {
      let names = listed.map(\.rawValue).joined(separator: ", ")
      throw Refusal(
        .validationFailed, "This cannot be allowed.",
        fields: [
          .init("/consentScopes", "must be some of \(names), and have session_access")
        ])
    }
  }

  /// Writes down what the provider may know, in the transaction that starts the session.
  /// - Throws: `Refusal` `forbidden` where a program would undo what its person has taken back.
  func write(
    of user: ID<UserKind>, to provider: String, at now: Timestamp, on connection: Connection
  ) throws {
    let known = try ProviderConsentStore.consent(of: user, to: provider, on: connection)
    let isWithdrawn = known.map { $0.withdrawnAt != nil } ?? false
    guard !isOfProgram || !isWithdrawn else {
      throw Refusal(
        .forbidden, "You have withdrawn your consent to this provider: sign in to give it again.")
    }
    let kept = isWithdrawn ? [] : known?.scopes ?? []
    let asIs = kept.union(ProviderScope.allCases.filter(\.isRequired))
    // A program narrows nothing either: what its person allowed is the person's to take back.
    let wanted = isOfProgram ? asIs : scopes ?? asIs
    _ = try ProviderConsentStore.give(
      wanted, to: provider, of: user, by: author, at: now, on: connection)
  }
}
