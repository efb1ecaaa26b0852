import Search
import Testing

/// Needs whose words look like conditions.
private let needs: [String] = [
  "free text search", "free time activities", "free parking nearby", "sugar free recipes",
  "gluten free bakery", "royalty free music", "let clients pick a free slot for a call",
  "search scientific papers that are free to read", "hands free calling",
  "a list of free champion rotations for my team",
  "movies on Hulu, and on Peacock for free with my friends tonight",
  "context menu builder", "5 context menus", "right click context menu",
  "not working anymore", "without leaving home", "under the hood", "under the sea documentary",
  "cheap flights to Rome", "the image of a vision board", "vision board maker",
  "open source license checker", "search open source repositories", "list of open source projects",
  "text to speech", "speech to text", "image to text", "audio to text", "take pictures of birds",
  "read PDF files aloud", "resize images", "compress video files", "convert audio files",
  "create an audio output that reads the text", "image input field for a web form",
  "laptops under $1000", "phones below INR 20,000", "flights under $300",
  "hotels under $80 a night", "tell me when bitcoin drops below $90", "stocks over $50",
  "movies released in 2010 with a happy end and subtitles",
  "articles published after 2023-03-15", "home rated above 4.2 for 2 people in Rio de Janeiro",
  "housekeeper with an average rating of at least 4.9 on March 19 at noon",
  "homes with at least 3 bedrooms", "wait up to 600 seconds for a ride", "within 500 meters",
  "beats with a confidence below 50%", "video clips under 2 seconds long",
  "job listings in Germany", "verify the VAT id of a business customer in the EU",
  "shopping websites in the US region for my friends and me",
  "weather in Switzerland", "the country it is hosted in", "help us find a home",
  "streaming services with this movie", "movies available for streaming in the US",
  "is gdpr a law", "gdpr consent banner", "soc 2 audit checklist", "hipaa training quiz",
  "implement oauth in my app", "fix cors errors", "mit opencourseware lectures", "apache kafka",
  "apache logs", "moral reasoning puzzles", "logical reasoning test",
  "tool use in animals for kids",
  "no key signature", "no code website builder", "most popular songs", "latest news",
  "best rated restaurants", "top 10 podcasts", "since 2019 I have studied wildlife",
  "minimum wage by state", "maximum heart rate", "between 2 and 4 players", "24/7 support chat",
  "gpt-4o", "text-embedding-3-large", "version 1.2.3", "windows 11 drivers", "a 4k monitor",
  "200k subscribers", "50 million songs", "1 million dollar homepage",
]

@Suite("Words that only look like conditions")
struct QueryNegativeTests {
  @Test("a need stays words", arguments: needs)
  func need(query: String) {
    let result = FakeCatalog.reader.read(query)
    #expect(result.constraints.isEmpty, "\(result.constraints.map(\.label))")
    #expect(result.notes.isEmpty)
    let words = query.split { " ,".contains($0) }
    #expect(result.text.split { " ,".contains($0) } == words)
  }

  @Test("a quoted word is no condition")
  func quoted() {
    let result = FakeCatalog.reader.read(#""free" maps with "image input" by "OpenAI""#)
    #expect(result.constraints.isEmpty)
    #expect(result.phrases == ["free", "image input", "OpenAI"])
  }
}
