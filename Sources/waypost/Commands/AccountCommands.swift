import Catalog
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
    let folder = try DataFolder(arguments.text("data") ?? "./data")
    let clock = DataFolder.clock
    let path = folder.path + "/keys"
    var keys = try KeyRing(folder: path, at: clock.now, random: .system)
    let accounts = Accounts(
      database: folder.record, clock: clock, random: .system, keys: keys, issuer: "waypost")
    switch arguments.words.first {
    case "list":
      for entry in keys.entries {
        Terminal.data("\(entry.id)  signs from \(entry.activeFrom.rfc3339)")
      }
      for key in try await accounts.apiKeys() {
        let end = key.revokedAt.map { "  revoked \($0.rfc3339)" } ?? ""
        Terminal.data(
          Terminal.safe(
            "\(key.id)  \(key.providerID)  \(key.name)  made \(key.createdAt.rfc3339)\(end)"))
      }
    case "revoke":
      guard arguments.words.count == 2 else {
        Terminal.words("waypost keys: keys revoke ID ends an API key; keys list has the ids")
        return .misuse
      }
      try await accounts.revokeAPIKey(arguments.words[1])
    case "rotate":
      try keys.rotate(folder: path, at: clock.now)
      guard let newest = keys.entries.last else { return .refused }
      Terminal.data("\(newest.id)  signs from \(newest.activeFrom.rfc3339)")
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
    default:
      Terminal.words(
        "waypost keys: keys new --provider ID | keys list | keys revoke ID | keys rotate")
      return .misuse
    }
    return .done
  }
}
