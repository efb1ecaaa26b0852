/// Whether a query speaks of services by their kind, so that words such as "free" or "rated" are of them.
struct QueryTopic {
  /// Words for what a catalog holds.
  static let kinds: Set<String> = [
    "api", "apis", "model", "models", "llm", "llms", "vlm", "service", "services", "tool", "tools",
    "app", "apps", "sdk", "endpoint", "endpoints", "provider", "providers", "server", "servers",
    "plugin", "plugins", "engine", "platform", "platforms", "saas", "mcp", "embedding",
    "embeddings",
    "transcription", "ocr", "tts", "stt", "chatbot", "hosting", "software", "library",
    "alternative",
    "alternatives", "modell", "modelle", "modèle", "modèles", "modelo", "modelos", "dienst",
    "模型", "接口",
  ]
  /// Words for a model of language.
  static let models: Set<String> = [
    "model", "models", "llm", "llms", "vlm", "vlms", "modell", "modèle", "modelo", "模型",
  ]
  private static let shortMax = 5

  private let isKind: [Bool]
  private let count: Int

  init(_ words: [QueryWord]) {
    isKind = words.map { QueryTopic.kinds.contains($0.folded) }
    count = words.count
  }

  /// Whether few words are left beside the conditions that were read: then it is a search for a service.
  func isShort(_ words: [QueryWord]) -> Bool {
    words.count { !$0.isUsed && !$0.isTaken } <= QueryTopic.shortMax
  }

  /// Whether a kind stands within some words before or behind a place, or the query says little else.
  func isNear(_ range: Range<Int>, before: Int = 5, after: Int = 4) -> Bool {
    if count - range.count <= QueryTopic.shortMax - 2 { return true }
    let first = max(range.lowerBound - before, 0)
    let last = min(range.upperBound + after, count)
    return isKind[first..<last].contains(true)
  }

  /// Whether a kind stands within some words behind a place.
  func isBefore(_ place: Int, within distance: Int) -> Bool {
    place < count && isKind[place..<min(place + distance, count)].contains(true)
  }
}
