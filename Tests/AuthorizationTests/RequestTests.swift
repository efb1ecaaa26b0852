import Authorization
import Identity
import Primitives
import SQLite
import Testing
import TestSupport

@Suite("Authorization requests")
struct RequestTests {
  @Test("a sound request is read as it was sent")
  func sound() async throws {
    let world = try await World()
    let client = try await world.addClient()
    let request = try await world.server.request(world.form(client), from: "a")
    #expect(request.client == client)
    #expect(request.scopes == [.discoveryRead, .sessionsRead])
    #expect(request.resource == World.issuer)
    #expect(request.state == "s-1")
  }

  @Test("without a scope it may search")
  func defaultScope() async throws {
    let world = try await World()
    let client = try await world.addClient()
    let request = try await world.server.request(world.form(client, ["scope": nil]), from: "a")
    #expect(request.scopes == [.discoveryRead])
  }

  @Test(
    "a wrong client or address is told to the person, never sent anywhere",
    arguments: [
      ["client_id": "nobody"], ["client_id": nil], ["redirect_uri": nil],
      ["redirect_uri": "https://app.example/cb/"], ["redirect_uri": "https://evil.example/cb"],
    ] as [[String: String?]])
  func shown(changes: [String: String?]) async throws {
    let world = try await World()
    let client = try await world.addClient()
    do {
      _ = try await world.server.request(world.form(client, changes), from: "a")
      Issue.record("it was accepted")
    } catch let fault as AuthorizationFault {
      guard case .shown = fault else {
        Issue.record("it was sent on: \(fault)")
        return
      }
    }
  }

  @Test(
    "what else is wrong goes to the client with its state",
    arguments: [
      (["response_type": "token"], .unsupportedResponseType),
      (["response_type": nil], .invalidRequest),
      (["response_mode": "fragment"], .invalidRequest),
      (["code_challenge_method": "plain"], .invalidRequest),
      (["code_challenge_method": nil], .invalidRequest),
      (["code_challenge": nil], .invalidRequest), (["code_challenge": "short"], .invalidRequest),
      (["scope": "admin"], .invalidScope), (["scope": "listings:write"], .invalidScope),
      (["scope": "discovery:read admin"], .invalidScope),
      (["resource": "https://other.example"], .invalidTarget),
      (["resource": "https://waypost.example/v1"], .invalidTarget),
    ] as [([String: String?], OAuthError.Code)])
  func returned(changes: [String: String?], code: OAuthError.Code) async throws {
    let world = try await World()
    let client = try await world.addClient()
    do {
      _ = try await world.server.request(world.form(client, changes), from: "a")
      Issue.record("it was accepted")
    } catch let fault as AuthorizationFault {
      guard case .returned(let error, let address, let state) = fault else {
        Issue.record("it was shown: \(fault)")
        return
      }
      #expect(error.code == code)
      #expect(address == client.redirectURIs[0])
      #expect(state == "s-1")
    }
  }

  @Test("a request needs a state")
  func state() async throws {
    let world = try await World()
    let client = try await world.addClient()
    let code = await refusal {
      try await world.server.request(world.form(client, ["state": nil]), from: "a")
    }
    #expect(code == .invalidRequest)
  }

  @Test("a client gets no more than it was registered for")
  func ceiling() async throws {
    let world = try await World()
    let client = try await world.addClient(scopes: [.discoveryRead])
    let code = await refusal { try await world.server.request(world.form(client), from: "a") }
    #expect(code == .invalidScope)
  }

  @Test("the answer names the issuer, and a yes has code and state")
  func answers() async throws {
    let world = try await World()
    let client = try await world.addClient(["https://app.example/cb?tab=1"])
    let request = try await world.server.request(world.form(client), from: "a")
    let yes = try await world.server.allow(
      request, by: world.user, in: world.login, author: .system)
    #expect(yes.hasPrefix("https://app.example/cb?tab=1&code="))
    #expect(parameter("state", of: yes) == "s-1")
    #expect(parameter("iss", of: yes) == "https%3A%2F%2Fwaypost.example")
    let no = world.server.refusal(
      OAuthError(.accessDenied, "no"), to: request.redirectURI, state: "s-1")
    #expect(parameter("error", of: no) == "access_denied")
    #expect(parameter("iss", of: no) == "https%3A%2F%2Fwaypost.example")
  }

  @Test("an app's own scheme is for clients that keep no secret")
  func appSchemes() async throws {
    let world = try await World()
    let app = "com.example.app:/cb"
    let client = try await world.addClient([app])
    let request = try await world.server.request(world.form(client), from: "a")
    let yes = try await world.server.allow(
      request, by: world.user, in: world.login, author: .system)
    #expect(yes.hasPrefix("com.example.app:/cb?code="))
    await #expect(throws: Refusal.self) { try await world.addClient([app], confidential: true) }
  }

  @Test("the description names each way of proof, and what signs it")
  func description() async throws {
    let metadata = try await World().server.metadata
    for name in ["token_endpoint", "revocation_endpoint"] {
      let methods = metadata[name + "_auth_methods_supported"]?.array ?? []
      #expect(methods.contains("private_key_jwt") && methods.contains("none"))
      let algorithms = metadata[name + "_auth_signing_alg_values_supported"]
      #expect(algorithms == ["ES256", "EdDSA", "RS256"])
    }
  }

  @Test("drafts of clients are refused with every field at fault")
  func drafts() async throws {
    let world = try await World()
    let draft = OAuthClient.Draft(
      name: "a\u{202E}b", redirectURIs: ["http://app.example"], scopes: [.listingsWrite])
    do {
      _ = try await world.database.write { connection in
        try world.server.clients.add(
          draft, by: .system, at: world.time.now, random: world.random, on: connection)
      }
      Issue.record("it was accepted")
    } catch let refusal as Refusal {
      #expect(refusal.fields.map(\.pointer) == ["/name", "/redirectUris/0", "/scopes"])
    }
  }
}
