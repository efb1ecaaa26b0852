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
  /// Whether it proves who it is: with its secret, or with `keySet`.
  public let isConfidential: Bool
  /// The public keys of what it signs to prove who it is (RFC 7523); its secret is then worth nothing. nil where it
  /// has a secret, or proves nothing.
  public let keySet: JSON?
  /// When it was registered; nil where it describes itself.
  public let createdAt: Timestamp?

  /// A client.
  public init(
    id: String, name: String, redirectURIs: [String], scopes: Set<Scope> = Scope.ofPeople,
    isConfidential: Bool = false, keySet: JSON? = nil, createdAt: Timestamp? = nil
  ) {
    self.keySet = keySet
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
  public static func isDocument(_ id: String) -> Bool { id.contains(":") }

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
    /// The public keys that a confidential one proves itself by, in place of a secret.
    public var keySet: JSON?

    /// A draft.
    public init(
      name: String, redirectURIs: [String], scopes: Set<Scope> = Scope.ofPeople,
      isConfidential: Bool = false, keySet: JSON? = nil
    ) {
      self.keySet = keySet
      self.name = name
      self.redirectURIs = redirectURIs
      self.scopes = scopes
      self.isConfidential = isConfidential
    }

    /// - Returns: The key set as it is to be stored.
    /// - Throws: `Refusal` `validation_failed` with every field at fault.
    func check() throws(Refusal) -> JSON? {
      var faults: [Refusal.Field] = []
      if !ClientName.isSound(name) {
        faults.append(.init("/name", "must be one line of 1 to 100 characters"))
      }
      if !(1...OAuthClient.redirectCountMax).contains(redirectURIs.count) {
        faults.append(
          .init("/redirectUris", "must be 1 to \(OAuthClient.redirectCountMax) addresses"))
      }
      for (index, text) in redirectURIs.enumerated() where !isAcceptable(text) {
        faults.append(.init("/redirectUris/\(index)", addressRule))
      }
      if scopes.isEmpty || !Scope.ofPeople.isSuperset(of: scopes) {
        let words = Scope.ofPeople.map(\.rawValue).sorted().joined(separator: ", ")
        faults.append(.init("/scopes", "must be some of \(words)"))
      }
      let keys = keySet.map { OAuthClient.keys($0, at: "/keySet") }
      faults += keys?.faults ?? []
      if keySet != nil, !isConfidential {
        faults.append(.init("/keySet", "is for a confidential client"))
      }
      guard faults.isEmpty else {
        throw Refusal(.validationFailed, "The client is not valid.", fields: faults)
      }
      return keys?.set
    }

    private func isAcceptable(_ text: String) -> Bool {
      isConfidential
        ? RedirectURI.isAcceptable(text) : RedirectURI.isAcceptableToPublic(text)
    }

    private var addressRule: String {
      "must be https, http on loopback"
        + (isConfidential ? "" : ", or an app's own scheme such as com.example.app:/cb")
        + "; without fragment, code, state, iss or error"
    }
  }

  /// A client's key set as it is stored: 1 to 10 public keys.
  static func keys(_ keySet: JSON, at pointer: String) -> (set: JSON, faults: [Refusal.Field]) {
    var (keys, faults) = ClientAssertion.publicKeys(keySet, at: pointer)
    if keys.isEmpty, faults.isEmpty {
      faults.append(.init(pointer + "/keys", "must have a key"))
    }
    return (.object(["keys": .array(keys)]), faults)
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
