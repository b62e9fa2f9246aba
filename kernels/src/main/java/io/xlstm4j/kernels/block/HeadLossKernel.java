package io.xlstm4j.kernels.block;

import io.xlstm4j.kernels.CrossEntropyKernel;
import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.LinearKernel;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/// The head of a language model and its loss, forward and backward in one go: `logits = h Wᵀ`, the
/// soft cap if there is one, cross entropy against the targets. Only some rows of logits exist at a
/// time.
///
/// All memory is float32, contiguous, but the targets. Results never depend on the number of
/// threads.
public final class HeadLossKernel {
  /// Logits that exist at a time, 8 MB of them.
  private static final int LOGITS = 1 << 21;

  private final Kernels kernels;

  public HeadLossKernel(Kernels kernels) {
    this.kernels = kernels;
  }

  /// @param rows tokens
  /// @param dim D
  /// @param classes V
  /// @param cap bound of the logits, by tanh; 0 for none
  public record Size(int rows, int dim, int classes, float cap) {
    public int rowsAtOnce() {
      return Math.clamp(LOGITS / classes, Math.min(64, rows), rows);
    }
  }

  /// @param logits of some rows
  /// @param capped the same once more where there is a cap: its slope needs them
  /// @param losses `(rows)` float64
  private record Scratch(MemorySegment logits, MemorySegment capped, MemorySegment losses) {
    static Scratch in(Workspace from, Size size) {
      return new Scratch(
          from.floats((long) size.rowsAtOnce() * size.classes),
          from.floats(size.cap > 0 ? (long) size.rowsAtOnce() * size.classes : 0),
          from.bytes((long) size.rows * Double.BYTES));
    }
  }

  /// Bytes that both methods work in.
  public long scratchBytes(Size size) {
    Workspace counting = Workspace.counting();
    Scratch.in(counting, size);
    return counting.size();
  }

  /// @param hidden `(rows, D)`
  /// @param w `(V, D)`
  /// @param targets `(rows)` int64; negative ones are ignored
  /// @param scratch [#scratchBytes] bytes
  /// @return the sum of the losses, in nats
  public double loss(
      Size size,
      MemorySegment hidden,
      MemorySegment w,
      MemorySegment targets,
      MemorySegment scratch) {
    return run(size, hidden, w, targets, scratch, null);
  }

  /// The memory of the gradients of `scale Σ loss`.
  ///
  /// @param hidden `(rows, D)`
  /// @param w `(V, D)`
  public record Gradients(MemorySegment hidden, MemorySegment w, float scale) {}

  /// The same with gradients.
  public double lossAndGradients(
      Size size,
      MemorySegment hidden,
      MemorySegment w,
      MemorySegment targets,
      MemorySegment scratch,
      Gradients gradients) {
    return run(size, hidden, w, targets, scratch, gradients);
  }

  private double run(
      Size size,
      MemorySegment hidden,
      MemorySegment w,
      MemorySegment targets,
      MemorySegment scratch,
      @Nullable Gradients gradients) {
    KernelThreads threads = kernels.threads();
    LinearKernel linear = kernels.linear();
    Scratch work = Scratch.in(Workspace.of(scratch), size);
    var logits = new StridedMatrix(work.logits, size.classes);
    LinearKernel.Ready forward = linear.forForward(size.dim, size.classes, w, threads);
    LinearKernel.@Nullable Ready back =
        gradients == null ? null : linear.forBackward(size.dim, size.classes, w, threads);
    for (int row = 0; row < size.rows; row += size.rowsAtOnce()) {
      int count = Math.min(size.rowsAtOnce(), size.rows - row);
      var part = new LinearKernel.Size(count, size.dim, size.classes);
      var entropy = new CrossEntropyKernel.Size(count, size.classes);
      StridedMatrix h = new StridedMatrix(rows(hidden, row, count, size.dim), size.dim);
      MemorySegment target = targets.asSlice((long) row * Long.BYTES, (long) count * Long.BYTES);
      MemorySegment loss =
          work.losses.asSlice((long) row * Double.BYTES, (long) count * Double.BYTES);
      linear.forward(part, h, forward, null, null, logits, threads);
      MemorySegment all = rows(work.logits, 0, count, size.classes);
      if (size.cap > 0) {
        kernels.softCap().forward(size.cap, all, all, threads);
      }
      if (gradients == null || back == null) {
        kernels.crossEntropy().losses(entropy, logits, target, loss, threads);
      } else {
        if (size.cap > 0) {
          rows(work.capped, 0, count, size.classes).copyFrom(all);
        }
        kernels
            .crossEntropy()
            .lossesAndGradient(entropy, logits, target, loss, gradients.scale, threads);
        if (size.cap > 0) {
          MemorySegment capped = rows(work.capped, 0, count, size.classes);
          kernels.softCap().backward(size.cap, capped, all, all, threads);
        }
        var dHidden = new StridedMatrix(rows(gradients.hidden, row, count, size.dim), size.dim);
        linear.backwardInput(part, logits, back, null, dHidden, threads);
        linear.backwardWeight(part, h, logits, gradients.w, null, row > 0, threads);
      }
    }
    double sum = 0;
    for (int row = 0; row < size.rows; row++) {
      sum += work.losses.getAtIndex(ValueLayout.JAVA_DOUBLE, row);
    }
    return sum;
  }

  private static MemorySegment rows(MemorySegment of, int row, int count, int width) {
    long bytes = (long) width * Float.BYTES;
    return of.asSlice(row * bytes, count * bytes);
  }
}
