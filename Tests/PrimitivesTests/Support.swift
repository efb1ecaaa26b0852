import Primitives
import Synchronization

/// Random JSON of a seed, so that a failure names its own replay.
struct RandomJSON {
  private var random: SplitMix64

  init(seed: UInt64) { random = SplitMix64(seed: seed) }

  mutating func value(depth: Int = 4) -> JSON {
    switch number(below: depth > 0 ? 8 : 6) {
    case 0: return .null
    case 1: return .bool(number(below: 2) == 1)
    case 2: return .int(Int64(bitPattern: random.next()))
    case 3: return .int(Int64(number(below: 21)) - 10)
    case 4: return .double(decimal())
    case 5: return .string(string())
    case 6:
      var values: [JSON] = []
      for _ in 0..<number(below: 5) { values.append(value(depth: depth - 1)) }
      return .array(values)
    default:
      var object = JSONObject()
      for _ in 0..<number(below: 5) { object[string()] = value(depth: depth - 1) }
      return .object(object)
    }
  }

  /// A finite number that is not written as an integer of 64 bits.
  mutating func decimal() -> Double {
    while true {
      let value = Double(bitPattern: random.next())
      if value.isFinite, value != value.rounded() || abs(value) >= 1e19 { return value }
    }
  }

  mutating func string() -> String {
    let limits: [Int] = [0x20, 0x80, 0x800, 0x1_0000, 0x11_0000]
    var text = String.UnicodeScalarView()
    for _ in 0..<number(below: 12) {
      let code = number(below: limits[number(below: limits.count)])
      if let scalar = Unicode.Scalar(UInt32(code)) { text.append(scalar) }
    }
    return String(text)
  }

  mutating func number(below limit: Int) -> Int {
    Int(random.next() % UInt64(limit))
  }
}

/// Why a text is no JSON, or nil where it is.
func parseError(_ bytes: [UInt8], depthMax: Int = 64) -> JSONError? {
  do throws(JSONError) {
    _ = try JSON.parse(bytes, depthMax: depthMax)
    return nil
  } catch {
    return error
  }
}

/// The same value with the members of every object in the opposite order.
func withMembersReversed(_ value: JSON) -> JSON {
  switch value {
  case .array(let values): return .array(values.map { withMembersReversed($0) })
  case .object(let object):
    var turned = JSONObject()
    for member in object.members.reversed() {
      turned[member.key] = withMembersReversed(member.value)
    }
    return .object(turned)
  default: return value
  }
}
