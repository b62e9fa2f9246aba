package io.xlstm4j.kernels.vector.mlstm;

import io.xlstm4j.kernels.MlstmGradients;
import io.xlstm4j.kernels.MlstmInputs;
import io.xlstm4j.kernels.MlstmKernel;
import io.xlstm4j.kernels.MlstmShape;
import io.xlstm4j.kernels.MlstmState;
import io.xlstm4j.kernels.MlstmStateGradient;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.jspecify.annotations.Nullable;

/// [MlstmKernel] in chunks: linear in the length, matrix products within a chunk, on the Vector
/// API. A task is one row and head, its chunks one after the other.
///
/// Saves the state before every chunk and the denominators.
public final class VectorMlstmKernel implements MlstmKernel {
  /// Fastest of 32, 64 and 128 at heads of 64.
  private static final int CHUNK = 64;

  private final KernelThreads threads;
  private final int chunk;
  private final ConcurrentLinkedQueue<MlstmChunk> scratch = new ConcurrentLinkedQueue<>();

  public VectorMlstmKernel(KernelThreads threads) {
    this(threads, CHUNK);
  }

  /// @param chunk positions in a chunk
  public VectorMlstmKernel(KernelThreads threads, int chunk) {
    this.threads = threads;
    this.chunk = chunk;
  }

  @Override
  public long savedBytes(MlstmShape shape) {
    return Float.BYTES * (long) shape.pairs() * savedOfPair(shape);
  }

  private long savedOfPair(MlstmShape shape) {
    int chunks = (shape.length() + chunk - 1) / chunk;
    return chunks * MlstmChunk.savedFloats(shape.qkDim(), shape.vDim(), chunk);
  }

  @Override
  public void forward(
      MlstmShape shape,
      MlstmInputs inputs,
      @Nullable MlstmState initial,
      StridedMatrix h,
      MlstmState last,
      @Nullable MemorySegment saved) {
    forward(shape, inputs, new ChunkQkv.Stored(shape, inputs, null), initial, h, last, saved);
  }

  /// @param inputs whose gates and masks are read
  void forward(
      MlstmShape shape,
      MlstmInputs inputs,
      ChunkQkv qkv,
      @Nullable MlstmState initial,
      StridedMatrix h,
      MlstmState last,
      @Nullable MemorySegment saved) {
    inputs.check(shape);
    shape.check("h", h, shape.vDim());
    last.check("last", shape);
    if (initial != null) {
      initial.check("initial", shape);
    }
    SegmentFloats.expectBytes("saved", saved, savedBytes(shape));
    threads.run(
        shape.pairs(),
        pair -> {
          MlstmChunk work = borrow(shape);
          forward(work, shape, pair, inputs, qkv, initial, h, last, saved);
          scratch.add(work);
        });
  }

  private void forward(
      MlstmChunk work,
      MlstmShape shape,
      int pair,
      MlstmInputs inputs,
      ChunkQkv qkv,
      @Nullable MlstmState initial,
      StridedMatrix h,
      MlstmState last,
      @Nullable MemorySegment saved) {
    int row = pair / shape.heads();
    int head = pair % shape.heads();
    if (initial == null) {
      work.clearState();
    } else {
      work.readState(initial, pair);
    }
    long offset = pair * savedOfPair(shape);
    for (int from = 0; from < shape.length(); from += chunk) {
      if (saved != null) {
        work.saveState(saved, offset);
      }
      work.read(shape, inputs, qkv, row, head, from, Math.min(chunk, shape.length() - from));
      work.forward(shape, h, row, head, from);
      if (saved != null) {
        work.saveDenominator(saved, offset);
      }
      offset += MlstmChunk.savedFloats(shape.qkDim(), shape.vDim(), chunk);
    }
    work.writeState(last, pair);
  }

  @Override
  public void backward(
      MlstmShape shape,
      MlstmInputs inputs,
      StridedMatrix h,
      MemorySegment saved,
      StridedMatrix dH,
      @Nullable MlstmStateGradient dLast,
      MlstmGradients gradients,
      @Nullable MlstmStateGradient dInitial) {
    var qkv = new ChunkQkv.Stored(shape, inputs, gradients);
    backward(shape, inputs, qkv, h, saved, dH, dLast, gradients, dInitial);
  }

  /// @param inputs whose gates and masks are read
  /// @param gradients whose gates' are written
  void backward(
      MlstmShape shape,
      MlstmInputs inputs,
      ChunkQkv qkv,
      StridedMatrix h,
      MemorySegment saved,
      StridedMatrix dH,
      @Nullable MlstmStateGradient dLast,
      MlstmGradients gradients,
      @Nullable MlstmStateGradient dInitial) {
    inputs.check(shape);
    shape.check("h", h, shape.vDim());
    shape.check("gradient of h", dH, shape.vDim());
    gradients.check(shape);
    SegmentFloats.expectBytes("saved", saved, savedBytes(shape));
    if (dLast != null) {
      dLast.check("gradient of last", shape);
    }
    if (dInitial != null) {
      dInitial.check("gradient of initial", shape);
    }
    threads.run(
        shape.pairs(),
        pair -> {
          MlstmChunk work = borrow(shape);
          backward(work, shape, pair, inputs, qkv, h, saved, dH, dLast, gradients, dInitial);
          scratch.add(work);
        });
  }

  private void backward(
      MlstmChunk work,
      MlstmShape shape,
      int pair,
      MlstmInputs inputs,
      ChunkQkv qkv,
      StridedMatrix h,
      MemorySegment saved,
      StridedMatrix dH,
      @Nullable MlstmStateGradient dLast,
      MlstmGradients gradients,
      @Nullable MlstmStateGradient dInitial) {
    int row = pair / shape.heads();
    int head = pair % shape.heads();
    if (dLast == null) {
      work.clearStateGradient();
    } else {
      work.readStateGradient(dLast, pair);
    }
    long size = MlstmChunk.savedFloats(shape.qkDim(), shape.vDim(), chunk);
    int chunks = (shape.length() + chunk - 1) / chunk;
    for (int i = chunks - 1; i >= 0; i--) {
      int from = i * chunk;
      work.loadSaved(saved, pair * savedOfPair(shape) + i * size);
      work.read(shape, inputs, qkv, row, head, from, Math.min(chunk, shape.length() - from));
      work.backward(shape, qkv, h, dH, gradients, row, head, from);
    }
    if (dInitial != null) {
      work.writeStateGradient(dInitial, pair);
    }
  }

  /// Scratch that fits, from an earlier task or new. Scratch of other sizes is dropped.
  private MlstmChunk borrow(MlstmShape shape) {
    @Nullable MlstmChunk work = scratch.poll();
    while (work != null && !work.fits(shape)) {
      work = scratch.poll();
    }
    return work == null ? new MlstmChunk(shape.qkDim(), shape.vDim(), chunk) : work;
  }
}
