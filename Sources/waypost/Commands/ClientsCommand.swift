import Authorization
import Foundation
import Identity
import Primitives
import SQLite

/// `waypost clients`: programs of third parties that may ask people to act for them. The folder must be free; on a
/// running server the same is done under /v1/admin/oauth-clients.
enum ClientsCommand {
  @Sendable static func run(_ arguments: Arguments) async throws -> Exit {
    let words = arguments.words
    guard let action = words.first, ["add", "list", "remove"].contains(action),
      words.count == (action == "remove" ? 2 : 1)
    else {
      Terminal.words(
        "waypost clients: clients add --name N --redirect-uri URL... [--scopes S] [--confidential [--key-set FILE]] | clients list | clients remove ID"
      )
      return .misuse
    }
    let folder = try DataFolder(arguments.text("data") ?? "./data")
    let now = DataFolder.clock.now
    let keys = try KeyRing(folder: folder.path + "/keys", at: now, random: .system)
    let store = ClientStore(key: keys.derived(for: "oauth-client"))
    switch action {
    case "add": try await add(arguments, store, folder)
    case "list": try await list(store, folder)
    default:
      // Nobody serves this folder now: there is nobody to tell which tokens have ended.
      _ = try await folder.record.write { connection in
        try store.remove(words[1], by: .terminal, at: now, on: connection)
      }
    }
    return .done
  }

  private static func add(
    _ arguments: Arguments, _ store: ClientStore, _ folder: DataFolder
  ) async throws {
    var draft = OAuthClient.Draft(
      name: arguments.text("name") ?? "", redirectURIs: arguments.list("redirect-uri"))
    draft.isConfidential = arguments.isSet("confidential")
    if let text = arguments.text("scopes") {
      let words = text.split { $0 == " " || $0 == "," }.map(String.init)
      let scopes = words.compactMap(Scope.init(rawValue:))
      guard scopes.count == words.count else {
        throw Arguments.Mistake.badValue(
          flag: "scopes", value: text,
          expected: "some of " + Scope.ofPeople.map(\.rawValue).sorted().joined(separator: ", "))
      }
      draft.scopes = Set(scopes)
    }
    if let path = arguments.text("key-set") {
      guard let bytes = FileManager.default.contents(atPath: path),
        let keySet = try? JSON.parse(Array(bytes), depthMax: 8)
      else {
        throw Arguments.Mistake.badValue(
          flag: "key-set", value: path, expected: "a file with a JSON Web Key Set")
      }
      draft.keySet = keySet
    }
    let now = DataFolder.clock.now
    let finished = draft
    let client = try await folder.record.write { connection in
      try store.add(finished, by: .terminal, at: now, random: .system, on: connection)
    }
    if client.isConfidential, client.keySet == nil {
      Terminal.words("the client's id, and its secret, shown only once:")
      Terminal.data(client.id)
      Terminal.data(store.secret(of: client.id))
    } else {
      Terminal.words("the client's id:")
      Terminal.data(client.id)
    }
  }

  private static func list(_ store: ClientStore, _ folder: DataFolder) async throws {
    var last: String?
    repeat {
      let after = last
      let page = try await folder.record.read { try store.list(after: after, limit: 100, on: $0) }
      for client in page {
        Terminal.data(
          Terminal.safe(
            "\(client.id)  \(client.name)  \(client.redirectURIs.joined(separator: " "))"))
      }
      last = page.count == 100 ? page.last?.id : nil
    } while last != nil
  }
}
