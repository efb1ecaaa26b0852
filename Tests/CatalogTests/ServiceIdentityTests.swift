import Catalog
import Primitives
import Testing

private let slugs: [(String, String?)] = [
  ("OpenAI", "openai"), ("Mistral AI", "mistral-ai"), ("302.AI", "302.ai"), ("  x  ", "x"),
  ("C++", "c"), (".net", "net"), ("a--b", "a-b"), ("A_B", "a-b"), ("!!!", nil), ("", nil),
  ("考试点", nil), ("Ünder", "nder"), ("v1.2 beta", "v1.2-beta"),
]

@Suite("Ids, providers and what a listing has beyond its fields")
struct ServiceIdentityTests {
  @Test(
    "an id is a slug of at most 128 bytes",
    arguments: ["a", "0", "a.b_c-d", "gpt-4o", String(repeating: "x", count: 128)])
  func validID(id: String) throws {
    let service = try listing(["id": .string(id)])
    #expect(service.id == id)
    #expect(Slug.isValid(id))
  }

  @Test(
    "anything else is no id",
    arguments: [
      "", "A", "-a", ".a", "_a", "a b", "é", "a/b", "a\n", "\u{0}",
      String(repeating: "x", count: 129),
    ])
  func invalidID(id: String) {
    let found = faults(document(["id": .string(id)]))
    #expect(found.map(\.pointer) == ["/id"])
    #expect(!Slug.isValid(id))
  }

  @Test("an id that the caller knows wins over the one in the document")
  func givenID() throws {
    let service = try Service.read(document(["id": "another"]), id: "from-the-path")
    #expect(service.id == "from-the-path")
  }

  @Test("a name becomes a slug", arguments: slugs)
  func slug(name: String, expected: String?) {
    #expect(Slug.make(from: name) == expected)
  }

  @Test(
    "a provider is named by id, by object or by name alone",
    arguments: [
      (#"{"providerId":"acme"}"#, "acme"),
      (#"{"providerId":"acme","providerName":"Acme Corp"}"#, "acme"),
      (#"{"provider":{"id":"acme","name":"Acme Corp"}}"#, "acme"),
      (#"{"providerName":"Acme Corp"}"#, "acme-corp"),
      (#"{"provider":{"name":"Acme Corp"}}"#, "acme-corp"),
      (#"{}"#, "unclaimed-import"),
      (#"{"source":"github:acme/list:file.md@1"}"#, "unclaimed-acme-list"),
      (#"{"source":"survey"}"#, "unclaimed-survey"),
    ])
  func provider(text: String, id: String) throws {
    var members = try object(text)
    members["id"] = "alpha"
    members["name"] = "Alpha"
    let service = try Service.read(members)
    #expect(service.providerID == id)
  }

  @Test("a provider's id must be a slug, and its name has at most 200 characters")
  func badProvider() {
    #expect(faults(document(["providerId": "Acme!"])).map(\.pointer) == ["/providerId"])
    let name = String(repeating: "x", count: 201)
    let found = faults(document(["providerName": .string(name)]))
    #expect(found.map(\.pointer) == ["/providerName"])
  }

  @Test("two providers with names in another script stay two providers")
  func otherScripts() throws {
    let names = ["北京测试科技有限公司", "上海示例科技有限公司", "株式会社サンプル"]
    let ids = try names.map { name in
      try Service.read(["id": "a", "name": "A", "providerName": .string(name)]).providerID
    }
    #expect(Set(ids).count == names.count)
    let areSlugs = ids.allSatisfy { Slug.isValid($0) }
    #expect(areSlugs)
  }

  @Test("the placeholder of a source with a long name is still a valid id")
  func longSource() throws {
    let source = String(repeating: "s", count: 300)
    let service = try Service.read(["id": "a", "name": "A", "source": .string(source)])
    #expect(Slug.isValid(service.providerID))
  }

  @Test("unknown members go to extra, beside what extra had, and come out again")
  func extra() throws {
    let service = try listing([
      "sdk": "npm", "toolCount": 3, "nothing": .null, "extra": ["kept": [1, 2]],
      "revision": 7, "createdAt": "2026-01-01T00:00:00Z",
    ])
    #expect(service.extra.keys.sorted() == ["kept", "sdk", "toolCount"])
    #expect(service.extra["sdk"]?.string == "npm")
    #expect(service.extra["toolCount"]?.int == Int64(3))
    #expect(service.extra["kept"]?.array?.count == 2)
    #expect(service.document["extra"]?["sdk"]?.string == "npm")
  }

  @Test("extra takes exactly 16,384 bytes")
  func extraLimit() {
    // The object {"note":"…"} has eleven bytes beside the text.
    let fits = String(repeating: "x", count: 16_373)
    #expect(faults(document(["note": .string(fits)])).isEmpty)
    #expect(faults(document(["note": .string(fits + "x")])).map(\.pointer) == ["/extra"])
  }

  @Test(
    "a trial has 5 to 180 minutes",
    arguments: [5, 30, 180] as [JSON])
  func trialMinutes(minutes: JSON) throws {
    let service = try listing(["trial": ["offered": true, "minutes": minutes]])
    let trial = try #require(service.trial)
    #expect(trial.minutes == minutes.int)
  }

  @Test(
    "other lengths of a trial are refused",
    arguments: [4, 181, 0, -1, 30.5, "30", .null, true] as [JSON])
  func badTrialMinutes(minutes: JSON) {
    let found = faults(document(["trial": ["offered": true, "minutes": minutes]]))
    #expect(found.map(\.pointer) == ["/trial/minutes"])
  }

  @Test("the cap of a trial lies between nothing and a million tokens")
  func trialCap() throws {
    for cap in [0, 1, 1_000_000] as [Int64] {
      let service = try listing(["trial": ["offered": true, "capTokens": .int(cap)]])
      let found = service.trial?.capTokens
      #expect(found == cap)
    }
    for cap in [-1, 1_000_001, "5", 0.5] as [JSON] {
      let found = faults(document(["trial": ["offered": true, "capTokens": cap]]))
      #expect(found.map(\.pointer) == ["/trial/capTokens"])
    }
  }

  @Test("a trial that says little lasts half an hour, and one that is not there is nil")
  func trialDefaults() throws {
    let offering = try listing(["trial": ["offered": true]])
    let trial = try #require(offering.trial)
    #expect(trial.isOffered)
    #expect(trial.minutes == 30)
    #expect(trial.capTokens == nil)
    let silent = try listing(["trial": ["conditions": "none"]])
    #expect(silent.trial?.isOffered == false)
    let isAbsent = try listing().trial == nil
    #expect(isAbsent)
  }
}
