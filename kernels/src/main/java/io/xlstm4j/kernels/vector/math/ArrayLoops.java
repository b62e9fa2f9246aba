package io.xlstm4j.kernels.vector.math;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/// Loops over arrays that follow each other, each compiled by itself.
///
/// The compiler takes a called method into its caller as long as both stay small by its own count,
/// which some ninety operations on vectors use up; what it then leaves out gets and gives its
/// vectors as objects on the heap, at several times the cost. What is called by one place in turns,
/// as here, it leaves alone.
public final class ArrayLoops<T> {
  private final List<Consumer<T>> passes;

  public ArrayLoops(List<Consumer<T>> passes) {
    this.passes = new ArrayList<>(passes); // not a list whose elements are constants
  }

  public void run(T task) {
    for (Consumer<T> pass : passes) {
      pass.accept(task);
    }
  }
}
