package io.xlstm4j.torch;

import java.util.Map;
import java.util.function.Supplier;
import org.bytedeco.pytorch.Tensor;

/// A small computation with a fixed seed that [Diagnostics] repeats in several
/// [DiagnosticSetting]s.
interface DiagnosticCase {
  /// Names it for people.
  String name();

  /// Returns the largest relative difference from float64 that rounding may cause.
  default double allowed() {
    return 1e-4;
  }

  /// Returns whether the setting can compute it.
  default boolean runsIn(DiagnosticSetting setting) {
    return true;
  }

  /// Builds it; all tensors belong to the caller's scope but those that [Graph#close] frees.
  Graph build(DiagnosticSetting setting);

  /// A computation that can be run several times on the same numbers.
  ///
  /// @param leaves what gradients are computed for, by name; none if there is no backward pass
  /// @param forward computes the outputs, by name; those that begin with `state` are what a cell
  ///   remembers, whose stabilizer is held fixed in gradients
  /// @param owner frees what it is made of
  record Graph(Map<String, Tensor> leaves, Supplier<Map<String, Tensor>> forward, Runnable owner)
      implements AutoCloseable {
    @Override
    public void close() {
      owner.run();
    }
  }
}
