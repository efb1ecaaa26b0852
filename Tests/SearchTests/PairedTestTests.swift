import Primitives
import Search
import Testing

@Suite("The paired test of two rankings")
struct PairedTestTests {
  @Test("the same twice is no difference, a difference everywhere is none by chance")
  func ends() {
    let values = (0..<60).map { Double($0 % 7) / 7 }
    let same = PairedTest(before: values, after: values)
    #expect(same.pValue == 1)
    #expect(same.low == 0 && same.high == 0)
    let better = PairedTest(before: values, after: values.map { $0 + 0.1 })
    #expect(better.pValue < 0.001)
    #expect(better.risen == 60 && better.fallen == 0)
    #expect(abs(better.after - better.before - 0.1) < 1e-9)
  }

  @Test("with few needs the chance is that of all flips of signs")
  func exact() {
    // Five needs: of 32 flips two are as far from zero as all alike, so the chance is 1 / 16.
    let test = PairedTest(before: [0, 0, 0, 0, 0], after: [0.1, 0.2, 0.3, 0.4, 0.5])
    #expect(abs(test.pValue - 1.0 / 16) < 0.01)
  }

  @Test("rankings that differ by chance alone are mostly not told apart")
  func chance() {
    var random = SplitMix64(seed: 3)
    let found = (0..<40).count { _ in
      let before = (0..<80).map { _ in Double(random.below(1_000)) / 1_000 }
      let after = (0..<80).map { _ in Double(random.below(1_000)) / 1_000 }
      return PairedTest(before: before, after: after).pValue < 0.05
    }
    #expect(found <= 6)
    let values = [0.1, 0.9, 0.4]
    #expect(
      PairedTest(before: values, after: [0.2, 0.8, 0.6])
        == PairedTest(before: values, after: [0.2, 0.8, 0.6]))
  }
}
