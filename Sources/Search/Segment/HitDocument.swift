package import Catalog
package import Primitives

/// The service part of an answer, written once when a service is indexed and spliced into every answer.
package enum HitDocument {
  /// Fields that are for the record and not for an answer's hit.
  private static let hidden: Set<String> = ["redirectUris"]

  package static func json(of stored: StoredService) -> JSON {
    let service = stored.service
    var object: JSONObject = [
      "id": .string(service.id), "revision": .int(stored.revision),
      "provider": [
        "id": .string(service.providerID), "name": .string(service.providerName),
        "verified": .bool(stored.isProviderVerified),
      ],
    ]
    for member in service.fields.members where !hidden.contains(member.key) {
      object[member.key] = member.value
    }
    object["offers"] = .array(service.offers.map { .object($0.document) })
    object["createdAt"] = .string(stored.createdAt.rfc3339)
    object["updatedAt"] = .string(stored.updatedAt.rfc3339)
    return .object(object)
  }

  static func bytes(of stored: StoredService) -> [UInt8] { json(of: stored).bytes }
}
