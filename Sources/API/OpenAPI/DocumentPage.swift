package import Primitives

/// The API's document as one HTML page, without scripts: a table of contents, the operations by chapter, the
/// shared schemas.
package struct DocumentPage {
  private let document: JSON

  package init(_ document: JSON) { self.document = document }

  package var html: String {
    let chapters = chapters
    return """
      <!doctype html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>Waypost HTTP API</title>
      <link rel="stylesheet" href="/docs/style.css">
      </head>
      <body>
      <a class="skip" href="#content">Skip to the routes</a>
      <header><h1>Waypost HTTP API</h1>
      <p>\(escaped(document["info"]?["description"]?.string ?? ""))</p>
      <p>Version \(escaped(document["info"]?["version"]?.string ?? "")); \
      <a href="/openapi.json">openapi.json</a></p></header>
      <nav aria-label="Chapters"><ul>
      \(chapters.map(contents).joined(separator: "\n"))
      <li><a href="#schemas">Schemas</a></li>
      </ul></nav>
      <main id="content">
      \(chapters.map(section).joined(separator: "\n"))
      <section><h2 id="schemas">Schemas</h2>
      \(schemas)
      </section>
      </main>
      </body>
      </html>
      """
  }

  // MARK: Chapters

  private typealias Entry = (method: String, path: String, operation: JSON)
  private typealias Chapter = (name: String, entries: [Entry])

  private var chapters: [Chapter] {
    var entries: [Entry] = []
    for path in document["paths"]?.object?.members ?? [] {
      for method in path.value.object?.members ?? [] {
        entries.append((method.key.uppercased(), path.key, method.value))
      }
    }
    let known = (document["tags"]?.array ?? []).compactMap { $0["name"]?.string }
    let all = known.map { name in
      (name, entries.filter { $0.operation["tags"]?.array?.first?.string == name })
    }
    return (all + [("Not described yet", entries.filter { $0.operation["tags"] == nil })])
      .filter { !$0.1.isEmpty }
  }

  private func anchor(_ name: String) -> String {
    String(name.lowercased().map { $0.isLetter || $0.isNumber ? $0 : "-" })
  }

  private func contents(_ chapter: Chapter) -> String {
    let links = chapter.entries.map { entry in
      "<li><a href=\"#\(entry.operation["operationId"]?.string ?? "")\"><code>\(entry.method) "
        + "\(escaped(entry.path))</code></a></li>"
    }
    return "<li><a href=\"#\(anchor(chapter.name))\">\(escaped(chapter.name))</a>"
      + "<ul>\(links.joined())</ul></li>"
  }

  private func section(_ chapter: Chapter) -> String {
    "<section><h2 id=\"\(anchor(chapter.name))\">\(escaped(chapter.name))</h2>\n"
      + chapter.entries.map(article).joined(separator: "\n") + "</section>"
  }

  // MARK: Operations

  private func article(_ entry: Entry) -> String {
    let operation = entry.operation
    var parts = [
      "<article id=\"\(operation["operationId"]?.string ?? "")\">",
      "<h3><span class=\"method\">\(entry.method)</span> <code>\(escaped(entry.path))</code></h3>",
      "<p>\(escaped(operation["summary"]?.string ?? "")). "
        + "\(escaped(operation["description"]?.string ?? ""))</p>",
    ]
    if let callers = words(operation["x-callers"]) {
      let scopes = words(operation["x-scopes"]).map { "; a key needs one of the scopes " + $0 }
      parts.append("<p>Caller: \(escaped(callers + (scopes ?? ""))).</p>")
    }
    if let repeats = operation["x-repeats"]?.string, repeats != "harmless" {
      parts.append("<p>Repeats: \(escaped(repeats)).</p>")
    }
    if let parameters = operation["parameters"]?.array, !parameters.isEmpty {
      parts.append(table(of: parameters))
    }
    for content in operation["requestBody"]?["content"]?.object?.members ?? [] {
      parts.append("<h4>Body, <code>\(escaped(content.key))</code></h4>")
      parts.append(shape(content.value["schema"] ?? .null))
    }
    parts.append(answers(operation["responses"]?.object ?? [:]))
    return parts.joined(separator: "\n") + "</article>"
  }

  private func words(_ list: JSON?) -> String? {
    list?.array.map { $0.compactMap(\.string).joined(separator: ", ") }
  }

  private func table(of parameters: [JSON]) -> String {
    let rows = parameters.map { parameter in
      "<tr><td><code>\(escaped(parameter["name"]?.string ?? ""))</code></td>"
        + "<td>\(escaped(parameter["in"]?.string ?? ""))"
        + "\(parameter["required"] == true ? ", required" : "")</td>"
        + "<td>\(shape(parameter["schema"] ?? .null))</td></tr>"
    }
    return "<table><caption>Parameters</caption><thead><tr><th scope=\"col\">Name</th>"
      + "<th scope=\"col\">Where</th><th scope=\"col\">What</th></tr></thead><tbody>"
      + rows.joined() + "</tbody></table>"
  }

  private func answers(_ responses: JSONObject) -> String {
    let rows = responses.members.sorted { $0.key < $1.key }.map { member -> String in
      let answer = resolved(member.value)
      let contents = (answer["content"]?.object?.members ?? [])
        .filter { $0.key != "application/problem+json" }
        .map { "<code>\(escaped($0.key))</code> " + shape($0.value["schema"] ?? .null) }
      return "<tr><td>\(escaped(member.key))</td>"
        + "<td>\(escaped(answer["description"]?.string ?? ""))\(contents.joined())</td></tr>"
    }
    return "<table><caption>Answers</caption><thead><tr><th scope=\"col\">Status</th>"
      + "<th scope=\"col\">What</th></tr></thead><tbody>" + rows.joined() + "</tbody></table>"
  }

  private func resolved(_ answer: JSON) -> JSON {
    guard let name = answer["$ref"]?.string?.split(separator: "/").last else { return answer }
    return document["components"]?["responses"]?[String(name)] ?? answer
  }

  // MARK: Schemas

  private var schemas: String {
    (document["components"]?["schemas"]?.object?.members ?? []).map { member in
      "<article id=\"schema-\(escaped(member.key))\"><h3>\(escaped(member.key))</h3>"
        + shape(member.value) + "</article>"
    }.joined(separator: "\n")
  }

  /// A schema in words, its members as a list.
  private func shape(_ schema: JSON) -> String {
    if let name = schema["$ref"]?.string?.split(separator: "/").last {
      return "<a href=\"#schema-\(escaped(String(name)))\">\(escaped(String(name)))</a>"
    }
    for (key, word) in [("anyOf", " or "), ("allOf", " and ")] {
      guard let parts = schema[key]?.array else { continue }
      return parts.map(shape).joined(separator: word) + told(schema)
    }
    if let items = schema["items"] {
      return "list of \(shape(items))\(bounds(schema, "minItems", "maxItems"))" + told(schema)
    }
    guard let members = schema["properties"]?.object?.members else {
      return plain(schema) + told(schema)
    }
    let required = Set((schema["required"]?.array ?? []).compactMap(\.string))
    let rows = members.map { member in
      "<li><code>\(escaped(member.key))</code>"
        + "\(required.contains(member.key) ? "" : " (may be absent)"): \(shape(member.value))</li>"
    }
    return told(schema) + "<ul>\(rows.joined())</ul>"
  }

  private func told(_ schema: JSON) -> String {
    schema["description"]?.string.map { " <span>" + escaped($0) + "</span>" } ?? ""
  }

  private func plain(_ schema: JSON) -> String {
    var text = schema["type"]?.string ?? words(schema["type"]) ?? "anything"
    if let list = schema["enum"]?.array {
      text = list.map { $0.string ?? "null" }.joined(separator: ", ")
    }
    text += bounds(schema, "minimum", "maximum") + bounds(schema, "minLength", "maxLength")
    if let pattern = schema["pattern"]?.string { text += " matching " + pattern }
    if let format = schema["format"]?.string, format != "int64" { text += " (\(format))" }
    if let value = schema["default"] { text += ", \(value.text) unless told" }
    return escaped(text)
  }

  private func bounds(_ schema: JSON, _ low: String, _ high: String) -> String {
    switch (schema[low], schema[high]) {
    case (let low?, let high?): " from \(low.text) to \(high.text)"
    case (let low?, nil): " from \(low.text)"
    case (nil, let high?): " up to \(high.text)"
    default: ""
    }
  }

  private func escaped(_ text: String) -> String {
    var safe = ""
    for character in text {
      switch character {
      case "&": safe += "&amp;"
      case "<": safe += "&lt;"
      case ">": safe += "&gt;"
      case "\"": safe += "&quot;"
      default: safe.append(character)
      }
    }
    return safe
  }

  static let style = """
    :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
    body { max-width: 60rem; margin: 0 auto; padding: 1rem; }
    code { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
    nav ul { padding-left: 1.25rem; }
    article { border-top: 1px solid color-mix(in srgb, currentColor 25%, transparent); padding: .5rem 0; }
    .method { font-weight: 700; }
    .skip { position: absolute; left: -100rem; }
    .skip:focus { position: static; }
    table { border-collapse: collapse; width: 100%; }
    caption { text-align: left; font-weight: 700; }
    th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; }
    a:focus-visible { outline: 2px solid; outline-offset: 2px; }
    """
}
