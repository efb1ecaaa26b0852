import Search

/// The names of a small catalog, for the tests of queries.
struct FakeCatalog: CatalogNames {
  static let reader = QueryReader(names: FakeCatalog())

  private let providers = [
    "openai": "OpenAI", "mistral ai": "Mistral AI", "mistral": "Mistral", "google": "Google",
    "google vertex ai": "Google Vertex AI", "aws": "AWS", "microsoft": "Microsoft", "groq": "Groq",
    "amazon": "Amazon", "amazon bedrock": "Amazon Bedrock",
  ]
  private let members = [
    "llama": ["llama", "Llama3"], "qwen": ["qwen", "Qwen3"], "claude": ["claude-opus"],
    "mistral": ["mistral-large"], "gemini": ["gemini-pro"], "nova": ["nova"],
    "deepseek": ["deepseek"], "minimax": ["minimax"],
  ]
  private let services: [String: NamedService] = [
    "gpt-4o": NamedService(
      id: "gpt-4o", name: "GPT-4o",
      figures: [
        "inputPrice": .init(2_500_000_000, unit: 0), "outputPrice": .init(10_000_000_000, unit: 0),
        "contextWindow": .init(128_000), "latencyP95": .init(850),
        "releasedAt": .init(1_715_558_400_000),
      ]),
    "claude sonnet 4": NamedService(
      id: "claude", name: "Claude Sonnet 4", figures: ["tokensPerSecond": .init(62.5)]),
    "sprachdienst": NamedService(
      id: "s", name: "Sprachdienst", figures: ["pricePerMinute": .init(6_000_000, unit: 1)]),
    "broken": NamedService(
      id: "b", name: "Broken", figures: ["inputPrice": .init(.nan, unit: 90)]),
  ]

  func provider(_ folded: String) -> String? { providers[folded] }
  func families(_ folded: String) -> [String] { members[folded] ?? [] }
  func service(_ folded: String) -> NamedService? { services[folded] }
}
