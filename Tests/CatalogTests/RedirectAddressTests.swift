import Catalog
import Primitives
import Testing

@Suite("Addresses that sessions go to")
struct RedirectAddressTests {
  static let local: [(String, Bool)] = [
    ("http://127.0.0.1", true), ("http://127.0.0.1/start", true),
    ("http://127.0.0.1:8080/start", true), ("http://localhost:1/", true),
    ("http://[::1]:65535/start?a=b", true), ("http://localhost", true),
    ("http://localhost.example.com/", false), ("http://localhost@example.com/", false),
    ("http://127.0.0.1.example.com/", false), ("http://127.0.0.1:80@example.com/", false),
    ("http://127.0.0.1:/start", false), ("http://127.0.0.1:123456/", false),
    ("https://127.0.0.1/", false), ("http://example.com/", false), ("HTTP://localhost/", false),
    ("http://127.0.0.2/", false), ("", false),
  ]

  @Test("only the machine itself is local", arguments: local)
  func isLocal(link: String, isLocal: Bool) {
    #expect(RedirectAddress.isLoopback(link) == isLocal)
  }

  @Test("a listing may register https and local addresses, no other", arguments: local)
  func registers(link: String, isLocal: Bool) {
    let isHTTPS = link.hasPrefix("https://")
    let found = faults(document(["redirectUris": [.string(link)]])).map(\.pointer)
    // An empty text is refused as an entry of the list.
    #expect(found.isEmpty == (isLocal || isHTTPS), "\(found)")
  }

  static let origins: [(String, String?)] = [
    ("https://app.example.com", "https://app.example.com"),
    ("https://App.Example.com/a/b?c#d", "https://app.example.com"),
    ("https://app.example.com:443/", "https://app.example.com"),
    ("https://app.example.com:8443/", "https://app.example.com:8443"),
    ("https://app.example.com?x", "https://app.example.com"),
    ("http://127.0.0.1:9/a", "http://127.0.0.1:9"), ("https://user@example.com/", nil),
    ("https:///a", nil), ("ftp://example.com/", nil), ("https:example.com", nil), ("", nil),
  ]

  @Test("an origin is scheme, host and port as browsers send them", arguments: origins)
  func origin(link: String, origin: String?) {
    #expect(RedirectAddress.origin(of: link) == origin)
  }
}
