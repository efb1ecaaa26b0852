internal import Primitives
internal import Search

/// Writes a recommendation: the card, why it fits, what is not stated, and the stored field behind each claim.
struct CardWriter {
  let wording: Wording
  /// The words of the need, to find the sentence that speaks of it.
  let words: Set<String>
  let hasSandbox: Bool

  func write(
    _ candidate: Candidate, rank: Int, _ constraints: [ChatConstraint],
    into output: inout TurnOutput
  ) {
    var evidence: [Evidence] = []
    func prove(_ field: String, _ value: JSON) -> Evidence {
      let proof = Evidence(
        id: "e\(rank)-\(evidence.count + 1)", candidate: candidate, field: field, value: value)
      evidence.append(proof)
      return proof
    }
    var why: [JSON] = []
    for case .filter(let expression) in constraints.map(\.meaning) {
      let label = constraints.first { $0.meaning == .filter(expression) }?.label ?? ""
      for field in expression.fields.sorted() {
        guard let values = candidate.values(CardWriter.stored(field)) else { continue }
        let proof = prove(CardWriter.stored(field), .strings(values))
        let text = wording(
          "whyConstraint", ["label": label, "value": values.prefix(6).joined(separator: ", ")])
        why.append(["text": .string(text), "evidence": .string(proof.id)])
      }
    }
    if let (field, quote) = quote(candidate) {
      let proof = prove(field, .string(quote))
      why.append([
        "text": .string(wording("whyQuote", ["quote": PlainText.clean(quote)])),
        "evidence": .string(proof.id),
      ])
    }
    if candidate.price != nil, let prices = candidate.offer?["prices"] {
      _ = prove("offers", prices)
    }
    output.emit("card", card(candidate, rank, why, evidence))
    for proof in evidence { output.emit("evidence", proof.json) }
  }

  private func card(
    _ candidate: Candidate, _ rank: Int, _ why: [JSON], _ evidence: [Evidence]
  ) -> JSON {
    [
      "serviceId": .string(candidate.id), "revision": .int(candidate.revision),
      "rank": .number(rank), "name": .string(PlainText.clean(candidate.name)),
      "provider": candidate.service["provider"] ?? .null,
      "kind": candidate.service["kind"] ?? .null,
      "tagline": .optional(candidate.service["tagline"]?.string.map(PlainText.clean)),
      "offer": candidate.offer ?? .null,
      "price": .string(candidate.price ?? wording("priceNotStated")),
      "priceStated": .bool(candidate.price != nil), "why": .array(why),
      "caveats": .strings(caveats(candidate)), "sponsored": false,
      "trial": trial(candidate), "evidence": .strings(evidence.map(\.id)),
    ]
  }

  private func trial(_ candidate: Candidate) -> JSON {
    if candidate.service["trial"]?["offered"]?.bool == true {
      return ["offered": true, "sandbox": false]
    }
    guard hasSandbox else { return ["offered": false] }
    let provider = candidate.provider
    return [
      "offered": true, "sandbox": true, "note": .string(wording("sandbox", ["provider": provider])),
    ]
  }

  /// What people ask about a service of its kind and the record does not say.
  private func caveats(_ candidate: Candidate) -> [String] {
    var fields: [(String, String)] = []
    if candidate.service["kind"] == "model" {
      fields = [("contextWindow", "context window"), ("license", "licence")]
    } else {
      fields = [("authType", "sign-in"), ("license", "licence")]
    }
    var caveats = candidate.price == nil ? [wording("priceNotStated")] : []
    for (field, label) in fields where candidate.values(field) == nil {
      caveats.append(wording("caveat", ["field": label]))
    }
    if let limits = candidate.service["limitations"]?.string {
      caveats.append(PlainText.clean(limits))
    }
    return caveats
  }

  /// The field of the record behind a filter field.
  private static func stored(_ field: String) -> String {
    switch field {
    case "inputPrice", "outputPrice", "price", "pricePerCall", "pricePerMinute", "pricePerImage":
      "price"
    default: field
    }
  }

  /// The stored sentence that speaks most of the need, as it stands.
  private func quote(_ candidate: Candidate) -> (field: String, quote: String)? {
    for field in ["description", "does", "tagline"] {
      if let text = candidate.service[field]?.string,
        let quote = PlainText.quote(from: text, words: words)
      {
        return (field, quote)
      }
    }
    return nil
  }
}
