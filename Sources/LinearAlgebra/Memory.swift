internal import CKernels

/// What the C library keeps of freed memory.
package enum Memory {
  /// Gives it back to the system. Takes milliseconds; worth it after a large build.
  package static func giveBack() { kernels_give_memory_back() }
}
