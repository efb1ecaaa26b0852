internal import API
internal import Primitives
internal import Testing

// 1. Every reference leads to a component, and every component is referred to.
// 2. Operation ids are unique; keys name a method and a path; a path's names are its parameters.
// 3. Every problem code is some route's, or is listed as one of no single route.
// 4. A route that takes a key says so in parameters and codes; one that needs credentials answers 401.

@Suite struct OpenAPITests {
  private static let operations = RouteDocuments.all.map { OpenAPIDocument.Operation($0) }
  private static let document = OpenAPIDocument(operations, version: "test").json

  /// Every value of a key, wherever it stands.
  private static func values(of key: String, in json: JSON) -> [JSON] {
    switch json {
    case .object(let object):
      object.members.flatMap { member in
        (member.key == key ? [member.value] : []) + values(of: key, in: member.value)
      }
    case .array(let list): list.flatMap { values(of: key, in: $0) }
    default: []
    }
  }

  private static func response(_ operation: JSON, _ status: String) -> JSON? {
    let answer = operation["responses"]?[status]
    guard let name = answer?["$ref"]?.string?.split(separator: "/").last else { return answer }
    return document["components"]?["responses"]?[String(name)]
  }

  private static func codes(_ operation: JSON) -> Set<String> {
    let statuses = operation["responses"]?.object?.keys ?? []
    return Set(
      statuses.flatMap { status -> [String] in
        let content = response(operation, status)?["content"]?["application/problem+json"]
        let parts = content?["schema"]?["allOf"]?.array ?? []
        return parts.flatMap {
          $0["properties"]?["code"]?["enum"]?.array?.compactMap(\.string) ?? []
        }
      })
  }

  private static func operation(_ document: RouteDocument) -> JSON? {
    let words = document.key.split(separator: " ", maxSplits: 1).map(String.init)
    return Self.document["paths"]?[words[1]]?[words[0].lowercased()]
  }

  @Test("every reference leads somewhere, and nothing shared is unused")
  func references() {
    let used = Set(Self.values(of: "$ref", in: Self.document).compactMap(\.string))
    var known: Set<String> = []
    for kind in Self.document["components"]?.object?.members ?? []
    where kind.key != "securitySchemes" {
      for name in kind.value.object?.keys ?? [] {
        known.insert("#/components/\(kind.key)/\(name)")
      }
    }
    #expect(used.subtracting(known) == [])
    #expect(known.subtracting(used).subtracting(["#/components/schemas/SearchInBatch"]) == [])
  }

  @Test("an answer leads to operations that are there, with names that are theirs")
  func links() throws {
    let named = Dictionary(uniqueKeysWithValues: Self.operations.map { ($0.id, $0) })
    let links = Self.values(of: "links", in: Self.document).flatMap { $0.object?.members ?? [] }
    for link in links {
      let target = try #require(named[link.value["operationId"]?.string ?? ""], "\(link.key)")
      #expect(target.id == link.key)
      let needed = RouteDocuments.named.first { OpenAPIDocument.Operation($0.value).id == link.key }
      let path = try #require(needed).key
      for name in link.value["parameters"]?.object?.keys ?? [] {
        #expect(path.contains("{\(name)}"), "\(link.key)")
      }
    }
    #expect(links.count > 30)
    for document in RouteDocuments.all {
      for lead in document.leads { #expect(RouteDocuments.named[lead.key] != nil, "\(lead.key)") }
    }
    let proposed = Self.document["paths"]?["/v1/proposals"]?["post"]?["responses"]?["201"]?["links"]
    let body = proposed?["postSessions"]?["requestBody"]
    #expect(body == ["proposalId": "$response.body#/id"])
  }

  @Test("operations have names of their own")
  func names() {
    #expect(Set(Self.operations.map(\.id)).count == Self.operations.count)
    #expect(Set(RouteDocuments.all.map(\.key)).count == RouteDocuments.all.count)
    for document in RouteDocuments.all {
      let words = document.key.split(separator: " ")
      #expect(words.count == 2 && words[1].hasPrefix("/"), "\(document.key)")
      #expect(["GET", "PUT", "POST", "DELETE", "PATCH"].contains(words[0]), "\(document.key)")
    }
  }

  @Test("a path's names are its parameters", arguments: RouteDocuments.all.map(\.key))
  func parameters(key: String) throws {
    let document = try #require(RouteDocuments.named[key])
    let operation = try #require(Self.operation(document))
    let named = (operation["parameters"]?.array ?? []).filter { $0["in"] == "path" }
      .compactMap { $0["name"]?.string }
    let braces = key.split(separator: "/").filter { $0.hasPrefix("{") }
      .map { String($0.dropFirst().dropLast()) }
    #expect(named == braces)
    let requires = document.repeats == .key
    #expect(Self.codes(operation).contains("idempotency_key_required") == requires)
    #expect(
      (operation["parameters"]?.array ?? []).contains { $0["name"] == "Idempotency-Key" }
        == requires)
    if document.needsCredentials { #expect(Self.codes(operation).contains("unauthenticated")) }
    #expect(Self.codes(operation).contains("internal"))
  }

  @Test("every problem code is documented")
  func problems() {
    let told = Set(RouteDocuments.all.compactMap(Self.operation).flatMap(Self.codes))
    for code in ProblemCode.allCases {
      let isTold = told.contains(code.rawValue)
      #expect(isTold != RouteDocuments.elsewhere.contains(code), "\(code.rawValue)")
      #expect(Self.document["x-problems"]?[code.rawValue]?.int == Int64(code.status))
    }
  }

  @Test("every body of a request says all its fields")
  func bodies() {
    for document in RouteDocuments.all where document.takesJSON {
      let operation = Self.operation(document)
      let schema = operation?["requestBody"]?["content"]?["application/json"]?["schema"]
      let name = schema?["$ref"]?.string?.split(separator: "/").last.map(String.init)
      let whole = name.flatMap { Self.document["components"]?["schemas"]?[$0] } ?? schema
      let isListing = name == "Listing"
      #expect(isListing || whole?["additionalProperties"] == false, "\(document.key)")
    }
  }

  @Test("the page shows every operation, without scripts and styles of its own")
  func page() {
    let page = DocumentPage(Self.document).html
    for operation in Self.operations { #expect(page.contains("id=\"\(operation.id)\"")) }
    #expect(!page.contains("<script") && !page.contains("style=\""))
  }
}
