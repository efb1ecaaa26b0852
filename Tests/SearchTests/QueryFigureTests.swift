import Primitives
import Search
import Testing

private let prices: [Reading] = [
  Reading("between $1 and $3 per million output tokens", ["outputPrice 1.00 TO 3.00"]),
  Reading("ocr $1-$3 per 1,000 images", ["pricePerImage 0.001 TO 0.003"], "ocr"),
  Reading("stt from 1 to 3 cents a minute", ["pricePerMinute 0.01 TO 0.03"], "stt"),
  Reading("transcription under 0.5 cents a minute", ["pricePerMinute < 0.005"], "transcription"),
  Reading("dictation below $0.60 per hour", ["pricePerMinute < 0.01"], "dictation"),
  Reading("under $0.0001 per second", ["pricePerMinute < 0.006"]),
  Reading("maps under $2 per 1,000 calls", ["pricePerCall < 0.002"], "maps"),
  Reading("at most 5 pence a request", [#"pricePerCall <= "0.05 GBP""#]),
  Reading("under $120 a year", ["monthlyFee < 10.00"]),
  Reading("input under $1/M and output under $4/M", ["inputPrice < 1.00", "outputPrice < 4.00"]),
  Reading("output not over $2 per million", ["outputPrice <= 2.00"]),
  Reading("we cannot pay more than 3 dollars per million input tokens", ["inputPrice <= 3.00"]),
  Reading("prompt tokens at most $0.25 per 1M", ["inputPrice <= 0.25"]),
  Reading("costs no more than CHF 4 a month", [#"monthlyFee <= "4.00 CHF""#]),
]

private let facts: [Reading] = [
  Reading("a million tokens of context", ["contextWindow >= 1000000"]),
  Reading("half a million tokens of context", ["contextWindow >= 500000"]),
  Reading("128k-token context", ["contextWindow >= 128000"]),
  Reading("128k+ context", ["contextWindow >= 128000"]),
  Reading("context >= 200,000", ["contextWindow >= 200000"]),
  Reading("books of about 300k tokens", ["contextWindow >= 300000"], "books of about"),
  Reading("max output 8k", ["maxOutputTokens >= 8000"]),
  Reading("16k output tokens or more", ["maxOutputTokens >= 16000"]),
  Reading("at least 100 tokens per second", ["tokensPerSecond >= 100"]),
  Reading("over 80 tokens/s", ["tokensPerSecond > 80"]),
  Reading("faster than half a second", ["latencyP95 < 500"]),
  Reading("below 0.5 s", ["latencyP95 < 500"]),
  Reading("latency under 3 seconds", ["latencyP95 < 3000"]),
  Reading("<300ms latency", ["latencyP95 < 300"]),
  Reading("time to first token below 0.8 s", ["timeToFirstToken < 800"]),
  Reading("three nines", ["uptime >= 99.9"]),
  Reading("uptime of at least 99.5 %", ["uptime >= 99.5"]),
  Reading("99.9 % availability", ["uptime >= 99.9"]),
  Reading("weather api rated 4 or better", ["rating >= 4"], "weather api"),
  Reading("ocr service with at least 4.5 stars", ["rating >= 4.5"], "ocr service"),
  Reading("model released after 2025", ["releasedAt >= 2026-01-01"], "model"),
  Reading("models since March 2025", ["releasedAt >= 2025-03-01"], "models"),
  Reading("llm newer than 2024-06", ["releasedAt >= 2024-07-01"], "llm"),
  Reading("model released before 2024-02-29", ["releasedAt < 2024-02-29"], "model"),
  Reading("model released in 2024", ["releasedAt 2024-01-01 TO 2024-12-31"], "model"),
  Reading("model released after December 2024", ["releasedAt >= 2025-01-01"], "model"),
]

private let features: [Reading] = [
  Reading("a model that takes images", [#"inputModalities = "image""#], "a model"),
  Reading(
    "model with text, image and audio inputs",
    [#"inputModalities = "image""#, #"inputModalities = "audio""#], "model"),
  Reading("llm that can read photos", [#"inputModalities = "image""#], "llm"),
  Reading("give it videos", [#"inputModalities = "video""#]),
  Reading(
    "chat without image and audio input",
    [#"NOT inputModalities = "image""#, #"NOT inputModalities = "audio""#], "chat"),
  Reading("outputs audio", [#"outputModalities = "audio""#]),
  Reading("accepts image or video input", [#"inputModalities IN ["image", "video"]"#]),
  Reading("draw illustrations", [], "draw illustrations"),
  Reading("servers in Germany", [#"regions IN ["de"]"#]),
  Reading("storage, data stays in Switzerland", [#"regions IN ["ch"]"#], "storage"),
  Reading("chat hosted in the US or Canada", [#"regions IN ["us", "ca"]"#], "chat"),
  Reading("French servers for a llm", [#"regions IN ["fr"]"#], "for a llm"),
  Reading("api of a provider based in Japan", [#"country IN ["jp"]"#], "api"),
  Reading(
    "storage, ISO 27001 and PCI DSS",
    ["compliance.iso27001 = true", "compliance.pcidss = true"], "storage"),
  Reading("GDPR compliant chat", ["compliance.gdpr = true"], "chat"),
  Reading(
    "apache licensed search engine",
    [#"license IN ["Apache-2.0", "Apache 2.0", "Apache License 2.0", "apache"]"#], "search engine"),
  Reading("mit license library", [#"license IN ["MIT", "MIT License"]"#], "library"),
  Reading("weather api, no sign-up", [#"authType = "none""#], "weather api"),
  Reading("speech api with a free tier", [#"plan = "free" OR price = 0"#], "speech api"),
  Reading("apps only", [#"kind = "app""#]),
  Reading(
    "chat model, streaming, json mode", [#"features = "streaming""#, #"features = "jsonMode""#],
    "chat model"),
]

private let languages: [Reading] = [
  Reading("unter 0,50 € pro Million Token", [#"inputPrice < "0.50 EUR""#]),
  Reading("höchstens 1.000 € im Monat", [#"monthlyFee <= "1000.00 EUR""#]),
  Reading(
    "Transkription unter 0,6 Cent pro Minute", [#"pricePerMinute < "0.006 EUR""#], "Transkription"),
  Reading("kostenlose Wetter API", [#"plan = "free" OR price = 0"#], "Wetter API"),
  Reading("modèle gratuit", [#"plan = "free" OR price = 0"#], "modèle"),
  Reading("moins de 2 euros par million de tokens", [#"inputPrice < "2.00 EUR""#]),
  Reading("traductor gratis", [#"plan = "free" OR price = 0"#], "traductor"),
  Reading("menos de 0,01 dólares por llamada", ["pricePerCall < 0.01"]),
  Reading("免费的天气接口", [#"plan = "free" OR price = 0"#], "的天气接口"),
  Reading("图像输入", [#"inputModalities = "image""#]),
  Reading("低于0.5美元每百万输入", ["inputPrice < 0.50"]),
  Reading("文字转语音", [], "文字转语音"),
  Reading("Sprache in Text umwandeln", [], "Sprache in Text umwandeln"),
  Reading("Stellenangebote in Deutschland", [], "Stellenangebote in Deutschland"),
]

/// What the judged needs with computed truth ask for, in other words.
private let tasks: [Reading] = [
  Reading(
    "an llm able to see pictures and call tools, 200k context or more",
    [#"inputModalities = "image""#, #"features = "functionCalling""#, "contextWindow >= 200000"],
    "an llm"),
  Reading(
    "input may cost at most 10 cents per million tokens and tool calls are a must",
    ["inputPrice <= 0.10", #"features = "functionCalling""#], "tasks"),
  Reading(
    "one million tokens of context for less than $1 per million input tokens",
    ["contextWindow >= 1000000", "inputPrice < 1.00"]),
  Reading("we give it audio recordings", [#"inputModalities = "audio""#], "we"),
  Reading(
    "create photos over your API", [#"outputModalities = "image""#], "create photos over your API"),
  Reading(
    "structured outputs, vision, under 50 cents per million tokens in",
    [#"features = "structuredOutputs""#, #"inputModalities = "image""#, "inputPrice < 0.50"]),
  Reading(
    "takes pdfs as input and can reason",
    [#"inputModalities = "file""#, #"features = "reasoning""#]),
  Reading(
    "gemini, audio and video input, at most $1 per 1M input tokens",
    [#"inputModalities = "audio""#, #"inputModalities = "video""#, "inputPrice <= 1.00"], "gemini"),
  Reading(
    "text-only model with reasoning, input at most $0.60/M",
    [
      #"NOT inputModalities IN ["image", "audio", "video"]"#, #"features = "reasoning""#,
      "inputPrice <= 0.60",
    ]),
  Reading(
    "which can handle text, pictures and audio together",
    [#"inputModalities = "image""#, #"inputModalities = "audio""#]),
  Reading(
    "long contracts (around 500k tokens), never more than $2 per million input tokens",
    ["contextWindow >= 500000", "inputPrice <= 2.00"]),
  Reading(
    "a vision model for free, to try",
    [#"inputModalities = "image""#, #"plan = "free" OR price = 0"#]),
]

@Suite("Figures, features and languages in a query")
struct QueryFigureTests {
  @Test("a figure is read in its own unit", arguments: prices + facts)
  func readsFigures(reading: Reading) throws { try check(reading, text: true) }

  @Test("a feature or place is read where it is said as one", arguments: features)
  func readsFeatures(reading: Reading) throws { try check(reading, text: true) }

  @Test("the commonest conditions are read in other languages", arguments: languages)
  func readsLanguages(reading: Reading) throws { try check(reading, text: true) }

  @Test("a need with several conditions is understood whole", arguments: tasks)
  func readsTasks(reading: Reading) throws { try check(reading, text: false) }

  private func check(_ reading: Reading, text: Bool) throws {
    let result = FakeCatalog.reader.read(reading.query)
    #expect(result.constraints.map(\.expression.canonical) == reading.filters)
    if text { #expect(result.text == reading.text) }
    #expect(result.notes.isEmpty)
    for constraint in result.constraints {
      let again = try FilterParser.parse(constraint.expression.canonical)
      #expect(again == constraint.expression)
      #expect(constraint.span.upperBound <= reading.query.utf16.count)
      #expect(!constraint.label.isEmpty)
    }
  }

  @Test("the European Union is its name and its members")
  func union() throws {
    let result = FakeCatalog.reader.read("eu hosted database")
    let constraint = try #require(result.constraints.first)
    let text = constraint.expression.canonical
    #expect(text.hasPrefix(#"regions IN ["eu", "#))
    for member in ["de", "fr", "se", "pt"] { #expect(text.contains("\"\(member)\"")) }
    for other in ["uk", "ch", "us"] { #expect(!text.contains("\"\(other)\"")) }
    #expect(constraint.label == "hosted in the EU")
    #expect(
      FakeCatalog.reader.read("eu-hosted database").constraints.map(\.key) == [constraint.key])
  }

  @Test(
    "a price that no field has is said, and is no condition",
    arguments: ["characters", "page", "user"])
  func unpriced(thing: String) {
    let result = FakeCatalog.reader.read("text to speech under $15 per \(thing)")
    #expect(result.constraints.isEmpty)
    #expect(result.text == "text to speech")
    #expect(result.notes.count == 1)
    #expect(result.notes.first?.contains(thing) == true)
    #expect(FakeCatalog.reader.read("tts $0.015/1k chars or less").constraints.isEmpty)
  }

  @Test("a removed chip is gone; its words are searched again where they tell a need")
  func removed() {
    let query = "free speech to text under $1 a month"
    let all = FakeCatalog.reader.read(query)
    #expect(all.constraints.count == 2)
    #expect(all.text == "speech to text")
    for chip in all.constraints {
      for name in [chip.key, chip.label] {
        let rest = FakeCatalog.reader.read(query, ignoring: [name])
        #expect(rest.constraints == all.constraints.filter { $0 != chip })
        let isFigure = chip.key.hasPrefix("monthlyFee")
        #expect(rest.text == (isFigure ? "speech to text" : "free speech to text"))
      }
    }
  }

  @Test("a condition said twice is one chip, with one key")
  func twice() {
    let result = FakeCatalog.reader.read(
      "image input, under $1 a month, image input, max $1 a month")
    #expect(
      result.constraints.map(\.key) == [
        #"inputModalities = "image""#, "monthlyFee < 1.00", "monthlyFee <= 1.00",
      ])
    #expect(
      FakeCatalog.reader.read("takes images").constraints.map(\.key) == [
        #"inputModalities = "image""#
      ])
  }
}
