package import HTTPServer

extension Response {
  /// Adds what every answer has to keep a browser safe (specification core, 7), where the answer has not said
  /// otherwise.
  ///
  /// - Parameter isSecure: Whether users come by HTTPS.
  package mutating func addSafetyHeaders(isSecure: Bool) {
    addHeader("X-Content-Type-Options", "nosniff")
    addHeader("Referrer-Policy", "no-referrer")
    addHeader("Cross-Origin-Opener-Policy", "same-origin")
    addHeader("Cross-Origin-Resource-Policy", "same-origin")
    addHeader("Cache-Control", "no-store")
    addHeader("Content-Security-Policy", Page.policy)
    if isSecure { addHeader("Strict-Transport-Security", "max-age=31536000; includeSubDomains") }
  }

  /// Adds a header that the answer does not have yet.
  mutating func addHeader(_ name: String, _ value: String) {
    if header(name) == nil { headers.append((name: name, value: value)) }
  }
}
