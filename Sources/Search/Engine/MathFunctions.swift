#if canImport(Glibc)
  internal import Glibc
#endif

func log10(_ value: Double) -> Double { Glibc.log10(value) }
func log2(_ value: Double) -> Double { Glibc.log2(value) }
func pow10(_ value: Double) -> Double { Glibc.pow(10, value) }
extension Float {
  /// ln(1 + x), exact for small x.
  static func log1p(_ value: Float) -> Float { log1pf(value) }
}
