internal import Cryptography
internal import HTTPServer
internal import Primitives

/// `/openapi.json` and its page: made once, served from memory.
struct OpenAPIRoutes: Sendable {
  /// A file with its ETag.
  private struct File: Sendable {
    let type: String
    let bytes: [UInt8]
    let tag: String

    init(_ type: String, _ bytes: [UInt8]) {
      self.type = type
      self.bytes = bytes
      tag = "\"" + BytesText.hex(Digest.sha256(bytes).prefix(16)) + "\""
    }
  }

  private let document: File
  private let page: File
  private let style = File("text/css; charset=utf-8", Array(DocumentPage.style.utf8))

  /// - Parameter routes: All other routes of the server.
  init(describing routes: [Route], version: String) {
    // The own routes take part in the document, whose handlers come after it.
    let operations = (routes + OpenAPIRoutes.table { _ in .noContent }).map {
      OpenAPIDocument.Operation($0)
    }
    let json = OpenAPIDocument(operations, version: version).json
    document = File("application/json", json.bytes)
    page = File("text/html; charset=utf-8", Array(DocumentPage(json).html.utf8))
  }

  var all: [Route] {
    OpenAPIRoutes.table { context in
      switch context.request.path {
      case "/openapi.json": answer(document, context)
      case "/docs": answer(page, context)
      default: answer(style, context)
      }
    }
  }

  private static func table(_ handler: @escaping @Sendable (Context) -> Response) -> [Route] {
    [
      Route("GET", "/openapi.json", "this API in OpenAPI 3.1", handler: handler),
      Route("GET", "/docs", "this API for people", handler: handler),
      Route("GET", "/docs/style.css", "the style of that page", handler: handler),
    ]
  }

  private func answer(_ file: File, _ context: Context) -> Response {
    let headers = [
      (name: "ETag", value: file.tag), (name: "Cache-Control", value: "public, max-age=300"),
    ]
    let known = (context.request.header("if-none-match") ?? "").split(separator: ",")
      .map { $0.filter { $0 != " " } }
    if known.contains(where: { $0 == "*" || $0 == file.tag || $0 == "W/" + file.tag }) {
      return Response(status: 304, headers: headers)
    }
    return Response(
      status: 200, headers: [(name: "Content-Type", value: file.type)] + headers,
      body: .bytes(file.bytes))
  }
}
