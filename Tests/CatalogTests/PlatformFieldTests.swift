import Catalog
import Primitives
import Testing

/// What a provider may not say of itself, and where the fault lies.
private let refused: [(String, String)] = [
  (#"{"rating":5}"#, "/rating"),
  (#"{"reviewCount":1000000000000}"#, "/reviewCount"),
  (#"{"usage":{"runs":999999999999}}"#, "/usage"),
  (#"{"source":"audit:gold"}"#, "/source"),
  (#"{"sourceLicense":"CC0"}"#, "/sourceLicense"),
  (#"{"draftedFields":["name"]}"#, "/draftedFields"),
  (#"{"metrics":[{"name":"uptime","value":100,"provenance":"measured"}]}"#, "/metrics/0"),
  (#"{"metrics":[{"name":"uptime","value":100}]}"#, "/metrics/0"),
  (#"{"metrics":{"uptime":{"value":100,"provenance":"declared"}}}"#, "/metrics"),
  (
    #"{"compliance":[{"scheme":"gdpr","state":"yes"},{"scheme":"soc2","checkedAt":"2026-01-01"}]}"#,
    "/compliance/1/checkedAt"
  ),
]

@Suite("Fields of the platform")
struct PlatformFieldTests {
  /// What an operator imported.
  private func stored() throws -> Service {
    try listing([
      "description": "Ours.", "tagline": "Theirs.", "rating": .double(4.5), "reviewCount": 12,
      "usage": ["runs": 7], "source": "import:list", "draftedFields": ["description", "tagline"],
      "metrics": [
        ["name": "uptime", "value": 99, "provenance": "measured"],
        ["name": "latency_p50", "value": 5, "provenance": "declared"],
      ],
      "compliance": [["scheme": "gdpr", "state": "yes", "checkedAt": "2026-01-01"]],
    ])
  }

  private func kept(_ document: JSONObject, _ stored: Service?) throws -> JSONObject {
    try PlatformFields.keep(in: Service.read(document).document, from: stored)
  }

  @Test("a provider cannot write what only the platform knows", arguments: refused)
  func refuses(text: String, pointer: String) async throws {
    var members = document()
    for member in try object(text).members { members[member.key] = member.value }
    for known in [nil, try stored()] {
      let refusal = try await refusal { _ = try kept(members, known) }
      #expect(refusal?.code == .validationFailed)
      #expect(refusal?.fields.map(\.pointer) == [pointer])
    }
  }

  @Test("what was read can be sent back")
  func takesBack() throws {
    let stored = try stored()
    #expect(try kept(stored.document, stored) == stored.document)
  }

  @Test("what is left out stays")
  func carriesOver() throws {
    let stored = try stored()
    let kept = try kept(document(["tagline": "Theirs."]), stored)
    for name in ["rating", "reviewCount", "usage", "source"] {
      #expect(kept[name] == stored.fields[name], "\(name)")
    }
    #expect(kept["metrics"] == [["name": "uptime", "value": 99, "provenance": "measured"]])
  }

  @Test("a text that the provider writes anew is no draft of ours")
  func dropsDrafts() throws {
    let stored = try stored()
    let kept = try kept(document(["description": "Mine.", "tagline": "Theirs."]), stored)
    #expect(kept["draftedFields"] == ["tagline"])
  }

  @Test("declared figures stand behind measured ones")
  func declares() throws {
    let declared: JSON = ["name": "uptime", "value": 100, "provenance": "declared"]
    let kept = try kept(document(["metrics": [declared]]), try stored())
    #expect(kept["metrics"]?.array?.count == 2)
    #expect(kept["metrics"]?.array?.last == declared)
  }
}
