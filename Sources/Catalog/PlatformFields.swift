public import Primitives

/// The part of a listing that is the platform's to write: what is measured, counted or drafted here, and
/// where a record comes from. A provider writes the rest; only an operator's import writes both.
public enum PlatformFields {
  /// The fields that are the platform's as a whole.
  public static let names = [
    "rating", "reviewCount", "usage", "source", "sourceLicense", "draftedFields",
  ]

  /// A provider's document with the platform's part as it is stored: what was read can be sent back, what is
  /// left out stays.
  ///
  /// - Parameters:
  ///   - document: The listing as the provider sent it.
  ///   - stored: The listing as it is, or nil where it is new.
  /// - Throws: `Refusal` `validation_failed` with each field that the provider has changed.
  public static func keep(
    in document: JSONObject, from stored: Service?
  ) throws(Refusal) -> JSONObject {
    var document = document
    var faults: [Refusal.Field] = []
    for name in names {
      let known = stored?.fields[name]
      if let given = document[name], given != .null, given != known {
        faults.append(.init("/" + name, "is written by the platform; leave it out"))
      }
      document[name] = known
    }
    if let metrics = metrics(of: document, stored, &faults) { document["metrics"] = metrics }
    checkProofs(of: document, stored, &faults)
    guard faults.isEmpty else {
      throw Refusal(.validationFailed, "The listing has fields of the platform.", fields: faults)
    }
    // A text that its provider has written anew is no draft of ours any more.
    let drafts = (document["draftedFields"]?.array ?? []).filter { name in
      name.string.map { document[$0] == stored?.fields[$0] } ?? false
    }
    document["draftedFields"] = drafts.isEmpty ? nil : .array(drafts)
    return document
  }

  /// What is measured stays, before what the provider declares: the first of a name is the one that counts.
  private static func metrics(
    of document: JSONObject, _ stored: Service?, _ faults: inout [Refusal.Field]
  ) -> JSON? {
    let measured = (stored?.fields["metrics"]?.array ?? []).filter { !isDeclared($0) }
    guard let value = document["metrics"], value != .null else {
      return measured.isEmpty ? nil : .array(measured)
    }
    guard let given = value.array else {
      faults.append(.init("/metrics", "must be a list"))
      return nil
    }
    for (index, metric) in given.enumerated()
    where !isDeclared(metric) && !measured.contains(metric) {
      faults.append(
        .init("/metrics/\(index)", "must have the provenance declared: the rest is measured here"))
    }
    let all = measured + given.filter(isDeclared)
    return all.isEmpty ? nil : .array(all)
  }

  private static func isDeclared(_ metric: JSON) -> Bool { metric["provenance"] == "declared" }

  /// When a proof was checked is known to whoever checked it.
  private static func checkProofs(
    of document: JSONObject, _ stored: Service?, _ faults: inout [Refusal.Field]
  ) {
    let known = stored?.fields["compliance"]?.array ?? []
    for (index, row) in (document["compliance"]?.array ?? []).enumerated() {
      guard let checkedAt = row["checkedAt"], checkedAt != .null, !known.contains(row) else {
        continue
      }
      faults.append(
        .init("/compliance/\(index)/checkedAt", "is written by the platform; leave it out"))
    }
  }
}
