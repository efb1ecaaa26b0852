internal import FuzzSupport
internal import Primitives
internal import Search

/// The filter grammar: a text is refused with a place inside it, or its canonical text says the same.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzFilter(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let text = Fuzz.text(data, count)
  let length = text.unicodeScalars.count
  do throws(Refusal) {
    let result = Fuzz.timed(length) { FilterReading(text) }
    guard let expression = try result.get() else { return 0 }
    let canonical = expression.canonical
    guard let again = try? FilterParser.parse(canonical) else {
      Fuzz.fail("a canonical filter is a filter: \(canonical)")
    }
    Fuzz.check(again == expression, "a canonical filter says the same: \(canonical)")
    Fuzz.check(again.canonical == canonical, "a canonical filter is its own: \(canonical)")
    Fuzz.check(!expression.fields.isEmpty, "a filter names a field: \(canonical)")
  } catch {
    Fuzz.check(error.code == .filterInvalid, "a filter is refused as one: \(error.code)")
    let position = error.facts["position"]?.int ?? -1
    Fuzz.check((0...Int64(length)).contains(position), "the place \(position) is in the text")
    Fuzz.check(error.facts["expected"]?.string?.isEmpty == false, "what was expected is said")
  }
  return 0
}

/// The same, where the package's build renames `main`.
@_cdecl("waypost_fuzz_filter_main")
public func fuzzFilterMain(
  _ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> CInt {
  Fuzz.drive(count, arguments, fuzzFilter)
}

/// A reading that can be repeated for its time without losing what it refused.
private enum FilterReading {
  case expression(FilterExpression?)
  case refusal(Refusal)

  init(_ text: String) {
    do throws(Refusal) {
      self = .expression(try FilterParser.parse(text))
    } catch {
      self = .refusal(error)
    }
  }

  func get() throws(Refusal) -> FilterExpression? {
    switch self {
    case .expression(let expression): return expression
    case .refusal(let refusal): throw refusal
    }
  }
}
