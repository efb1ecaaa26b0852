import Catalog
import Primitives
import Search
import Testing

/// A word with a typo, and the listing that is meant.
private let typos: [(String, String)] = [
  ("wether", "weather-now"), ("waether", "weather-now"), ("weahter", "storm-alert"),
  ("wheather", "weather-now"), ("stom", "storm-alert"), ("speach", "speech-kit"),
  ("robt", "robot-desk"), ("robots", "robot-desk"), ("calendra", "calendar-sync"),
  ("calindra", "calendar-sync"), ("calendaarr", "calendar-sync"), ("kalendar", "calendar-sync"),
  // What is found by its stem is corrected as it is written.
  ("transltion", "translate-hub"), ("tranlation", "translate-hub"), ("meetngs", "speech-kit"),
  ("lnguages", "translate-hub"),
]

@Suite("Words of a query")
struct TextSearchTests {
  @Test("a typo finds what was meant", arguments: typos)
  func typo(word: String, id: String) async throws {
    let world = try await World(try Shop.listings())
    let answer = try world.search(word)
    #expect(answer.ids.contains(id))
  }

  @Test(
    "what is too far, too short or a number is not corrected",
    arguments: [
      "beather", "wxxther", "wea", "rbt", "kalindra", "cxlxndxr", "4p", "gpt5", "storm7",
      "zzzzzzzz",
    ])
  func noCorrection(word: String) async throws {
    let world = try await World(try Shop.listings())
    let answer = try world.search(word)
    #expect(answer.total == 0)
    #expect(answer.didYouMean == nil)
  }

  @Test("a correction is offered as a word")
  func didYouMean() async throws {
    let world = try await World(try Shop.listings())
    #expect(try world.search("wether for boats").didYouMean == "weather for boats")
    #expect(try world.search("weather").didYouMean == nil)
    // The offered word must be one that people write, not a stem of it.
    #expect(try world.search("illustrtion").didYouMean == "illustration")
  }

  @Test("an exact word is not corrected to a more frequent one")
  func exactBeatsCorrected() async throws {
    var services = try Shop.listings()
    services.append(try listing("loom", ["name": "Loom", "tagline": "For every weaver"]))
    let world = try await World(services)
    let answer = try world.search("weaver")
    #expect(answer.ids == ["loom"])
    #expect(answer.didYouMean == nil)
  }

  @Test(
    "the last word is a beginning while it is typed",
    arguments: [
      ("cal", "calendar-sync"), ("calen", "calendar-sync"), ("ro", "robot-desk"),
      ("weather illus", "picture-studio"), ("temp", "weather-now"),
    ])
  func prefix(query: String, id: String) async throws {
    let world = try await World(try Shop.listings())
    let typing = try world.search(query) { $0.isPrefix = true }
    #expect(typing.ids.contains(id))
    let whole = try world.search(query)
    #expect(!whole.ids.contains(id))
  }

  @Test("only the last word is a beginning")
  func prefixOfLast() async throws {
    let world = try await World(try Shop.listings())
    let answer = try world.search("calen storm") { $0.isPrefix = true }
    #expect(!answer.ids.contains("calendar-sync"))
    #expect(answer.ids.contains("storm-alert"))
  }

  @Test(
    "a service whose very name or id is asked for comes first",
    arguments: [
      ("gpt-4o", "gpt-4o"), ("GPT-4o", "gpt-4o"), ("gpt 4o", "gpt-4o"),
      ("GPT-4o mini", "gpt-4o-mini"), ("old-oracle", "old-oracle"),
      ("oracle", "old-oracle"), ("Weather Now", "weather-now"),
    ])
  func exactName(query: String, id: String) async throws {
    let world = try await World(try Shop.listings())
    let answer = try world.search(query)
    #expect(answer.ids.first == id)
    #expect(answer.queryClass == .name)
  }

  @Test("a name that holds a word of a condition is still found first")
  func nameWithCondition() async throws {
    let world = try await World([
      try listing("free-dictionary", ["name": "Free Dictionary", "offers": [offer(milli: 5)]]),
      try listing(
        "other",
        [
          "name": "Word List", "tagline": "A dictionary",
          "offers": [["id": "free", "plan": "free"]],
        ]),
    ])
    let answer = try world.search("Free Dictionary")
    #expect(answer.ids.first == "free-dictionary")
  }

  @Test("an excluded word leaves its services out")
  func exclusion() async throws {
    let world = try await World(try Shop.listings())
    let weather = try world.search("weather")
    #expect(Set(weather.ids) == Set(["storm-alert", "weather-now"]))
    #expect(try world.search("weather -storm").ids == ["weather-now"])
    #expect(try world.search("weather -storms").ids == ["weather-now"])
    #expect(try world.search("weather -storm -wind").total == 0)
    let all = try world.search().total
    #expect(try world.search("-weather").total == all - 2)
    #expect(try world.search("weather -unheard").total == 2)
  }

  @Test("a phrase must stand as it is written")
  func phrase() async throws {
    let world = try await World(try Shop.listings())
    #expect(try world.search("\"speech to text\"").ids == ["speech-kit"])
    #expect(try world.search("\"text to speech\"").ids == ["voice-maker"])
    let words = try world.search("speech to text")
    #expect(words.ids.contains("speech-kit"))
    #expect(words.ids.contains("voice-maker"))
  }

  @Test("a phrase that stands nowhere is no condition")
  func phraseNowhere() async throws {
    let world = try await World(try Shop.listings())
    let quoted = try world.search("\"weather robot\"")
    let words = try world.search("weather robot")
    #expect(quoted.ids == words.ids)
    #expect(quoted.total > 0)
  }

  @Test(
    "words of one meaning find each other",
    arguments: [
      ("transcribe", "speech-kit"), ("stt", "speech-kit"), ("tts", "voice-maker"),
      ("photo", "picture-studio"), ("image", "picture-studio"),
    ])
  func synonym(query: String, id: String) async throws {
    let world = try await World(try Shop.listings())
    let answer = try world.search(query)
    #expect(answer.ids.contains(id))
  }

  @Test(
    "accents, case and forms of a word do not matter",
    arguments: ["WEATHER", "wéather", "Wěather", "weathers", "(weather)", "weather!"])
  func folding(query: String) async throws {
    let world = try await World(try Shop.listings())
    let answer = try world.search(query)
    #expect(answer.ids.contains("weather-now"))
  }

  @Test("parts of a name in camel case are found")
  func camelCase() async throws {
    let world = try await World([
      try listing("a", ["name": "getWeatherReport"]), try listing("b", ["name": "Other"]),
    ])
    #expect(try world.search("weather").ids == ["a"])
    #expect(try world.search("getweatherreport").ids == ["a"])
  }

  @Test("a word of only a description finds its service, after those that have it in the name")
  func fields() async throws {
    let world = try await World([
      try listing("body", ["name": "One", "description": "About anchors."]),
      try listing("title", ["name": "Anchors aweigh"]), try listing("none", ["name": "Two"]),
    ])
    #expect(try world.search("anchor").ids == ["title", "body"])
  }

  @Test("without a model the text leg stands alone, and the answer says so")
  func degraded() async throws {
    let world = try await World(try Shop.listings())
    let answer = try world.search("weather") { $0.semantic = 1 }
    #expect(answer.degraded == ["vectors"])
    let isTextOnly = answer.hits.allSatisfy { $0.vectorScore == 0 && $0.score > 0 }
    #expect(isTextOnly)
    #expect(try world.search().degraded.isEmpty)
  }
}
