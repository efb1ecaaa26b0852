import Catalog
import Primitives
import Testing
import TestSupport

/// A price for 1,000 tokens as a source writes it, and billionths for 1,000,000 tokens.
private let prices: [(String, Int64)] = [
  ("0", 0), ("0.0", 0), ("0e0", 0), ("1", 1_000_000_000_000), ("0.03", 30_000_000_000),
  ("0.0006", 600_000_000), ("0.000132", 132_000_000), ("0.001254", 1_254_000_000),
  ("1.32e-07", 132_000), ("1e-08", 10_000), ("0.1", 100_000_000_000),
  ("0.3", 300_000_000_000), ("0.7", 700_000_000_000), ("0.00025", 250_000_000),
  ("0.0001234", 123_400_000), ("2.5e-3", 2_500_000_000), ("0.15", 150_000_000_000),
  ("0.00000005", 50_000), ("1.1", 1_100_000_000_000), ("0.000075", 75_000_000),
  ("0.0000006", 600_000), ("12.5", 12_500_000_000_000),
]

/// A member of a foreign row, and where its value is afterwards.
private let renamed: [(String, String)] = [
  (#""website":"https://x.example/a""#, "websiteUrl"),
  (#""releaseDate":"2025-06-16""#, "releasedAt"),
  (#""lastUpdated":"2025-07-01""#, "lastUpdatedAt"),
  (#""docsUrl":"https://x.example/docs""#, "docsUrl"),
  (#""logoUrl":"https://x.example/logo.png""#, "logoUrl"),
  (#""modelFamily":"Claude""#, "modelFamily"),
  (#""baseModel":"z-ai/glm-4.5v""#, "baseModel"),
  (#""softwareLicense":"MIT, GPL-2.0""#, "license"),
  (#""authType":"apiKey""#, "authType"),
  (#""cors":"yes""#, "cors"),
  (#""tagline":"A line""#, "tagline"),
]

@Suite("Rows in the shape of public catalogs")
struct ForeignRowTests {
  /// The service of a foreign row with these further members, and what the import said.
  private func imported(_ members: String) async throws -> (service: Service?, said: [String]) {
    let record = try Record()
    let row =
      #"{"id":"row-1","name":"Row","kind":"model","source":"github:acme/list:file.json@1","#
      + #""license":"MIT""# + (members.isEmpty ? "" : "," + members) + "}"
    let file = try record.folder.file("catalog.jsonl", lines: [row])
    let (_, said) = try await record.imported([file])
    return (try await record.stored("row-1")?.service, said)
  }

  private func service(_ members: String = "") async throws -> Service {
    let (service, said) = try await imported(members)
    #expect(said.isEmpty)
    return try #require(service)
  }

  @Test("a price for 1,000 tokens becomes an exact one for 1,000,000", arguments: prices)
  func price(text: String, nano: Int64) async throws {
    let row = try await service(#""pricePer1KPromptTokens":\#(text)"#)
    let offer = try #require(row.offers.first)
    let price = try #require(offer.price("inputToken"))
    #expect(price.money == Money(amountNano: nano, currency: "USD"))
    #expect(price.per == 1_000_000)
    #expect(offer.mainPrice == price)
    #expect(offer.plan == (nano == 0 ? "free" : "usage"))
    #expect(row.extra["pricePer1KPromptTokens"] == nil)
  }

  @Test("input and output prices stand in one offer")
  func bothPrices() async throws {
    let row = try await service(
      #""pricePer1KPromptTokens":0.03,"pricePer1KCompletionTokens":0.15"#)
    #expect(row.offers.count == 1)
    let offer = try #require(row.offers.first)
    #expect(offer.price("inputToken")?.money.amountNano == Int64(30_000_000_000))
    #expect(offer.price("outputToken")?.money.amountNano == Int64(150_000_000_000))
    #expect(offer.plan == "usage")
  }

  @Test("only both prices at nothing make an offer free")
  func free() async throws {
    let free = try await service(#""pricePer1KPromptTokens":0,"pricePer1KCompletionTokens":0.0"#)
    #expect(free.offers.first?.plan == "free")
    let paid = try await service(#""pricePer1KPromptTokens":0,"pricePer1KCompletionTokens":0.001"#)
    #expect(paid.offers.first?.plan == "usage")
    let output = try await service(#""pricePer1KCompletionTokens":0.002"#)
    #expect(output.offers.first?.prices.count == 1)
    #expect(output.offers.first?.price("outputToken")?.money.amountNano == Int64(2_000_000_000))
  }

  @Test(
    "a price that is none makes no offer and stays to be read",
    arguments: ["-1", "-0.001", #""0.03""#, "1e30"])
  func noPrice(text: String) async throws {
    let row = try await service(#""pricePer1KPromptTokens":\#(text)"#)
    #expect(row.offers.isEmpty)
    #expect(row.extra["pricePer1KPromptTokens"] != nil)
  }

  @Test("a row without prices has no offer")
  func unpriced() async throws {
    let row = try await service()
    #expect(row.offers.isEmpty)
    #expect(row.text("kind") == "model")
    #expect(row.status == "active")
  }

  @Test("a category is one text or a list, and absent it is an empty list")
  func categories() async throws {
    let one = try await service(#""category":"Chat""#)
    #expect(one.list("categories") == ["Chat"])
    let two = try await service(#""category":["Chat","Code"]"#)
    #expect(two.list("categories") == ["Chat", "Code"])
    let none = try await service()
    #expect(none.list("categories") == nil)
    #expect(none.document["categories"]?.array?.isEmpty == true)
    #expect(one.extra["category"] == nil)
  }

  @Test("facts move to their field", arguments: renamed)
  func facts(member: String, field: String) async throws {
    let row = try await service(member)
    let parsed = try object("{" + member + "}")
    let value = try #require(parsed.members.first)
    #expect(row.text(field) == value.value.string)
    #expect(row.extra.isEmpty)
  }

  @Test("the licence of the source is not the licence of the software")
  func licences() async throws {
    let row = try await service(#""softwareLicense":"Apache-2.0""#)
    #expect(row.text("sourceLicense") == "MIT")
    #expect(row.text("license") == "Apache-2.0")
    let bare = try await service()
    #expect(bare.text("sourceLicense") == "MIT")
    #expect(bare.text("license") == nil)
  }

  @Test("a provider's name makes its id, and none makes the source's placeholder")
  func providers() async throws {
    let named = try await service(#""providerName":"302.AI""#)
    #expect(named.providerID == "302.ai")
    #expect(named.providerName == "302.AI")
    let none = try await service()
    #expect(none.providerID == "unclaimed-acme-list")
  }

  @Test("open weights leave the features for a field of their own")
  func openWeights() async throws {
    let row = try await service(#""features":{"vision":true,"openWeights":false}"#)
    #expect(row.fields["openWeights"]?.bool == false)
    let features = try #require(row.fields["features"]?.object)
    #expect(features.keys == ["vision"])
  }

  @Test("stars and runs become figures of use")
  func usage() async throws {
    let row = try await service(#""stars":12,"usageCount":45757"#)
    #expect(row.fields["usage"]?["stars"]?.int == Int64(12))
    #expect(row.fields["usage"]?["runs"]?.int == Int64(45_757))
    #expect(row.extra.isEmpty)
  }

  @Test("measured figures become metrics with their source")
  func metrics() async throws {
    let row = try await service(
      #""ttftMs":139.5,"ttftP95Ms":434,"tokensPerSecond":85.45,"endToEndMs":1975.2"#)
    let metrics = try #require(row.fields["metrics"]?.array)
    let names = metrics.compactMap { $0["name"]?.string }.sorted()
    #expect(
      names == ["latencyP50Ms", "timeToFirstTokenMs", "timeToFirstTokenP95Ms", "tokensPerSecond"])
    let areMeasured = metrics.allSatisfy { $0["provenance"]?.string == "measured" }
    #expect(areMeasured)
    let sources = Set(metrics.compactMap { $0["source"]?.string })
    #expect(sources.count == 1)
    let first = metrics.first { $0["name"]?.string == "timeToFirstTokenMs" }
    #expect(first?["value"]?.double == Double(139.5))
  }

  @Test(
    "a status of a source becomes one of ours",
    arguments: [
      (#""status":"beta""#, "active"), (#""status":"alpha""#, "active"),
      (#""status":"deprecated""#, "deprecated"), (#""deprecated":true"#, "deprecated"),
      (#""deprecated":false"#, "active"), (#""status":"generally available""#, "active"),
    ])
  func status(member: String, status: String) async throws {
    let row = try await service(member)
    #expect(row.status == status)
  }

  @Test("alpha and beta become tags, and another status stays to be read")
  func statusTags() async throws {
    let beta = try await service(#""status":"beta","tags":["chat"]"#)
    #expect(beta.list("tags") == ["chat", "beta"])
    let other = try await service(#""status":"preview""#)
    #expect(other.extra["status"]?.string == "preview")
    #expect(other.list("tags") == nil)
  }

  @Test("what does not fit its field stays in extra, whole")
  func misfits() async throws {
    let tags = (0..<60).map { "\"tag-\($0)\"" }.joined(separator: ",")
    let row = try await service(
      #""website":"http://x.example","contextWindow":-1,"releaseDate":"2025","tags":[\#(tags)]"#)
    #expect(row.text("websiteUrl") == nil)
    #expect(row.extra["websiteUrl"]?.string == "http://x.example")
    #expect(row.fields["contextWindow"] == nil)
    #expect(row.extra["contextWindow"]?.int == Int64(-1))
    #expect(row.extra["releasedAt"]?.string == "2025")
    #expect(row.list("tags")?.count == 50)
    #expect(row.extra["tags"]?.array?.count == 60)
  }

  @Test("modalities of other names are mapped or left out, and the source's list is kept")
  func modalities() async throws {
    let row = try await service(#""inputModalities":["text","pdf","3d","text"]"#)
    #expect(row.list("inputModalities") == ["text", "file"])
    #expect(row.extra["inputModalities"]?.array?.count == 4)
  }

  @Test("members that we do not know stay in extra")
  func unknown() async throws {
    let row = try await service(#""sdk":"@ai-sdk/openai","upstreamId":"x/y","alive":true"#)
    #expect(row.extra["sdk"]?.string == "@ai-sdk/openai")
    #expect(row.extra["upstreamId"]?.string == "x/y")
    #expect(row.extra["alive"]?.bool == true)
  }

  @Test("extra has what did not fit in the order of the table of fields, in every process")
  func order() async throws {
    let row = try await service(
      #""usage":"many","trial":"yes","supportUrl":"x","logoUrl":"x","docsUrl":"x","appUrl":"x""#)
    #expect(row.extra.keys == ["appUrl", "docsUrl", "logoUrl", "supportUrl", "trial", "usage"])
  }

  @Test("a kind that we do not have and a missing name are refused, not hidden")
  func refusals() async throws {
    let long = String(repeating: "x", count: 201)
    let record = try Record()
    let lines = [
      #"{"id":"a","name":"A","kind":"plugin","source":"s","license":"MIT"}"#,
      #"{"id":"b","kind":"api","source":"s","license":"MIT"}"#,
      #"{"id":"c","name":"\#(long)","source":"s","license":"MIT"}"#,
    ]
    let file = try record.folder.file("catalog.jsonl", lines: lines)
    let (report, _) = try await record.imported([file])
    #expect(report.refused == 3)
    #expect(report.created == 0)
  }

  @Test("a row with a mark of our own shape is read as it stands")
  func ownShape() async throws {
    let row = try await service(#""categories":["Chat"],"website":"https://x.example""#)
    #expect(row.text("license") == "MIT")
    #expect(row.text("websiteUrl") == nil)
    #expect(row.extra["website"]?.string == "https://x.example")
  }

  @Test("a foreign row repeated is the same")
  func repeated() async throws {
    let record = try Record()
    let row = """
      {"id":"row-1","name":"Row","category":"Chat","website":"http://x.example","stars":3,\
      "ttftMs":9.5,"pricePer1KPromptTokens":0.0001,"more":[1,2.5,null],"tags":["a","a"],\
      "contextWindow":-5,"source":"github:acme/list:f@1","license":"MIT"}
      """
    let file = try record.folder.file("catalog.jsonl", lines: [row])
    let (first, _) = try await record.imported([file])
    #expect(first.created == 1)
    let (second, _) = try await record.imported([file])
    #expect(second.same == 1)
  }
}
