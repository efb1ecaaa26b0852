internal import HTTPServer
internal import Primitives

/// Pages that the server writes itself: no script, one style sheet, every value escaped.
enum Page {
  /// Where the style sheet is.
  static let stylePath = "/oauth/page.css"

  /// What a page may load and where its forms may lead (specification core, 7): to ourselves. Browsers hold
  /// `form-action` against every step that the answer to a form leads to, so what leads elsewhere is a page (`leave`).
  static let policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    + "img-src 'self' data:; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; "
    + "form-action 'self'"

  /// A whole page.
  ///
  /// - Parameter body: HTML, its values escaped.
  static func response(
    _ title: String, _ body: String, status: Int = 200, head: String = ""
  ) -> Response {
    let text = """
      <!doctype html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      \(head)<title>\(escaped(title)) - Waypost</title>
      <link rel="stylesheet" href="\(stylePath)">
      </head>
      <body>
      <main>
      <h1>\(escaped(title))</h1>
      \(body)
      </main>
      </body>
      </html>

      """
    return Response(
      status: status,
      headers: [
        (name: "Content-Type", value: "text/html; charset=utf-8"),
        // With no-referrer a browser would not say where a form comes from, which we look at.
        (name: "Referrer-Policy", value: "same-origin"),
        (name: "Content-Security-Policy", value: policy),
      ], body: .bytes(Array(text.utf8)))
  }

  /// A page that leads on at once, and by a link where a browser wants a person's hand for it, as some do before
  /// they open an app.
  ///
  /// - Parameter words: Says where the link leads; HTML, its values escaped.
  static func leave(to address: String, _ words: String) -> Response {
    response(
      "One moment", "<p><a href=\"\(escaped(address))\">\(words)</a></p>",
      head: refresh(to: address, seconds: 0))
  }

  /// A page that only leads on to an address of ours, from ourselves.
  static func again(_ address: String) -> Response { leave(to: address, "Go on") }

  /// What makes a browser open an address after a while, without a script.
  static func refresh(to address: String, seconds: Int) -> String {
    "<meta http-equiv=\"refresh\" content=\"\(seconds); url=\(escaped(address))\">\n"
  }

  /// Names and values, a line each; both are escaped here.
  static func facts(_ rows: [(name: String, value: String)]) -> String {
    let lines = rows.map { "<dt>\(escaped($0.name))</dt><dd>\(escaped($0.value))</dd>" }
    return "<dl>\n" + lines.joined(separator: "\n") + "\n</dl>"
  }

  /// Text as it may stand in HTML, between tags or in a quoted attribute.
  static func escaped(_ text: String) -> String {
    var output = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": output += "&amp;"
      case "<": output += "&lt;"
      case ">": output += "&gt;"
      case "\"": output += "&quot;"
      case "'": output += "&#39;"
      default: output.unicodeScalars.append(scalar)
      }
    }
    return output
  }

  /// A field that is not seen.
  static func hidden(_ name: String, _ value: String) -> String {
    "<input type=\"hidden\" name=\"\(escaped(name))\" value=\"\(escaped(value))\">"
  }

  /// A sentence in red, or nothing.
  static func warning(_ text: String?) -> String {
    text.map { "<p class=\"warning\" role=\"alert\">\(escaped($0))</p>" } ?? ""
  }

  static let style = """
    :root { color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.5; }
    body { margin: 0; padding: 1rem; }
    main { max-width: 28rem; margin: 10vh auto 0; }
    h1 { font-size: 1.4rem; }
    label { display: block; margin-top: 1rem; }
    input { font: inherit; width: 100%; box-sizing: border-box; padding: 0.5rem; }
    button { font: inherit; margin: 1.5rem 0.5rem 0 0; padding: 0.5rem 1.2rem; }
    .warning { border-left: 0.25rem solid #c0392b; padding-left: 0.75rem; }
    .address { overflow-wrap: anywhere; }
    dt { font-weight: 600; margin-top: 0.6rem; }
    dd { margin: 0; overflow-wrap: anywhere; }

    """
}
