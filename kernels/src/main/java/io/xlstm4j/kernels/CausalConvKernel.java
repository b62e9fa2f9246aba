package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// A depthwise convolution over time that sees the current and the K-1 earlier tokens, then SiLU:
/// `y_t = silu(b + Σ_lag w[K-1-lag] x_{t-lag})`.
///
/// All memory is float32, contiguous, in the order of the shapes given. What belongs to an earlier
/// document counts as zero. Results never depend on the number of threads.
public interface CausalConvKernel {
  /// @param batch B
  /// @param length S
  /// @param channels C
  /// @param kernelSize K
  record Size(int batch, int length, int channels, int kernelSize) {
    public Size {
      if (batch < 1 || length < 1 || channels < 1 || kernelSize < 1) {
        throw new IllegalArgumentException(
            "batch (%d), length (%d), channels (%d) and kernelSize (%d) must be positive"
                .formatted(batch, length, channels, kernelSize));
      }
    }

    /// Inputs that a token sees before its own: K-1.
    public int history() {
      return kernelSize - 1;
    }

    /// Where the channels of one token start in `(B, S, C)`.
    public long token(int row, int step) {
      return ((long) row * length + step) * channels;
    }

    /// Where the channels of the earlier input `step`, in `[-(K-1), 0)`, start in `(B, K-1, C)`.
    public long earlier(int row, int step) {
      return ((long) row * history() + step + history()) * channels;
    }

    public void checkTokens(String name, @Nullable MemorySegment memory) {
      SegmentFloats.check(name, memory, token(batch, 0), "(B, S, C)");
    }

    public void checkTail(String name, @Nullable MemorySegment memory) {
      SegmentFloats.check(name, memory, (long) batch * history() * channels, "(B, K-1, C)");
    }
  }

  /// The inputs of the convolution.
  ///
  /// @param x `(B, S, C)`
  /// @param weight `(C, K)`, the last tap for the current token
  /// @param bias `(C)`, or null for none
  /// @param tail the K-1 inputs before `x` `(B, K-1, C)`; zeros before the first token
  /// @param valid `(B, S)` bytes, 1 for the first `length` positions of a row; y is zero at the
  ///   others; null if all are tokens
  /// @param starts `(B, S)` bytes, 1 where a document starts; null for none
  record Inputs(
      MemorySegment x,
      MemorySegment weight,
      @Nullable MemorySegment bias,
      MemorySegment tail,
      @Nullable MemorySegment valid,
      @Nullable MemorySegment starts) {
    public void check(Size size) {
      size.checkTokens("x", x);
      SegmentFloats.check("weight", weight, (long) size.channels * size.kernelSize, "(C, K)");
      SegmentFloats.check("bias", bias, size.channels, "(C)");
      size.checkTail("tail", tail);
      long positions = (long) size.batch * size.length;
      SegmentFloats.checkMask("valid", valid, positions, "(B, S)");
      SegmentFloats.checkMask("starts", starts, positions, "(B, S)");
    }

    /// For each position of a row how many earlier inputs it sees; -1 at padding.
    public int[] reach(Size size, int row) {
      var reach = new int[size.length];
      int sinceStart = size.history();
      for (int t = 0; t < size.length; t++) {
        long offset = (long) row * size.length + t;
        boolean start = SegmentFloats.isSet(starts, offset, false);
        sinceStart = start ? 0 : Math.min(sinceStart + 1, size.history());
        reach[t] = SegmentFloats.isSet(valid, offset, true) ? sinceStart : -1;
      }
      return reach;
    }

    /// For each of the K-1 inputs after the row's last token which one it is, by step, from -(K-1)
    /// on; [Integer#MIN_VALUE] for a zero.
    public static int[] tailSteps(Size size, int[] reach) {
      int tokens = 0;
      while (tokens < size.length && reach[tokens] >= 0) {
        tokens++;
      }
      int seen = tokens == 0 ? size.history() : reach[tokens - 1] + 1; // with the last token itself
      var steps = new int[size.history()];
      for (int i = 0; i < steps.length; i++) {
        int back = size.history() - i; // 1 for the last token
        steps[i] = back <= seen ? tokens - back : Integer.MIN_VALUE;
      }
      return steps;
    }
  }

  /// The memory of the gradients; whatever was there is overwritten.
  ///
  /// @param x `(B, S, C)`
  /// @param weight `(C, K)`
  /// @param bias `(C)`, or null if it is not wanted
  /// @param tail `(B, K-1, C)`
  /// @param addend added to the gradient of `x` `(B, S, C)`, may be its memory; null for nothing
  record Gradients(
      MemorySegment x,
      MemorySegment weight,
      @Nullable MemorySegment bias,
      MemorySegment tail,
      @Nullable MemorySegment addend) {
    public Gradients(
        MemorySegment x, MemorySegment weight, @Nullable MemorySegment bias, MemorySegment tail) {
      this(x, weight, bias, tail, null);
    }

    public void check(Size size) {
      size.checkTokens("gradient of x", x);
      size.checkTokens("addend", addend);
      SegmentFloats.check(
          "gradient of weight", weight, (long) size.channels * size.kernelSize, "(C, K)");
      SegmentFloats.check("gradient of bias", bias, size.channels, "(C)");
      size.checkTail("gradient of tail", tail);
    }
  }

  /// @param y `(B, S, C)`
  /// @param lastTail the last K-1 inputs `(B, K-1, C)`, those of earlier documents as zeros; not
  ///   the memory of `inputs.tail()`
  /// @throws IllegalArgumentException if a size does not fit
  void forward(
      Size size, Inputs inputs, MemorySegment y, MemorySegment lastTail, KernelThreads threads);

  /// @param inputs as given to [#forward]
  /// @param dy gradient of y `(B, S, C)`; not read at padding
  /// @param dLastTail gradient of the last tail `(B, K-1, C)`, or null for zero
  /// @throws IllegalArgumentException if a size does not fit
  void backward(
      Size size,
      Inputs inputs,
      MemorySegment dy,
      @Nullable MemorySegment dLastTail,
      Gradients gradients,
      KernelThreads threads);
}
