/// What the model may still say to a caller, and where to count what it says.
package struct ModelAllowance: Sendable {
  /// Whether the model may be asked; a turn that has begun goes on to its end.
  let isOpen: Bool
  /// Gets the tokens of each request to the model, of what was sent and what came back.
  let used: @Sendable (Int) -> Void

  package init(isOpen: Bool, used: @escaping @Sendable (Int) -> Void) {
    self.isOpen = isOpen
    self.used = used
  }

  /// As much as it likes, counted nowhere.
  package static let unlimited = ModelAllowance(isOpen: true) { _ in }
}
