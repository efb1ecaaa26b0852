import Primitives
import Search
import Testing

private func subject(_ id: String, _ members: JSONObject) -> Comparison.Subject {
  var document: JSONObject = [
    "id": .string(id), "name": .string(id), "kind": "model",
    "provider": ["id": "acme", "name": "Acme", "verified": false],
  ]
  for member in members.members { document[member.key] = member.value }
  return Comparison.Subject(id: id, document: .object(document))
}

private func calls(_ nano: Int64, _ currency: String = "USD", fee: Int64 = 0) -> JSON {
  [
    "id": "usage", "plan": "usage", "monthlyFeeNano": .int(fee),
    "prices": [
      ["meter": "call", "per": 1, "amountNano": .int(nano), "currency": .string(currency)]
    ],
  ]
}

@Suite("Comparisons")
struct DiscoveryCompareTests {
  private func row(_ json: JSON, _ field: String) throws -> JSON {
    try #require(json["fields"]?.array?.first { $0["field"]?.string == field })
  }

  private func pair(_ json: JSON, _ id: String, over other: String) throws -> JSON {
    try #require(
      json["reasons"]?.array?.first { $0["id"]?.string == id && $0["over"]?.string == other })
  }

  @Test("a field that one does not state is unknown, and decides nothing")
  func unknown() throws {
    let json = Comparison(
      [subject("a", ["contextWindow": 1_000]), subject("b", [:])], usage: nil
    ).json
    let row = try row(json, "contextWindow")
    #expect(row["values"]?.array?.map { $0["state"]?.string } == ["known", "unknown"])
    #expect(row["values"]?.array?.last?["value"] == nil)
    #expect(row["best"] == [])
    #expect(row["differs"] == false)
    let pair = try pair(json, "a", over: "b")
    #expect(pair["why"]?.array?.isEmpty == true)
    let undecided = pair["undecided"]?.array ?? []
    #expect(
      undecided.contains { $0["field"] == "contextWindow" && $0["unknownFor"] == "b" })
  }

  @Test(
    "the better one is known by the field's direction",
    arguments: [
      ("contextWindow", 2_000, 1_000), ("rating", 4.5, 4.25), ("https", true, false),
      ("status", "active", "deprecated"), ("inputModalities", ["text", "image"], ["text"]),
    ] as [(String, JSON, JSON)])
  func directions(field: String, better: JSON, worse: JSON) throws {
    var (high, low) = (JSONObject(), JSONObject())
    high[field] = better
    low[field] = worse
    let json = Comparison([subject("low", low), subject("high", high)], usage: nil).json
    let row = try row(json, field)
    #expect(row["best"] == ["high"])
    #expect(row["differs"] == true)
    let why = try pair(json, "high", over: "low")["why"]?.array ?? []
    #expect(why.map { $0["field"]?.string } == [field])
    #expect(why.first?["value"] == better)
    #expect(why.first?["other"] == worse)
    #expect(try pair(json, "low", over: "high")["why"]?.array?.isEmpty == true)
  }

  @Test("flags, schemes and measured figures have rows of their own")
  func flattened() throws {
    let json = Comparison(
      [
        subject(
          "a",
          [
            "features": ["vision": true, "streaming": true],
            "compliance": [["scheme": "gdpr", "state": "yes"]],
            "metrics": [["name": "latencyP95Ms", "value": 120]],
          ]),
        subject(
          "b",
          [
            "features": ["vision": false],
            "compliance": [["scheme": "gdpr", "state": "unknown"]],
            "metrics": [["name": "latencyP95Ms", "value": 90]],
          ]),
      ], usage: nil
    ).json
    #expect(try row(json, "features.vision")["best"] == ["a"])
    #expect(try row(json, "features.streaming")["values"]?.array?.last?["state"] == "unknown")
    #expect(try row(json, "compliance.gdpr")["values"]?.array?.last?["state"] == "unknown")
    #expect(try row(json, "latencyP95")["best"] == ["b"])
  }

  @Test("two sets of which none holds the other differ, and none is better")
  func sets() throws {
    let json = Comparison(
      [subject("a", ["regions": ["eu", "us"]]), subject("b", ["regions": ["us", "apac"]])],
      usage: nil
    ).json
    #expect(try row(json, "regions")["differs"] == true)
    #expect(try row(json, "regions")["best"] == [])
  }

  @Test("the cheaper one is named with the use at which that turns")
  func cost() throws {
    let usage = UsageProfile(["call": 10])
    let json = Comparison(
      [
        subject("flat", ["offers": [calls(1, fee: 100)]]),
        subject("metered", ["offers": [calls(5)]]),
      ],
      usage: usage
    ).json
    let verdict = try #require(try pair(json, "metered", over: "flat")["cost"])
    #expect(verdict["cheaper"] == "metered")
    // 5 n = 100 + n at 25: the first count at which the flat one is cheaper is 26.
    #expect(verdict["flips"]?.array?.first?["otherIsCheaperFrom"] == 26)
    #expect(verdict["flips"]?.array?.first?["usageName"] == "calls")
    #expect(try pair(json, "metered", over: "flat")["why"]?.array?.first?["field"] == "cost")
    let offers = json["costs"]?.array?.first?["offers"]?.array ?? []
    #expect(offers.first?["cost"]?["amountNano"] == 110)
  }

  @Test("prices in different currencies are not comparable")
  func currencies() throws {
    let json = Comparison(
      [subject("a", ["offers": [calls(1)]]), subject("b", ["offers": [calls(5, "EUR")]])],
      usage: UsageProfile(["call": 10])
    ).json
    #expect(try pair(json, "a", over: "b")["cost"]?["state"] == "notComparable")
    let prices = try #require(json["prices"]?.array?.first)
    #expect(prices["comparable"] == false)
    #expect(prices["best"] == [])
  }

  @Test("similar services say what they share and how their prices part, and nothing else")
  func similar() {
    let base = subject(
      "a", ["categories": ["Maps", "Weather"], "modelFamily": "x", "offers": [calls(10)]])
    let other = subject(
      "b", ["categories": ["weather"], "tags": ["rain"], "offers": [calls(8), calls(1, "EUR")]])
    let why = Similarity.why(base.document, other.document)
    #expect(why["shared"]?["categories"] == ["Weather"])
    #expect(why["shared"]?["modelFamily"] == nil)
    #expect(why["shared"]?["tags"] == nil)
    #expect(why["shared"]?["kind"] == "model")
    #expect(why["prices"]?.array?.count == 1)
    #expect(why["prices"]?.array?.first?["verdict"] == "cheaper")
    #expect(why["prices"]?.array?.first?["differenceNano"] == -2)
  }
}
