import Authorization
import HTTPClient
import Primitives
import Synchronization
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
    let client = try await desk.documents.client(DocumentTests.id, for: "a")
    #expect(client.name == "Tool")
    #expect(client.redirectURIs == ["http://127.0.0.1/cb", "https://tool.example/cb"])
    #expect(!client.isConfidential)
    #expect(client.isDescribedByItself)
  }

  @Test("without a name that can be read it is called by its host")
  func name() async throws {
    let desk = Desk()
    desk.others.set(DocumentTests.id, DocumentTests.document(["client_name": "a\u{202E}b"]))
    #expect(try await desk.documents.client(DocumentTests.id, for: "a").name == "tool.example")
  }

  @Test(
    "what is not sound is refused",
    arguments: [
      ["client_id": "https://tool.example/other.json"], ["client_id": .null],
      ["client_secret": "x"], ["token_endpoint_auth_method": "client_secret_basic"],
      ["redirect_uris": []], ["redirect_uris": .null], ["redirect_uris": ["http://evil.example/"]],
      ["redirect_uris": ["com.bank.app:/cb"]],
      ["redirect_uris": ["https://tool.example/cb", 7]], ["grant_types": ["implicit"]],
    ] as [[String: JSON]])
  func unsound(changes: [String: JSON]) async throws {
    let desk = Desk()
    desk.others.set(DocumentTests.id, DocumentTests.document(changes))
    #expect(
      await refusal { try await desk.documents.client(DocumentTests.id, for: "a") }
        == .invalidClient)
  }

  @Test("an answer that is no document is refused, and not asked for again for a minute")
  func failure() async throws {
    let desk = Desk()
    desk.others.set(DocumentTests.id, DocumentTests.document(), status: 404)
    for _ in 0..<3 {
      #expect(
        await refusal { try await desk.documents.client(DocumentTests.id, for: "a") }
          == .invalidClient)
    }
    #expect(desk.others.count(of: DocumentTests.id) == 1)
    desk.others.set(DocumentTests.id, DocumentTests.document())
    desk.time.move(seconds: 60)
    #expect(await refusal { try await desk.documents.client(DocumentTests.id, for: "a") } == nil)
  }

  @Test("a document over 5 kB is refused")
  func size() async throws {
    let desk = Desk()
    let long = String(repeating: "x", count: 5_200)
    desk.others.set(DocumentTests.id, DocumentTests.document(["note": .string(long)]))
    #expect(
      await refusal { try await desk.documents.client(DocumentTests.id, for: "a") }
        == .invalidClient)
  }

  @Test(
    "it is kept as its server says, from a minute to a day",
    arguments: [(nil, 300), (0, 60), (120, 120), (10_000_000, 86_400)] as [(Int64?, Int64)])
  func cache(maxAge: Int64?, seconds: Int64) async throws {
    let desk = Desk()
    desk.others.set(DocumentTests.id, DocumentTests.document(), maxAge: maxAge)
    _ = try await desk.documents.client(DocumentTests.id, for: "a")
    desk.time.move(milliseconds: seconds * 1_000 - 1)
    _ = try await desk.documents.client(DocumentTests.id, for: "a")
    #expect(desk.others.count(of: DocumentTests.id) == 1)
    desk.time.move(milliseconds: 1)
    _ = try await desk.documents.client(DocumentTests.id, for: "a")
    #expect(desk.others.count(of: DocumentTests.id) == 2)
  }

  @Test("a server that is silent for a while puts nobody out; one that takes its word back does")
  func late() async throws {
    let desk = Desk()
    func ask() async throws -> OAuthClient {
      try await desk.documents.client(DocumentTests.id, for: "a")
    }
    desk.others.set(DocumentTests.id, DocumentTests.document(), maxAge: 60)
    _ = try await ask()
    desk.others.remove(DocumentTests.id)
    desk.time.move(seconds: 60)
    #expect(await refusal { try await ask() } == nil)
    desk.time.move(seconds: 60)
    desk.others.set(DocumentTests.id, DocumentTests.document(), status: 503)
    #expect(await refusal { try await ask() } == nil)
    desk.time.move(seconds: 60)
    desk.others.set(DocumentTests.id, DocumentTests.document(), status: 404)
    #expect(await refusal { try await ask() } == .invalidClient)
  }

  @Test("silence is granted for an hour, no longer")
  func tooLate() async throws {
    let desk = Desk()
    desk.others.set(DocumentTests.id, DocumentTests.document(), maxAge: 60)
    _ = try await desk.documents.client(DocumentTests.id, for: "a")
    desk.others.remove(DocumentTests.id)
    desk.time.move(seconds: 60 + ClientDocuments.lateSeconds)
    #expect(
      await refusal { try await desk.documents.client(DocumentTests.id, for: "a") }
        == .invalidClient)
  }

  @Test("who holds up fetches is refused, and nobody else; what is known is served meanwhile")
  func fairness() async throws {
    let desk = Desk()
    let slow = SlowServer()
    let documents = ClientDocuments(fetcher: slow.fetcher, clock: desk.time.clock)
    slow.open()
    #expect(await refusal { try await documents.client(DocumentTests.id, for: "a") } == nil)
    slow.close()
    await withTaskGroup(of: Void.self) { group in
      for name in ["one", "two"] {
        let id = "https://\(name).example/client.json"
        group.addTask { _ = try? await documents.client(id, for: "mallory") }
      }
      await slow.waits(for: 2)
      let third = await refusal {
        try await documents.client("https://three.example/client.json", for: "mallory")
      }
      #expect(third == .temporarilyUnavailable)
      #expect(await refusal { try await documents.client(DocumentTests.id, for: "b") } == nil)
      group.addTask {
        let late = await refusal {
          try await documents.client("https://four.example/client.json", for: "b")
        }
        #expect(late == .invalidClient)
      }
      await slow.waits(for: 3)
      slow.open()
    }
  }

  @Test("whoever asks first and leaves takes nothing from those who stay or come")
  func leaver() async throws {
    let desk = Desk()
    let slow = SlowServer()
    let documents = ClientDocuments(fetcher: slow.fetcher, clock: desk.time.clock)
    let first = Task { try? await documents.client(DocumentTests.id, for: "a") }
    await slow.waits(for: 1)
    first.cancel()
    slow.open()
    _ = await first.value
    #expect(await refusal { try await documents.client(DocumentTests.id, for: "b") } == nil)
    #expect(slow.count == 1)
  }

  @Test("a document that many ask for at once is fetched once")
  func sharing() async throws {
    let desk = Desk()
    let slow = SlowServer()
    let documents = ClientDocuments(fetcher: slow.fetcher, clock: desk.time.clock)
    let names = await withTaskGroup(of: String?.self) { group in
      for index in 0..<20 {
        group.addTask {
          try? await documents.client(DocumentTests.id, for: "caller \(index)").name
        }
      }
      await slow.waits(for: 1)
      slow.open()
      return await group.reduce(into: [String?]()) { $0.append($1) }
    }
    #expect(names == [String?](repeating: "Tool", count: 20))
    #expect(slow.count == 1)
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
    #expect(await refusal { try await desk.documents.client(id, for: "a") } == .invalidClient)
    #expect(desk.others.asked.isEmpty)
  }

  @Test("on loopback only where development is meant")
  func loopback() async throws {
    let id = "http://127.0.0.1:4711/client.json"
    let document = DocumentTests.document(["client_id": .string(id)])
    let desk = Desk(allowsLoopback: true)
    desk.others.set(id, document)
    #expect(try await desk.documents.client(id, for: "a").id == id)
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

/// A web server whose answers wait until it is opened. It knows the one document of these tests.
private final class SlowServer: Sendable {
  private struct State {
    var isOpen = false
    var count = 0
  }

  private let state = Mutex(State())

  /// Requests so far.
  var count: Int { state.withLock { $0.count } }
  func open() { state.withLock { $0.isOpen = true } }
  func close() { state.withLock { $0 = State() } }

  /// Returns once that many requests have come, or after five seconds.
  func waits(for count: Int) async {
    for _ in 0..<5_000 where self.count < count { try? await Task.sleep(for: .milliseconds(1)) }
  }

  var fetcher: DocumentFetcher {
    DocumentFetcher { request in
      self.state.withLock { $0.count += 1 }
      while !self.state.withLock({ $0.isOpen }) {
        // As the network does: who is cancelled gets nothing.
        do { try await Task.sleep(for: .milliseconds(1)) } catch { return nil }
      }
      let isKnown = request.url == DocumentTests.id
      return FetchedDocument(
        status: isKnown ? 200 : 404, bytes: DocumentTests.document().bytes, maxAgeSeconds: nil)
    }
  }
}
