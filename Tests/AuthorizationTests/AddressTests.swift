import Authorization
import Testing

@Suite("Addresses")
struct AddressTests {
  @Test(
    "what a client may register",
    arguments: [
      ("https://app.example/cb", true), ("https://app.example", true),
      ("https://app.example:8443/cb?a=b", true), ("http://127.0.0.1/cb", true),
      ("http://[::1]:4711/cb", true), ("http://localhost/cb", true),
      ("http://app.example/cb", false), ("https://app.example/cb#part", false),
      ("https://user@app.example/cb", false), ("https://app.example\\@evil.example/", false),
      ("https://app.example/a/../b", false), ("https://app.example/%2e%2e/b", false),
      ("https://", false), ("https:///cb", false), ("https://app.example:0/cb", false),
      ("https://app.example:99999/cb", false), ("https://app.example:+80/cb", false),
      ("https://APP.example/cb", false), ("javascript:alert(1)", false),
      ("https://app.example/\u{00e9}", false), ("https://app.example/a b", false),
      ("http://127.0.0.1.evil.example/cb", false), ("http://localhost@evil.example/", false),
      ("", false), ("//app.example/cb", false), ("com.example.app:/cb", false),
      ("https://app.example/cb?code=1", false), ("https://app.example/cb?a=b&iss=x", false),
      ("https://app.example/cb?isss=x", true), ("http://127.0.0.1/cb?state", false),
    ])
  func registered(text: String, isAcceptable: Bool) {
    #expect(RedirectURI.isAcceptable(text) == isAcceptable)
  }

  @Test(
    "an app's scheme is a domain read backwards, with one slash after it",
    arguments: [
      ("com.example.app:/cb", true), ("com.example.app:/", true), ("com.example:/a/b?x=1", true),
      ("com.ex-ample.app1:/cb", true), ("com.example.app:/cb?code=1", false),
      ("com.example.app://cb", false), ("com.example.app:cb", false), ("com.example.app:", false),
      ("myapp:/cb", false), ("com..app:/cb", false), (".com.app:/cb", false),
      ("com.app.:/cb", false), ("1com.app:/cb", false), ("Com.example.app:/cb", false),
      ("com.example.app:/a/../b", false), ("com.example.app:/cb#x", false),
      ("com.-app:/cb", false), ("com.a_b:/cb", false), ("com.a+b:/cb", false),
      ("javascript:/alert(1)", false), ("data:/x", false), ("file:/etc/passwd", false),
      ("com.example.app:/a b", false), ("com.example.\u{00e9}:/cb", false),
      ("http://app.example/cb", false), ("https://app.example/cb", true),
    ])
  func apps(text: String, isAcceptable: Bool) {
    #expect(RedirectURI.isAcceptableToPublic(text) == isAcceptable)
  }

  @Test(
    "a program that describes itself may use the scheme of its own host only",
    arguments: [
      ("example.tool:/cb", "tool.example", true), ("example.tool.ios:/cb", "tool.example", true),
      ("example.toolbox:/cb", "tool.example", false), ("example.other:/cb", "tool.example", false),
      ("com.bank:/cb", "tool.example", false), ("example.tool:/cb", "x.tool.example", false),
      ("http://127.0.0.1/cb", "tool.example", true),
      ("https://other.example/cb", "tool.example", true),
    ])
  func ownScheme(text: String, host: String, isAcceptable: Bool) {
    #expect(RedirectURI.isAcceptableToPublic(text, host: host) == isAcceptable)
  }

  @Test(
    "a request names a registered address byte by byte; on loopback the port may differ",
    arguments: [
      ("https://app.example/cb", "https://app.example/cb", true),
      ("https://app.example/cb/", "https://app.example/cb", false),
      ("https://app.example/cb?x=1", "https://app.example/cb", false),
      ("https://app.example:443/cb", "https://app.example/cb", false),
      ("https://app.example/CB", "https://app.example/cb", false),
      ("https://app.example.evil.example/cb", "https://app.example/cb", false),
      ("https://sub.app.example/cb", "https://app.example/cb", false),
      ("http://127.0.0.1:51004/cb", "http://127.0.0.1/cb", true),
      ("http://127.0.0.1:51004/cb", "http://127.0.0.1:1/cb", true),
      ("http://[::1]:51004/cb", "http://[::1]/cb", true),
      ("http://localhost:51004/cb", "http://localhost/cb", true),
      ("http://127.0.0.1:51004/other", "http://127.0.0.1/cb", false),
      ("http://127.0.0.1:51004/cb#x", "http://127.0.0.1/cb", false),
      ("http://localhost:51004/cb", "http://127.0.0.1/cb", false),
      ("https://127.0.0.1:51004/cb", "http://127.0.0.1/cb", false),
      ("http://127.0.0.1:51004@evil.example/cb", "http://127.0.0.1/cb", false),
      ("http://127.0.0.1.evil.example:80/cb", "http://127.0.0.1/cb", false),
      ("com.example.app:/cb", "com.example.app:/cb", true),
      ("com.example.app:/cb/", "com.example.app:/cb", false),
      ("com.example.app:/cb?x=1", "com.example.app:/cb", false),
      ("com.example.app2:/cb", "com.example.app:/cb", false),
    ])
  func matching(given: String, registered: String, isMatch: Bool) {
    #expect(RedirectURI.matches(given, registered: registered) == isMatch)
  }

  @Test("a parameter that stands twice is refused, an empty one is not there")
  func parameters() throws {
    let form = OAuthForm([("a", "1"), ("a", "2"), ("b", ""), ("c", "x y&z")])
    #expect(throws: OAuthError.self) { try form.one("a") }
    #expect(try form.one("b") == nil)
    #expect(throws: OAuthError.self) { try form.needed("b") }
    #expect(form.encoded == "a=1&a=2&b=&c=x%20y%26z")
    #expect(OAuthForm([("a", "1")]).added(to: "https://x/?b=2") == "https://x/?b=2&a=1")
  }
}
