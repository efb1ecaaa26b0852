public import Identity
public import Primitives

/// A program of a third party.
public struct OAuthClient: Sendable, Equatable {
  /// The id; for a client that describes itself, the https address of its document.
  public let id: String
  /// What people see, in one line.
  public let name: String
  /// Where it may be returned to.
  public let redirectURIs: [String]
  /// The most that it may ask for.
  public let scopes: Set<Scope>
  /// Whether it proves itself with a secret.
  public let isConfidential: Bool
  /// When it was registered; nil where it describes itself.
  public let createdAt: Timestamp?

  /// A client.
  public init(
    id: String, name: String, redirectURIs: [String], scopes: Set<Scope> = Scope.ofPeople,
    isConfidential: Bool = false, createdAt: Timestamp? = nil
  ) {
    self.id = id
    self.name = name
    self.redirectURIs = redirectURIs
    self.scopes = scopes
    self.isConfidential = isConfidential
    self.createdAt = createdAt
  }

  /// Whether the id is the address of a document (Client ID Metadata Documents).
  public var isDescribedByItself: Bool { OAuthClient.isDocument(id) }

  /// Whether an id can only be the address of a document: ids that we give out have no colon.
  static func isDocument(_ id: String) -> Bool { id.contains(":") }

  /// A client as its operator wants it.
  public struct Draft: Sendable {
    /// What people see.
    public var name: String
    /// Where it may be returned to; 1 to 20.
    public var redirectURIs: [String]
    /// The most that it may ask for.
    public var scopes: Set<Scope>
    /// Whether it can keep a secret: a server can, a program on people's machines cannot.
    public var isConfidential: Bool

    /// A draft.
    public init(
      name: String, redirectURIs: [String], scopes: Set<Scope> = Scope.ofPeople,
      isConfidential: Bool = false
    ) {
      self.name = name
      self.redirectURIs = redirectURIs
      self.scopes = scopes
      self.isConfidential = isConfidential
    }

    /// - Throws: `Refusal` `validation_failed` with every field at fault.
    func check() throws(Refusal) {
      var faults: [Refusal.Field] = []
      if !ClientName.isSound(name) {
        faults.append(.init("/name", "must be one line of 1 to 100 characters"))
      }
      if !(1...OAuthClient.redirectCountMax).contains(redirectURIs.count) {
        faults.append(
          .init("/redirectUris", "must be 1 to \(OAuthClient.redirectCountMax) addresses"))
      }
      for (index, text) in redirectURIs.enumerated() where !RedirectURI.isAcceptable(text) {
        faults.append(
          .init("/redirectUris/\(index)", "must be https, or http on loopback, without fragment"))
      }
      if scopes.isEmpty || !Scope.ofPeople.isSuperset(of: scopes) {
        let words = Scope.ofPeople.map(\.rawValue).sorted().joined(separator: ", ")
        faults.append(.init("/scopes", "must be some of \(words)"))
      }
      guard faults.isEmpty else {
        throw Refusal(.validationFailed, "The client is not valid.", fields: faults)
      }
    }
  }

  /// Addresses of one client.
  static let redirectCountMax = 20
}

/// Names of clients: people decide by them, so nothing in one may look like something else.
enum ClientName {
  static func isSound(_ text: String) -> Bool {
    (1...100).contains(text.unicodeScalars.count) && text.unicodeScalars.allSatisfy(isPlain)
      && text.unicodeScalars.contains { $0 != " " }
  }

  private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
      .paragraphSeparator:
      false
    default: true
    }
  }
}
