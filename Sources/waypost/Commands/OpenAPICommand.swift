import API
import Foundation
import HTTPServer
import Primitives

/// `waypost openapi`: prints the API's document, as `/openapi.json` of a server with these settings answers.
enum OpenAPICommand {
  @Sendable static func run(_ arguments: Arguments) async throws -> Exit {
    // The routes belong to live objects: these live in a folder of their own, and nobody's data is opened.
    let path = NSTemporaryDirectory() + "waypost-openapi-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: path) }
    let flags = arguments.isSet("demo") ? ["--demo"] : []
    let settings = try Arguments(command: "serve", arguments: flags, environment: [:])
    let services = try await LiveServices.build(
      settings, try DataFolder(path), nil, "http://127.0.0.1:0")
    let router = Router(services: services, log: { _ in }, microseconds: { 0 })
    let answer = await router.handle(Request(method: "GET", target: "/openapi.json"))
    guard answer.status == 200, case .bytes(let bytes) = answer.body else { return .refused }
    Terminal.data(String(decoding: bytes, as: UTF8.self))
    return .done
  }
}
