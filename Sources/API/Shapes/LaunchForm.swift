internal import Catalog
internal import HTTPServer
internal import Primitives

/// How the answer to a start sends the browser on: as data, by redirect, or by a form that posts the launch token.
enum AnswerForm: String {
  case json, redirect
  case formPost = "form_post"

  /// What `?response=` asks for.
  /// - Throws: `Refusal` `validation_failed`.
  init(_ context: Context) throws(Refusal) {
    guard let form = AnswerForm(rawValue: context.request.query("response") ?? "json") else {
      throw Refusal(
        .validationFailed, "A query parameter is not valid.",
        fields: [.init("/response", "must be json, redirect or form_post")])
    }
    self = form
  }

  /// The answer in this form. An address that would be too long for a redirect goes by form.
  func response(to session: JSON, of plain: Response) -> Response {
    if self == .json { return plain }
    var headers = [
      (name: "Referrer-Policy", value: "no-referrer"), (name: "Cache-Control", value: "no-store"),
    ]
    if let replayed = plain.header("Idempotent-Replayed") {
      headers.append((name: "Idempotent-Replayed", value: replayed))
    }
    if self == .redirect, let address = session["redirectUrl"]?.string {
      headers.append((name: "Location", value: address))
      return Response(status: 303, headers: headers)
    }
    let action = session["formPost"]?["action"]?.string ?? ""
    headers.append((name: "Content-Type", value: "text/html; charset=utf-8"))
    headers.append((name: "Content-Security-Policy", value: AnswerForm.policy(action)))
    let fields = session["formPost"]?["fields"]?.object ?? [:]
    return Response(
      status: 200, headers: headers, body: .bytes(Array(AnswerForm.page(action, fields).utf8)))
  }

  /// Only this page's one script may run, and its form goes to the registered address only.
  private static func policy(_ action: String) -> String {
    "default-src 'none'; script-src 'sha256-\(scriptDigest)'; form-action "
      + (RedirectAddress.origin(of: action) ?? "'none'")
      + "; base-uri 'none'; frame-ancestors 'none'"
  }

  private static let script = "document.forms[0].submit()"
  /// base64 of the SHA-256 of `script` (CSP level 3, section 2.3.1).
  private static let scriptDigest = "ePniVEkSivX/c7XWBGafqh8tSpiRrKiqYeqbG7N1TOE="

  private static func page(_ action: String, _ fields: JSONObject) -> String {
    let inputs = fields.members.map { member in
      "<input type=\"hidden\" name=\"\(escaped(member.key))\" value=\"\(escaped(member.value.string ?? ""))\">"
    }
    return """
      <!doctype html>
      <html lang="en">
      <head><meta charset="utf-8"><title>Starting your session</title></head>
      <body>
      <form method="post" action="\(escaped(action))">
      \(inputs.joined(separator: "\n"))
      <button>Continue to your session</button>
      </form>
      <script>\(script)</script>
      </body>
      </html>
      """
  }

  private static func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("\"", with: "&quot;").replacing("<", with: "&lt;")
      .replacing(">", with: "&gt;")
  }
}
