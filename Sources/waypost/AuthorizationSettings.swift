import Authorization
import HTTPClient
import Identity
import Primitives
import SQLite

/// What the settings say of programs that act for people, and of signing in through another service.
enum AuthorizationSettings {
  /// The authorization server. Programs on loopback may describe themselves only where the server is a
  /// developer's own: with `--demo`, and where nobody outside is served.
  static func server(
    _ arguments: Arguments, _ folder: DataFolder, _ keys: KeyRing, _ publicURL: String
  ) -> AuthorizationServer {
    let allowsLoopback = arguments.isSet("demo") && !publicURL.hasPrefix("https://")
    let documents = ClientDocuments(
      fetcher: .live(addresses: AddressPolicy(allowsLoopback: allowsLoopback)),
      clock: DataFolder.clock, allowsLoopback: allowsLoopback)
    return AuthorizationServer(
      database: folder.record.writing(as: .essential), clock: DataFolder.clock, random: .system,
      keys: keys,
      issuer: publicURL, documents: documents)
  }

  /// Sign-in through another service, or nil where none is named.
  /// - Throws: `Refusal` where half of it is said, or it is not sound.
  static func openID(
    _ arguments: Arguments, _ keys: KeyRing, _ publicURL: String
  ) throws -> OpenIDClient? {
    let issuer = arguments.text("oidc-issuer") ?? ""
    let clientID = arguments.text("oidc-client-id") ?? ""
    if issuer.isEmpty, clientID.isEmpty { return nil }
    guard !issuer.isEmpty, !clientID.isEmpty else {
      throw Refusal(
        .validationFailed, "--oidc-issuer and --oidc-client-id go together.")
    }
    return OpenIDClient(
      settings: try OpenIDSettings(
        issuer: issuer, clientID: clientID, secret: arguments.text("oidc-secret")),
      // The operator has named the server: it may be one of the house.
      fetcher: .live(addresses: nil), clock: DataFolder.clock, random: .system,
      key: keys.derived(for: "oidc"), redirectURI: publicURL + "/v1/auth/oidc/callback")
  }
}
