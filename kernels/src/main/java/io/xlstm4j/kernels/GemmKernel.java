package io.xlstm4j.kernels;

/// Products of small row-major matrices of float32, sizes from 1 to a few hundred, on one thread.
///
/// An instance may hold scratch: one per thread. The result must not overlap an operand.
public interface GemmKernel {
  /// A matrix inside an array: element (row, column) is `data[at + row * stride + column]`.
  record Block(float[] data, int offset, int stride) {
    /// The same matrix without its first rows and columns.
    public Block from(int row, int column) {
      return new Block(data, offset + row * stride + column, stride);
    }
  }

  /// `c = a b`, or `c += a b` if `add`.
  ///
  /// @param a `(m, k)`
  /// @param b `(k, n)`
  /// @param c `(m, n)`
  void multiply(int m, int n, int k, Block a, Block b, Block c, boolean add);

  /// `c = aᵀ b`, or `c += aᵀ b` if `add`.
  ///
  /// @param a `(k, m)`
  /// @param b `(k, n)`
  /// @param c `(m, n)`
  void multiplyTransposedLeft(int m, int n, int k, Block a, Block b, Block c, boolean add);

  /// `c = a bᵀ`, or `c += a bᵀ` if `add`.
  ///
  /// @param a `(m, k)`
  /// @param b `(n, k)`
  /// @param c `(m, n)`
  void multiplyTransposedRight(int m, int n, int k, Block a, Block b, Block c, boolean add);
}
