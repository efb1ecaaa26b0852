internal import CBLAS

/// The BLAS library behind the matrix products.
public enum BLASLibrary {
  /// Makes each call use one thread: requests and our own workers are the parallelism. Call it at start.
  public static func useOneThread() { cblas_use_one_thread() }

  /// What the library says it is.
  public static var name: String { String(cString: cblas_library()) }
}
