public import Primitives

/// One listing of a provider, checked: every field within the limits of `Field.all`.
public struct Service: Sendable {
  /// The stable id.
  public let id: String
  /// The provider's id.
  public let providerID: String
  /// The provider's name, as the listing or the store gave it.
  public let providerName: String
  /// The fields of `Field.all`, in its order; an absent field is absent.
  public let fields: JSONObject
  /// The priced ways to use it.
  public let offers: [Offer]
  /// What an import had beyond the known fields; comes out again on export.
  public let extra: JSONObject

  /// What people call it.
  public var name: String { text("name") ?? id }
  /// The life of the listing.
  public var status: String { text("status") ?? "active" }
  /// Whether search may find it.
  public var isPublic: Bool { status != "draft" && status != "removed" }

  /// A text field, or nil where it is absent.
  public func text(_ name: String) -> String? { fields[name]?.string }
  /// A list field, or nil where it is absent.
  public func list(_ name: String) -> [String]? { fields[name]?.array?.compactMap(\.string) }
  /// An offer by its id.
  public func offer(_ id: String) -> Offer? { offers.first { $0.id == id } }

  /// What a listing says of its trial.
  public struct Trial: Sendable {
    /// Whether the provider offers one.
    public let isOffered: Bool
    /// Its length; 30 where the listing does not say.
    public let minutes: Int64
    /// The most it may use, in whole tokens, or nil.
    public let capTokens: Int64?
  }

  /// The listing's trial, or nil where nothing is said.
  public var trial: Trial? {
    guard let trial = fields["trial"]?.object else { return nil }
    return Trial(
      isOffered: trial["offered"]?.bool ?? false, minutes: trial["minutes"]?.int ?? 30,
      capTokens: trial["capTokens"]?.int)
  }

  /// The document as the record stores it and export writes it.
  public var document: JSONObject {
    var document: JSONObject = ["id": .string(id), "providerId": .string(providerID)]
    if !providerName.isEmpty { document["providerName"] = .string(providerName) }
    for member in fields.members { document.append(new: member.key, member.value) }
    if document["categories"] == nil { document["categories"] = [] }
    document["offers"] = .array(offers.map { .object($0.document) })
    if !extra.isEmpty { document["extra"] = .object(extra) }
    return document
  }

  /// Reads a document in Waypost's own shape.
  ///
  /// - Parameters:
  ///   - id: The id where the caller knows it already, as from a path.
  ///   - isStored: Whether the document was checked when it was written; then texts of one line, figures of
  ///     use, and names and sizes of offers are taken as they are.
  /// - Throws: `Refusal` `validation_failed` with every field at fault.
  public static func read(
    _ document: JSONObject, id: String? = nil, isStored: Bool = false
  ) throws(Refusal) -> Service {
    var faults: [Refusal.Field] = []
    let serviceID = id ?? document["id"]?.string ?? ""
    if !Slug.isValid(serviceID) {
      faults.append(.init("/id", "must match [a-z0-9][a-z0-9._-]{0,127}"))
    }
    let provider = providerReference(document, &faults)
    let fields = knownFields(document, &faults)
    if (document["name"]?.string ?? "").isEmpty { faults.append(.init("/name", "is missing")) }
    if !isStored { checkTexts(document, &faults) }
    let offers = offerList(document["offers"], isStored: isStored, &faults)
    checkTrial(document["trial"], &faults)
    checkLinks(document["redirectUris"], &faults)
    checkDepth(document, &faults)
    let extra = extraFields(document, &faults)
    guard faults.isEmpty else {
      throw Refusal(.validationFailed, "The service is not valid.", fields: faults)
    }
    return Service(
      id: serviceID, providerID: provider.id, providerName: provider.name, fields: fields,
      offers: offers, extra: extra)
  }

  private static func providerReference(
    _ document: JSONObject, _ faults: inout [Refusal.Field]
  ) -> (id: String, name: String) {
    let inner = document["provider"]?.object
    let name = document["providerName"]?.string ?? inner?["name"]?.string ?? ""
    let given = document["providerId"]?.string ?? inner?["id"]?.string
    if let reason = FieldCheck.reason(.string(name), for: .text(max: 200)) {
      faults.append(.init("/providerName", reason))
    }
    if let given {
      if !Slug.isValid(given) { faults.append(.init("/providerId", "must be a slug")) }
      return (given, name)
    }
    if let slug = Slug.make(from: name) { return (slug, name) }
    if !name.isEmpty {
      // A name in another script has no slug of its own; its digest is as stable.
      return ("provider-" + Slug.fingerprint(of: name), name)
    }
    return placeholder(source: document["source"]?.string)
  }

  /// The provider of a row that names none: one a source, for a real provider to claim later.
  static func placeholder(source: String?) -> (id: String, name: String) {
    let parts = (source ?? "import").split(separator: ":")
    let label = parts.count > 1 ? String(parts[1]) : String(parts.first ?? "import")
    let slug = (Slug.make(from: label) ?? "import").prefix(100)
    // By scalars, as the limit of a provider's name counts: a character may be made of many.
    var shown = String.UnicodeScalarView()
    shown.append(contentsOf: label.unicodeScalars.prefix(150))
    return ("unclaimed-" + slug, "Unclaimed (\(String(shown)))")
  }

  private static func knownFields(
    _ document: JSONObject, _ faults: inout [Refusal.Field]
  ) -> JSONObject {
    var fields = JSONObject()
    for field in Field.all {
      let given = document[field.name].flatMap { $0 == .null ? nil : $0 }
      guard let value = given ?? fallbacks[field.name] else { continue }
      if let reason = FieldCheck.reason(value, for: field.kind) {
        faults.append(.init("/" + field.name, reason))
      } else if value != .string(""), value != .array([]) {
        fields.append(new: field.name, value)
      }
    }
    return fields
  }

  /// What a field is where a document does not say.
  private static let fallbacks: [String: JSON] = ["kind": "api", "status": "active"]

  private static func offerList(
    _ value: JSON?, isStored: Bool, _ faults: inout [Refusal.Field]
  ) -> [Offer] {
    guard let value, value != .null else { return [] }
    guard let list = value.array, list.count <= 50 else {
      faults.append(.init("/offers", "must be a list of at most 50 offers"))
      return []
    }
    var seen: Set<String> = []
    return list.enumerated().compactMap { index, value in
      let pointer = "/offers/\(index)"
      guard let offer = Offer.read(value, at: pointer, isStored: isStored, into: &faults) else {
        return nil
      }
      if !seen.insert(offer.id).inserted {
        faults.append(.init("/offers/\(index)/id", "must be unique in its service"))
      }
      return offer
    }
  }

  private static func checkTrial(_ value: JSON?, _ faults: inout [Refusal.Field]) {
    guard let trial = value?.object else { return }
    if let minutes = trial["minutes"], !(5...180).contains(minutes.int ?? 0) {
      faults.append(.init("/trial/minutes", "must be a whole number from 5 to 180"))
    }
    if let cap = trial["capTokens"], !(0...1_000_000).contains(cap.int ?? -1) {
      faults.append(.init("/trial/capTokens", "must be a whole number from 0 to 1000000"))
    }
  }

  private static func checkLinks(_ value: JSON?, _ faults: inout [Refusal.Field]) {
    for (index, link) in (value?.array ?? []).enumerated() {
      if let reason = FieldCheck.redirect(link) {
        faults.append(.init("/redirectUris/\(index)", reason))
      }
    }
  }

  /// Levels of arrays and objects in one member. What is stored must be readable again, by our own parser
  /// (64 levels) also where it stands inside an answer.
  private static let depthMax = 32

  private static func checkDepth(_ document: JSONObject, _ faults: inout [Refusal.Field]) {
    for member in document.members {
      let isOurs = Field.named[member.key] != nil || structural.contains(member.key)
      // What we do not know moves into `extra`, one level further down.
      let levels = isOurs ? depthMax : depthMax - 1
      if FieldCheck.isDeeper(member.value, than: levels) {
        let name = isOurs ? member.key : "extra"
        faults.append(.init("/" + name, "must be at most \(levels) levels deep"))
      }
    }
  }

  private static let structural: Set<String> = [
    "id", "provider", "providerId", "providerName", "offers", "extra", "revision", "createdAt",
    "updatedAt",
  ]

  private static func extraFields(
    _ document: JSONObject, _ faults: inout [Refusal.Field]
  ) -> JSONObject {
    var extra = document["extra"]?.object ?? [:]
    for member in document.members
    where Field.named[member.key] == nil && !structural.contains(member.key)
      && member.value != .null
    {
      extra[member.key] = member.value
    }
    if JSON.object(extra).bytes.count > 16_384 {
      faults.append(.init("/extra", "must be at most 16384 bytes"))
    }
    return extra
  }
}
