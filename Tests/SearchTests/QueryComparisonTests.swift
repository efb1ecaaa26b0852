import Primitives
import Search
import Testing

private let compared: [Reading] = [
  Reading("cheaper than gpt-4o", ["inputPrice < 2.50"]),
  Reading("chat model cheaper than GPT-4o", ["inputPrice < 2.50"], "chat model"),
  Reading("something like gpt-4o but cheaper", ["inputPrice < 2.50"], "something like gpt-4o"),
  Reading("same as gpt-4o but faster", ["latencyP95 < 850"], "same as gpt-4o"),
  Reading("cheaper alternative to gpt-4o", ["inputPrice < 2.50"], "cheaper alternative to gpt-4o"),
  Reading("cheaper output than gpt-4o", ["outputPrice < 10.00"]),
  Reading("faster than Claude Sonnet 4", ["tokensPerSecond > 62.5"]),
  Reading("bigger context than gpt-4o", ["contextWindow > 128000"]),
  Reading("models newer than gpt-4o", ["releasedAt > 2024-05-13"], "models"),
  Reading(
    "speech to text cheaper than Sprachdienst", [#"pricePerMinute < "0.006 EUR""#], "speech to text"
  ),
  Reading(
    "same as gpt-4o but open source", [#"openWeights = "true" OR EXISTS license"#],
    "same as gpt-4o but open source"),
]

@Suite("Comparisons with a named service")
struct QueryComparisonTests {
  @Test("a comparison takes the number of the service that it names", arguments: compared)
  func compares(reading: Reading) throws {
    let result = FakeCatalog.reader.read(reading.query)
    #expect(result.constraints.map(\.expression.canonical) == reading.filters)
    #expect(result.text == reading.text)
    #expect(result.notes.isEmpty)
    for constraint in result.constraints {
      let again = try FilterParser.parse(constraint.expression.canonical)
      #expect(again == constraint.expression)
    }
  }

  @Test("the chip says what was compared with, and the number")
  func label() throws {
    let result = FakeCatalog.reader.read("cheaper than gpt-4o")
    #expect(result.constraints.map(\.label) == ["input price under 2.50 USD (GPT-4o’s)"])
  }

  @Test(
    "an unknown service or an unknown number is said, and is no condition",
    arguments: [
      ("cheaper than frobnicator", "No service named “frobnicator”"),
      ("cheaper than claude sonnet 4", "The input price of Claude Sonnet 4 is not known"),
      ("like claude sonnet 4 but cheaper", "The input price of Claude Sonnet 4 is not known"),
      ("faster than sprachdienst", "latency"),
      ("cheaper than broken", "The input price of Broken is not known"),
    ])
  func notes(row: (String, String)) throws {
    let result = FakeCatalog.reader.read(row.0)
    #expect(result.constraints.isEmpty)
    #expect(result.text == row.0)
    let note = try #require(result.notes.first)
    #expect(note.contains(row.1))
    #expect(result.notes.count == 1)
  }

  @Test(
    "everyday comparisons are words",
    arguments: [
      "faster than a taxi", "cheaper than any other hotel", "bigger than life posters",
      "nothing like before", "cheaper flights than usual",
    ])
  func everyday(query: String) {
    let result = FakeCatalog.reader.read(query)
    #expect(result.constraints.isEmpty)
    #expect(result.notes.isEmpty)
    #expect(result.text == query)
  }
}

private let excluded: [Reading] = [
  Reading("chat not Mistral AI", [#"provider != "Mistral AI""#], "chat"),
  Reading(
    "chat without OpenAI or Google", [#"provider != "OpenAI""#, #"provider != "Google""#], "chat"),
  Reading("anything but AWS", [#"provider != "AWS""#]),
  Reading("maps, no Microsoft", [#"provider != "Microsoft""#], "maps"),
  Reading("models not by Google Vertex AI", [#"provider != "Google Vertex AI""#], "models"),
  Reading(
    "model, not openai, google and aws",
    [#"provider != "OpenAI""#, #"provider != "Google""#, #"provider != "AWS""#], "model"),
  Reading(
    "chat tool but not llama model",
    [#"NOT modelFamily IN ["Llama3", "llama"] OR NOT EXISTS modelFamily"#], "chat tool"),
  Reading(
    "chat model but not llama",
    [#"NOT modelFamily IN ["Llama3", "llama"] OR NOT EXISTS modelFamily"#], "chat model"),
  Reading(
    "no mistral",
    [
      #"provider != "Mistral" AND (NOT modelFamily IN ["mistral-large"] OR NOT EXISTS modelFamily)"#
    ]),
  Reading("storage not hosted in the US", [#"NOT regions IN ["us"]"#], "storage"),
  Reading("chat without function calling", [#"NOT features = "functionCalling""#], "chat"),
]

private let named: [Reading] = [
  Reading(
    "a llama model for chat", [#"modelFamily IN ["Llama3", "llama"]"#], "a llama model for chat"),
  Reading("qwen family model", [#"modelFamily IN ["Qwen3", "qwen"]"#], "qwen family model"),
  Reading("Groq hosted model", [#"provider = "Groq""#], "model"),
  Reading("an OpenAI model for agents", [#"provider = "OpenAI""#], "an OpenAI model for agents"),
  Reading("Mistral AI models", [#"provider = "Mistral AI""#], "Mistral AI models"),
  Reading("a Mistral model", [#"modelFamily IN ["mistral-large"]"#], "a Mistral model"),
  Reading("model hosted by Groq", [#"provider = "Groq""#], "model"),
  Reading("chat model on Amazon Bedrock", [#"provider = "Amazon Bedrock""#], "chat model"),
  Reading("embeddings API from Google", [#"provider = "Google""#], "embeddings API"),
]

@Suite("Names in a query")
struct QueryNameTests {
  @Test("a denied name is left out, each of a list by itself", arguments: excluded)
  func exclusions(reading: Reading) throws {
    let result = FakeCatalog.reader.read(reading.query)
    #expect(result.constraints.map(\.expression.canonical) == reading.filters)
    #expect(result.text == reading.text)
    for constraint in result.constraints {
      let again = try FilterParser.parse(constraint.expression.canonical)
      #expect(again == constraint.expression)
      #expect(constraint.label.hasPrefix("not "))
    }
  }

  @Test("a family or provider is a condition where it is said as one", arguments: named)
  func names(reading: Reading) {
    let result = FakeCatalog.reader.read(reading.query)
    #expect(result.constraints.map(\.expression.canonical) == reading.filters)
    #expect(result.text == reading.text)
  }

  @Test("the family may stand behind")
  func fromFamily() {
    let result = FakeCatalog.reader.read("something from the qwen family")
    #expect(
      result.constraints.map(\.expression.canonical) == [#"modelFamily IN ["Qwen3", "qwen"]"#])
  }

  @Test(
    "a bare name stays a name",
    arguments: [
      "llama", "claude with tools for knitting", "import photos from Google", "gemini horoscope",
      "send mail through Microsoft", "songs about aws", "mistral wind forecast",
      "no llamas allowed",
      "not a problem", "nova scotia ferries", "qwen3-coder",
    ])
  func bare(query: String) {
    let result = FakeCatalog.reader.read(query)
    let fields = Set(result.constraints.flatMap(\.expression.fields))
    #expect(fields.isDisjoint(with: ["provider", "modelFamily"]))
    #expect(result.notes.isEmpty)
  }
}
