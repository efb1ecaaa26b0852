import Catalog
import Cryptography
import Foundation
import Identity
import Primitives
import SQLite
import Sessions

/// `waypost user add`: the first admin and the providers' people. The password comes on standard input.
enum UserCommand {
  @Sendable static func run(_ arguments: Arguments) async throws -> Exit {
    guard arguments.words == ["add"], let email = arguments.text("email"),
      let role = arguments.text("role").flatMap(Role.init(rawValue:))
    else {
      Terminal.words(
        "waypost user: user add --role admin|provider|user --email E [--provider ID], password on standard input"
      )
      return .misuse
    }
    guard (role == .provider) == (arguments.text("provider") != nil) else {
      Terminal.words(
        "waypost user: --provider names the provider of a provider's account, and only of one")
      return .misuse
    }
    let folder = try DataFolder(arguments.text("data") ?? "./data")
    Terminal.words("password:")
    guard let password = readLine(strippingNewline: true) else {
      Terminal.words("waypost user: no password on standard input")
      return .misuse
    }
    let clock = DataFolder.clock
    let keys = try KeyRing(folder: folder.path + "/keys", at: clock.now, random: .system)
    if let provider = arguments.text("provider") {
      try await ensure(provider, name: arguments.text("name"), in: folder)
    }
    let accounts = Accounts(
      database: folder.record, clock: clock, random: .system, keys: keys, issuer: "waypost")
    let user = try await accounts.register(
      email: email, password: password, name: arguments.text("name"), role: role,
      providerID: arguments.text("provider"))
    Terminal.data(
      arguments.isSet("json")
        ? JSON.object(["id": .string(user.id.text)]).text : "\(role.rawValue) \(user.id.text)")
    return .done
  }

  /// The provider's row, made where it is new.
  static func ensure(_ id: String, name: String?, in folder: DataFolder) async throws {
    guard Slug.isValid(id) else {
      throw Refusal(.validationFailed, "--provider must be a slug: [a-z0-9][a-z0-9._-]{0,127}.")
    }
    let now = DataFolder.clock.now
    try await folder.record.write { connection in
      if try CatalogStore.provider(id: id, on: connection) == nil {
        try CatalogStore.putProvider(
          id: id, name: name ?? id, verified: false, at: now, on: connection)
      }
    }
  }
}

/// `waypost keys`: signing keys, and providers' API keys.
enum KeysCommand {
  @Sendable static func run(_ arguments: Arguments) async throws -> Exit {
    let action = arguments.words.first
    // Signing keys of a running server are changed in the server, which alone holds them.
    if ["rotate", "remove"].contains(action), let link = ServerLink(arguments) {
      return try await change(arguments, through: link)
    }
    let folder = try DataFolder(arguments.text("data") ?? "./data")
    let clock = DataFolder.clock
    let keys = try KeyRing(folder: folder.path + "/keys", at: clock.now, random: .system)
    let accounts = Accounts(
      database: folder.record, clock: clock, random: .system, keys: keys, issuer: "waypost")
    switch action {
    case "list": try await list(keys, accounts)
    case "revoke":
      guard arguments.words.count == 2 else {
        Terminal.words("waypost keys: keys revoke ID ends an API key; keys list has the ids")
        return .misuse
      }
      try await accounts.revokeAPIKey(arguments.words[1])
    case "rotate":
      let algorithm = try algorithm(arguments)
      let entry = try await AuditLog.around(
        .init(
          "signing_key.rotate", done: "signing_key.rotated",
          on: "signing_key:" + algorithm.rawValue), in: folder.record, clock: clock, by: .terminal,
        outcome: { ("signing_key:" + $0.id, algorithm.rawValue) }
      ) { try keys.rotate(algorithm, at: clock.now) }
      Terminal.data("\(entry.id)  signs from \(entry.activeFrom.rfc3339)")
    case "remove":
      guard arguments.words.count == 2 else { return misuse() }
      let id = arguments.words[1]
      try await AuditLog.around(
        .init(
          "signing_key.remove", done: "signing_key.removed", on: "signing_key:" + id,
          isUrgent: true), in: folder.record, clock: clock, by: .terminal
      ) { try keys.remove(id, at: clock.now) }
    case "new":
      guard let provider = arguments.text("provider") else {
        Terminal.words("waypost keys: keys new --provider ID makes an API key of a provider")
        return .misuse
      }
      try await UserCommand.ensure(provider, name: nil, in: folder)
      let key = try await accounts.makeAPIKey(
        providerID: provider, name: arguments.text("name") ?? "key")
      Terminal.words("shown only once:")
      Terminal.data(key.secret)
    default: return misuse()
    }
    return .done
  }

  private static func misuse() -> Exit {
    Terminal.words(
      "waypost keys: keys new --provider ID | keys list | keys revoke ID | keys rotate [--algorithm A] | keys remove KID"
    )
    return .misuse
  }

  private static func algorithm(_ arguments: Arguments) throws -> SigningAlgorithm {
    let words = SigningAlgorithm.allCases.map(\.rawValue)
    let word = try arguments.choice("algorithm", of: words)
    return SigningAlgorithm(rawValue: word) ?? .es256
  }

  private static func list(_ keys: KeyRing, _ accounts: Accounts) async throws {
    for entry in keys.entries {
      Terminal.data(
        "\(entry.id)  \(entry.key.algorithm.rawValue)  signs from \(entry.activeFrom.rfc3339)")
    }
    for key in try await accounts.apiKeys() {
      let end = key.revokedAt.map { "  revoked \($0.rfc3339)" } ?? ""
      let owner =
        switch key.owner {
        case .provider(let id): id
        case .user(let id): "user " + id.text
        }
      Terminal.data(
        Terminal.safe(
          "\(key.id.text)  \(owner)  \(key.name)  made \(key.createdAt.rfc3339)\(end)"))
    }
  }

  /// The same through the server that holds the folder; the admin's token is in the environment.
  private static func change(
    _ arguments: Arguments, through link: ServerLink
  ) async throws -> Exit {
    if arguments.words.first == "rotate" {
      let body: JSON = ["algorithm": .string(try algorithm(arguments).rawValue)]
      let answer = try await link.json("/v1/admin/signing-keys/rotate", body.bytes)
      Terminal.data(
        Terminal.safe(
          "\(answer["kid"]?.string ?? "")  signs from \(answer["activeFrom"]?.string ?? "")"))
      return .done
    }
    guard arguments.words.count == 2,
      arguments.words[1].utf8.allSatisfy({ $0 > 0x20 && $0 != 0x2F })
    else { return misuse() }
    let answer = try await link.json(
      "/v1/admin/signing-keys/\(arguments.words[1])/remove", Array("{}".utf8))
    Terminal.data(Terminal.safe("\(answer["kid"]?.string ?? "") removed"))
    return .done
  }
}
