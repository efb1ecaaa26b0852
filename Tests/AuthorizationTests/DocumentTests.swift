import Authorization
import Primitives
import Testing
import TestSupport

@Suite("Clients that describe themselves")
struct DocumentTests {
  static let id = "https://tool.example/oauth/client.json"

  static func document(_ changes: [String: JSON] = [:]) -> JSON {
    var object: JSONObject = [
      "client_id": .string(id), "client_name": "Tool",
      "redirect_uris": ["http://127.0.0.1/cb", "https://tool.example/cb"],
      "token_endpoint_auth_method": "none", "logo_uri": "https://tool.example/logo.png",
    ]
    for (name, value) in changes { object[name] = value == .null ? nil : value }
    return .object(object)
  }

  private struct Desk {
    let time = MovableClock(Timestamp(milliseconds: 1_800_000_000_000))
    let others = ScriptedServer()
    let documents: ClientDocuments

    init(allowsLoopback: Bool = false) {
      documents = ClientDocuments(
        fetcher: others.fetcher, clock: time.clock, allowsLoopback: allowsLoopback)
    }
  }

  @Test("a sound document is a public client")
  func sound() async throws {
    let desk = Desk()
    desk.others.set(DocumentTests.id, DocumentTests.document())
    let client = try await desk.documents.client(DocumentTests.id)
    #expect(client.name == "Tool")
    #expect(client.redirectURIs == ["http://127.0.0.1/cb", "https://tool.example/cb"])
    #expect(!client.isConfidential)
    #expect(client.isDescribedByItself)
  }

  @Test("without a name that can be read it is called by its host")
  func name() async throws {
    let desk = Desk()
    desk.others.set(DocumentTests.id, DocumentTests.document(["client_name": "a\u{202E}b"]))
    #expect(try await desk.documents.client(DocumentTests.id).name == "tool.example")
  }

  @Test(
    "what is not sound is refused",
    arguments: [
      ["client_id": "https://tool.example/other.json"], ["client_id": .null],
      ["client_secret": "x"], ["token_endpoint_auth_method": "client_secret_basic"],
      ["redirect_uris": []], ["redirect_uris": .null], ["redirect_uris": ["http://evil.example/"]],
      ["redirect_uris": ["https://tool.example/cb", 7]], ["grant_types": ["implicit"]],
    ] as [[String: JSON]])
  func unsound(changes: [String: JSON]) async throws {
    let desk = Desk()
    desk.others.set(DocumentTests.id, DocumentTests.document(changes))
    #expect(await refusal { try await desk.documents.client(DocumentTests.id) } == .invalidClient)
  }

  @Test("an answer that is no document is refused, and not asked for again for a minute")
  func failure() async throws {
    let desk = Desk()
    desk.others.set(DocumentTests.id, DocumentTests.document(), status: 404)
    for _ in 0..<3 {
      #expect(await refusal { try await desk.documents.client(DocumentTests.id) } == .invalidClient)
    }
    #expect(desk.others.count(of: DocumentTests.id) == 1)
    desk.others.set(DocumentTests.id, DocumentTests.document())
    desk.time.move(seconds: 60)
    #expect(await refusal { try await desk.documents.client(DocumentTests.id) } == nil)
  }

  @Test("a document over 5 kB is refused")
  func size() async throws {
    let desk = Desk()
    let long = String(repeating: "x", count: 5_200)
    desk.others.set(DocumentTests.id, DocumentTests.document(["note": .string(long)]))
    #expect(await refusal { try await desk.documents.client(DocumentTests.id) } == .invalidClient)
  }

  @Test(
    "it is kept as its server says, from a minute to a day",
    arguments: [(nil, 300), (0, 60), (120, 120), (10_000_000, 86_400)] as [(Int64?, Int64)])
  func cache(maxAge: Int64?, seconds: Int64) async throws {
    let desk = Desk()
    desk.others.set(DocumentTests.id, DocumentTests.document(), maxAge: maxAge)
    _ = try await desk.documents.client(DocumentTests.id)
    desk.time.move(milliseconds: seconds * 1_000 - 1)
    _ = try await desk.documents.client(DocumentTests.id)
    #expect(desk.others.count(of: DocumentTests.id) == 1)
    desk.time.move(milliseconds: 1)
    _ = try await desk.documents.client(DocumentTests.id)
    #expect(desk.others.count(of: DocumentTests.id) == 2)
  }

  @Test(
    "what can be no document's address is never asked for",
    arguments: [
      "http://tool.example/client.json", "https://tool.example", "https://tool.example/",
      "https://user@tool.example/c", "https://tool.example/c#x", "https://tool.example/a/../c",
      "file:///etc/passwd", "http://127.0.0.1/c", "https:", "x:y",
    ])
  func addresses(id: String) async throws {
    let desk = Desk()
    #expect(await refusal { try await desk.documents.client(id) } == .invalidClient)
    #expect(desk.others.asked.isEmpty)
  }

  @Test("on loopback only where development is meant")
  func loopback() async throws {
    let id = "http://127.0.0.1:4711/client.json"
    let document = DocumentTests.document(["client_id": .string(id)])
    let desk = Desk(allowsLoopback: true)
    desk.others.set(id, document)
    #expect(try await desk.documents.client(id).id == id)
  }

  @Test("such a client gets its tokens without a registration")
  func journey() async throws {
    let world = try await World()
    world.others.set(DocumentTests.id, DocumentTests.document())
    let client = OAuthClient(id: DocumentTests.id, name: "", redirectURIs: [])
    let redirect = "http://127.0.0.1:51004/cb"
    let code = try await world.code(client, ["redirect_uri": redirect])
    let answer = try await world.exchange(code, client, redirect: redirect)
    #expect(await world.isTaken(answer))
    #expect(world.others.count(of: DocumentTests.id) == 1)
  }
}
