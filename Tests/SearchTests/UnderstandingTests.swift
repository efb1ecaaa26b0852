import Catalog
import Primitives
import Search
import Testing

/// A query, the conditions that it means in the filter grammar, and the text that is left.
struct Reading: Sendable, CustomTestStringConvertible {
  let query: String
  let filters: [String]
  let text: String

  init(_ query: String, _ filters: [String], _ text: String = "") {
    self.query = query
    self.filters = filters
    self.text = text
  }

  var testDescription: String { query }

  /// Providers that the reader knows, by their folded name.
  static let reader = QueryReader { folded in
    ["openai": "OpenAI", "mistral ai": "Mistral AI", "acme": "Acme"][folded]
  }
}

private let prices: [Reading] = [
  Reading("speech to text under $0.01 a minute", ["pricePerMinute < 0.01"], "speech to text"),
  Reading("llm under $0.50 per 1M input tokens", ["inputPrice < 0.50"], "llm"),
  Reading("below $0.002 per 1k tokens", ["inputPrice < 2.00"]),
  Reading("at most $3 per million output tokens", ["outputPrice <= 3.00"]),
  Reading("under 2 dollars per million tokens", ["inputPrice < 2.00"]),
  Reading("under $0.000001 per token", ["inputPrice < 1.00"]),
  Reading("$0.50/1M or less", ["inputPrice <= 0.50"]),
  Reading("max $5/month", ["monthlyFee <= 5.00"]),
  Reading("no more than $4 a month", ["monthlyFee <= 4.00"]),
  Reading("under 5 euros a month", [#"monthlyFee < "5.00 EUR""#]),
  Reading("less than £2 a request", [#"pricePerCall < "2.00 GBP""#]),
  Reading("cheaper than $1 per call", ["pricePerCall < 1.00"]),
  Reading("over $5 per call", ["pricePerCall > 5.00"]),
  Reading("under $0.02 per image", ["pricePerImage < 0.02"]),
  Reading("maps under $10", ["price < 10.00"], "maps"),
  Reading("free speech to text", ["plan = \"free\" OR price = 0"], "speech to text"),
  Reading("free of charge maps", ["plan = \"free\" OR price = 0"], "maps"),
]

private let facts: [Reading] = [
  Reading("128k context", ["contextWindow >= 128000"]),
  Reading("1.5m context", ["contextWindow >= 1500000"]),
  Reading("model with at least 200k context", ["contextWindow >= 200000"], "model"),
  Reading("context window of 1m", ["contextWindow >= 1000000"]),
  Reading("128k tokens of context or more", ["contextWindow >= 128000"]),
  Reading("context under 32k", ["contextWindow < 32000"]),
  Reading("over 8k output tokens", ["maxOutputTokens > 8000"]),
  Reading("under 300ms latency", ["latencyP95 < 300"]),
  Reading("within 200 ms", ["latencyP95 <= 200"]),
  Reading("99% uptime", ["uptime >= 99"]),
  Reading("image input", [#"inputModalities = "image""#]),
  Reading("model with image input", [#"inputModalities = "image""#], "model"),
  Reading("vision models for charts", [#"inputModalities = "image""#], "vision models for charts"),
  Reading("audio output", [#"outputModalities = "audio""#]),
  Reading("chat with function calling", [#"features = "functionCalling""#], "chat"),
  Reading("json mode", [#"features = "jsonMode""#]),
  Reading("open weights model", [#"openWeights = "true""#], "model"),
  Reading(
    "open source search engine", [#"openWeights = "true" OR EXISTS license"#],
    "open source search engine"),
  Reading("hipaa compliant storage", ["compliance.hipaa = true"], "storage"),
  Reading("audit log, soc 2 certified", ["compliance.soc2 = true"], "audit log"),
  Reading("us hosted database", [#"regions IN ["us"]"#], "database"),
  Reading("mcp server for github", [#"kind = "tool""#], "mcp server for github"),
  Reading("openai compatible chat", [#"apiCompatibility = "openai""#], "chat"),
  Reading("maps without an api key", [#"authType = "none""#], "maps"),
  Reading("login with oauth", [#"authType IN ["oauth2", "OAuth"]"#], "login"),
  Reading("https only links", [#"https = "true""#], "links"),
  Reading("weather with cors", [#"cors = "yes""#], "weather"),
  Reading("models by OpenAI", [#"provider = "OpenAI""#], "models"),
  Reading("chat model from Mistral AI", [#"provider = "Mistral AI""#], "chat model"),
  Reading("chat not openai", [#"provider != "OpenAI""#], "chat"),
  Reading("chat except Acme", [#"provider != "Acme""#], "chat"),
  Reading(
    "image input under $1 per 1M tokens with 128k context",
    [#"inputModalities = "image""#, "inputPrice < 1.00", "contextWindow >= 128000"]),
]

private let plain: [Reading] = [
  Reading("costs $10 today", [], "costs $10 today"),
  Reading("translate 5 languages", [], "translate 5 languages"),
  Reading("top 10 podcasts", [], "top 10 podcasts"),
  Reading("windows 11 drivers", [], "windows 11 drivers"),
  Reading("stories by candlelight", [], "stories by candlelight"),
  Reading("without leaving home", [], "without leaving home"),
  Reading("cheap translation", [], "cheap translation"),
  Reading("gpt-4o", [], "gpt-4o"),
  Reading("text-embedding-3-large", [], "text-embedding-3-large"),
  Reading("send 200 letters", [], "send 200 letters"),
  Reading("under the sea", [], "under the sea"),
  Reading("not only words", [], "not only words"),
  Reading("more or less", [], "more or less"),
  Reading("the image of a model", [], "the image of a model"),
  Reading("", []),
  Reading("?!, ;", []),
]

@Suite("What a query says")
struct UnderstandingTests {
  @Test("conditions are read with their units, and the rest is searched", arguments: prices + facts)
  func conditions(reading: Reading) throws {
    let result = Reading.reader.read(reading.query)
    #expect(result.constraints.map(\.expression.canonical) == reading.filters)
    #expect(result.text == reading.text)
    #expect(!result.isCut)
    for constraint in result.constraints {
      // A chip can be sent back as a filter.
      let again = try FilterParser.parse(constraint.expression.canonical)
      #expect(again == constraint.expression)
      #expect(!constraint.label.isEmpty)
      #expect(!constraint.span.isEmpty)
      #expect(constraint.span.upperBound <= reading.query.utf16.count)
    }
  }

  @Test("there is no condition where none was said", arguments: plain)
  func nothing(reading: Reading) {
    let result = Reading.reader.read(reading.query)
    #expect(result.constraints.isEmpty)
    #expect(result.text == reading.text)
  }

  @Test("conditions are left alone where the caller says so", arguments: prices + facts)
  func off(reading: Reading) {
    let result = Reading.reader.read(reading.query, understanding: false)
    #expect(result.constraints.isEmpty)
    let words = reading.query.split(separator: " ").count
    #expect(result.text.split(separator: " ").count == words)
  }

  @Test("a condition says where it stands, in the units of a browser")
  func spans() throws {
    let query = "pictures 😀 under $5 a month, é"
    let result = Reading.reader.read(query)
    let constraint = try #require(result.constraints.first)
    let units = Array(query.utf16)[constraint.span]
    #expect(String(decoding: units, as: UTF16.self) == "under $5 a month")
  }

  @Test(
    "words with a minus are left out, quoted ones are a phrase",
    arguments: [
      ("weather -storm", "weather", ["storm"], []),
      ("-storm", "", ["storm"], []),
      ("weather -storm -Rain", "weather", ["storm", "Rain"], []),
      ("\"speech to text\" api", "speech to text api", [], ["speech to text"]),
      ("maps \"open street\" -paid", "maps open street", ["paid"], ["open street"]),
      ("wi-fi -5 - -a", "wi-fi -5 - -a", [], []),
      ("\"free\" speech", "free speech", [], ["free"]),
      ("an \"open quote", "an \"open quote", [], []),
    ] as [(String, String, [String], [String])])
  func marks(row: (String, String, [String], [String])) {
    let result = Reading.reader.read(row.0)
    #expect(result.text == row.1)
    #expect(result.exclusions == row.2)
    #expect(result.phrases == row.3)
    #expect(result.constraints.isEmpty)
  }

  @Test("a query is cut at 1,000 characters, and says so")
  func cut() {
    let fits = Reading.reader.read(String(repeating: "é", count: 1_000))
    #expect(!fits.isCut)
    #expect(fits.text.count == 1_000)
    let over = Reading.reader.read(String(repeating: "é", count: 1_001))
    #expect(over.isCut)
    #expect(over.text.count == 1_000)
  }

  @Test("a decimal bound is the same in its filter as in its meaning")
  func decimals() throws {
    let result = Reading.reader.read("99.9% uptime")
    let constraint = try #require(result.constraints.first)
    #expect(constraint.expression.canonical == "uptime >= 99.9")
    let again = try FilterParser.parse(constraint.expression.canonical)
    #expect(again == constraint.expression)
  }

  @Test(
    "a number with commas for thousands is one number",
    arguments: [
      Reading("200,000 token context", ["contextWindow >= 200000"]),
      Reading("under $1,000 a month", ["monthlyFee < 1000.00"]),
    ])
  func thousands(reading: Reading) {
    let result = Reading.reader.read(reading.query)
    #expect(result.constraints.map(\.expression.canonical) == reading.filters)
  }

  @Test(
    "an amount of money with k or million is that much",
    arguments: [
      Reading("under $1k a month", ["monthlyFee < 1000.00"]),
      Reading("under 2 thousand dollars a month", ["monthlyFee < 2000.00"]),
      Reading("under 0.02 million dollars a month", ["monthlyFee < 20000.00"]),
    ])
  func largeAmounts(reading: Reading) {
    let result = Reading.reader.read(reading.query)
    #expect(result.constraints.map(\.expression.canonical) == reading.filters)
  }

  @Test(
    "a condition that is denied is not understood as its opposite",
    arguments: ["maps not free", "not open source", "without function calling", "not hipaa"])
  func denied(query: String) {
    let affirmed: Set<String> = [
      "plan = \"free\" OR price = 0", #"openWeights = "true" OR EXISTS license"#,
      #"features = "functionCalling""#, "compliance.hipaa = true",
    ]
    let found = Set(Reading.reader.read(query).constraints.map(\.expression.canonical))
    #expect(found.isDisjoint(with: affirmed))
  }

  @Test("a number beyond any field is read without a crash")
  func enormous() async {
    // In processes of their own: an overflow would end this one.
    await #expect(processExitsWith: .success) {
      _ = QueryReader().read("context 99999999999999999999")
    }
    await #expect(processExitsWith: .success) {
      _ = QueryReader().read("under 99999999999999999999 ms")
    }
    await #expect(processExitsWith: .success) {
      _ = QueryReader().read("under $999999999 per token")
    }
    await #expect(processExitsWith: .success) {
      _ = QueryReader().read(String(repeating: "9", count: 990) + " context")
    }
  }
}
