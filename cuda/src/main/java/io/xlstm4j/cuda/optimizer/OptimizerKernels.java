package io.xlstm4j.cuda.optimizer;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.xlstm4j.cuda.binary.KernelBinary;
import io.xlstm4j.cuda.cell.Spans;
import io.xlstm4j.cuda.driver.CudaContext;
import io.xlstm4j.cuda.driver.CudaException;
import io.xlstm4j.cuda.driver.CudaFunction;
import io.xlstm4j.cuda.driver.CudaModule;
import io.xlstm4j.cuda.driver.CudaStream;
import io.xlstm4j.cuda.driver.DeviceSpan;
import io.xlstm4j.cuda.driver.Launch;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The sum of squares of gradients, updates of AdamW and exponential moving averages, each over all
/// parameters in a few launches, loaded on one device. Everything is float32 and contiguous. Two
/// runs on the same inputs give the same bits.
///
/// All calls only give work to a stream. Safe for many threads.
public final class OptimizerKernels implements AutoCloseable {
  private static final String SOURCE = "optimizer/updates";
  private static final int TENSORS = 64; // of a launch, as in the source
  private static final int CHUNK = 4096; // values of a block
  private static final int THREADS = 256;
  private static final int FIELDS = 5; // of eight bytes each
  private static final long FIRST = (long) FIELDS * TENSORS * Long.BYTES;
  private static final long DECAY = FIRST + (TENSORS + 1L) * Integer.BYTES;
  private static final long RATE = DECAY + (long) TENSORS * Float.BYTES;
  private static final long COUNT = RATE + (long) TENSORS * Float.BYTES;
  private static final long BYTES = (COUNT + Integer.BYTES + 7) / 8 * 8;

  private final CudaModule module;
  private final CudaFunction squares;
  private final CudaFunction sumParts;
  private final CudaFunction adamW;
  private final CudaFunction average;

  private OptimizerKernels(CudaModule module) {
    this.module = module;
    squares = module.function("squares");
    sumParts = module.function("sum_parts");
    adamW = module.function("adamw");
    average = module.function("average");
  }

  /// Loads the kernels.
  ///
  /// @throws IllegalStateException if the device is older than compute capability 8.0
  /// @throws CudaException if the driver is too old for the kernels
  public static OptimizerKernels load(CudaContext context) {
    KernelBinary binary =
        KernelBinary.find(SOURCE, context.device())
            .orElseThrow(() ->
                new IllegalStateException(
                    "%s has compute capability %s; the kernels need 8.0 or newer"
                        .formatted(context.device().name(), context.device().capability())));
    return new OptimizerKernels(context.load(binary.resource(), binary.bytes()));
  }

  /// One parameter with its gradient and moments, all of one size.
  ///
  /// @param decay what the parameter is multiplied by first: 1 - learning rate x weight decay
  /// @param rate learning rate over the first moment's bias correction
  public record Slot(
      DeviceSpan parameter,
      DeviceSpan gradient,
      DeviceSpan mean,
      DeviceSpan square,
      float decay,
      float rate) {
    public Slot {
      Spans.check("gradient", gradient, parameter.bytes(), "of the parameter's size");
      Spans.check("mean", mean, parameter.bytes(), "of the parameter's size");
      Spans.check("square", square, parameter.bytes(), "of the parameter's size");
    }
  }

  /// Numbers of one update of AdamW that all parameters share.
  ///
  /// @param scale what gradients are multiplied by first, for clipping
  /// @param squareCorrection root of the second moment's bias correction
  public record Step(
      float scale, double beta1, double beta2, float squareCorrection, float epsilon) {}

  /// Bytes of workspace that [#sumOfSquares] needs.
  public static long workspaceBytes(List<DeviceSpan> gradients) {
    return gradients.stream().mapToLong(g -> blocks(g) * (long) Double.BYTES).sum();
  }

  /// Writes the sum of the squares of all values, a float64.
  ///
  /// @param gradients none may be empty
  /// @param workspace [#workspaceBytes] bytes
  /// @param total eight bytes
  public void sumOfSquares(
      CudaStream stream, List<DeviceSpan> gradients, DeviceSpan workspace, DeviceSpan total) {
    Spans.check("workspace", workspace, workspaceBytes(gradients), "of workspaceBytes()");
    Spans.check("total", total, Double.BYTES, "of a float64");
    var entries =
        gradients.stream()
            .map(gradient -> new Entry(gradient, gradient, null, null, 0, 0))
            .toList();
    int done = 0;
    try (var arena = Arena.ofConfined()) {
      for (List<Entry> part : parts(entries)) {
        Table table = Table.of(arena, part);
        squares.launch(stream, table.launch(), table.structure, workspace.address(), done);
        done += table.blocks;
      }
      sumParts.launch(stream, Launch.of(1, THREADS), workspace.address(), done, total.address());
    }
  }

  /// Updates parameters and moments.
  ///
  /// @param slots no parameter may be empty
  public void adamW(CudaStream stream, Step step, List<Slot> slots) {
    var entries =
        slots.stream()
            .map(s -> new Entry(s.parameter, s.gradient, s.mean, s.square, s.decay, s.rate))
            .toList();
    try (var arena = Arena.ofConfined()) {
      MemorySegment numbers =
          arena.allocateFrom(
              JAVA_FLOAT,
              step.scale,
              (float) step.beta1,
              (float) (1 - step.beta1),
              (float) step.beta2,
              (float) (1 - step.beta2),
              step.squareCorrection,
              step.epsilon,
              0);
      for (List<Entry> part : parts(entries)) {
        Table table = Table.of(arena, part);
        adamW.launch(stream, table.launch(), table.structure, numbers);
      }
    }
  }

  /// Moves averages towards parameters: `average += share (parameter - average)`.
  ///
  /// @param parameters none may be empty
  /// @param averages of the same sizes, in order
  public void average(
      CudaStream stream, List<DeviceSpan> parameters, List<DeviceSpan> averages, float share) {
    var entries = new ArrayList<Entry>();
    for (int i = 0; i < parameters.size(); i++) {
      DeviceSpan parameter = parameters.get(i);
      Spans.check("average", averages.get(i), parameter.bytes(), "of the parameter's size");
      entries.add(new Entry(parameter, null, averages.get(i), null, 0, 0));
    }
    try (var arena = Arena.ofConfined()) {
      for (List<Entry> part : parts(entries)) {
        Table table = Table.of(arena, part);
        average.launch(
            stream, table.launch(), table.structure, arena.allocateFrom(JAVA_FLOAT, share));
      }
    }
  }

  private static int blocks(DeviceSpan values) {
    return Math.toIntExact(Math.ceilDiv(values.bytes() / Float.BYTES, (long) CHUNK));
  }

  private static List<List<Entry>> parts(List<Entry> entries) {
    var parts = new ArrayList<List<Entry>>();
    for (int from = 0; from < entries.size(); from += TENSORS) {
      parts.add(entries.subList(from, Math.min(entries.size(), from + TENSORS)));
    }
    return parts;
  }

  /// A tensor of the table.
  private record Entry(
      DeviceSpan parameter,
      @Nullable DeviceSpan gradient,
      @Nullable DeviceSpan mean,
      @Nullable DeviceSpan square,
      float decay,
      float rate) {}

  /// The structure `Tensors` of the source, filled.
  private record Table(MemorySegment structure, int blocks) {
    static Table of(Arena arena, List<Entry> entries) {
      MemorySegment table = arena.allocate(BYTES, 8);
      int block = 0;
      for (int i = 0; i < entries.size(); i++) {
        Entry entry = entries.get(i);
        set(table, 0, i, Spans.address(entry.parameter));
        set(table, 1, i, Spans.address(entry.gradient));
        set(table, 2, i, Spans.address(entry.mean));
        set(table, 3, i, Spans.address(entry.square));
        set(table, 4, i, entry.parameter.bytes() / Float.BYTES);
        table.set(JAVA_INT, FIRST + (long) i * Integer.BYTES, block);
        table.set(JAVA_FLOAT, DECAY + (long) i * Float.BYTES, entry.decay);
        table.set(JAVA_FLOAT, RATE + (long) i * Float.BYTES, entry.rate);
        block = Math.addExact(block, OptimizerKernels.blocks(entry.parameter));
      }
      table.set(JAVA_INT, FIRST + (long) entries.size() * Integer.BYTES, block);
      table.set(JAVA_INT, COUNT, entries.size());
      return new Table(table, block);
    }

    private static void set(MemorySegment table, int field, int tensor, long value) {
      table.set(JAVA_LONG, ((long) field * TENSORS + tensor) * Long.BYTES, value);
    }

    Launch launch() {
      return Launch.of(blocks, THREADS);
    }
  }

  @Override
  public void close() {
    module.close();
  }
}
