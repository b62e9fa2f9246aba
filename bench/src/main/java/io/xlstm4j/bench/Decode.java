package io.xlstm4j.bench;

import io.xlstm4j.core.Sampler;
import io.xlstm4j.core.SamplerConfig;
import io.xlstm4j.runtime.RuntimeModel;
import io.xlstm4j.runtime.Sequence;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/// Greedy decoding after a short prompt, one sequence alone and several sequences at once, in each
/// type of weights. A run is 64 steps; it goes on where the one before ended, for a step takes as
/// long wherever the sequence stands.
final class Decode implements Benchmark {
  private static final int PROMPT = 8;
  private static final int STEPS = 64;

  @Override
  public String name() {
    return "decode";
  }

  @Override
  public String description() {
    return "greedy decoding of a random Large model, 1 and B rows, in each type of weights";
  }

  @Override
  public double warmupSeconds() {
    return 5;
  }

  @Override
  public List<Case> cases(Setting setting) {
    Serving serving = Serving.of(setting);
    var cases = new ArrayList<Case>();
    for (int batch : IntStream.of(1, setting.sizes().batch()).distinct().toArray()) {
      for (RandomModel.Type type : RandomModel.Type.values()) {
        cases.add(
            serving.benchCase(
                "greedy decode, batch " + batch,
                type,
                (model, line) -> measure(model, line, batch, serving.timing())));
      }
    }
    return List.copyOf(cases);
  }

  private static Measurement measure(
      RandomModel folder, Serving.Line line, int batch, Timing timing) {
    long bytes = folder.bytesRead();
    try (var model = RuntimeModel.open(folder.folder());
        var rows = new Rows(model, batch)) {
      Timing.Result timed = timing.measure(() -> rows.steps(STEPS));
      Measurement measured = line.of(timed).with("B", batch).withTokens((long) batch * STEPS);
      return measured.with("weight_gb_per_s", bytes * (double) STEPS / timed.ms() / 1e6);
    }
  }

  /// Rows that are decoded together.
  private static final class Rows implements AutoCloseable {
    private final RuntimeModel model;
    private final Sequence[] rows;
    private final int[] ids;
    private final Sampler sampler = new Sampler(SamplerConfig.GREEDY);
    private final Sampler.Workspace workspace = new Sampler.Workspace();

    Rows(RuntimeModel model, int count) {
      this.model = model;
      this.rows = new Sequence[count];
      this.ids = new int[count];
      Arrays.setAll(rows, _ -> model.newSequence());
      var random = new Random(0);
      for (int i = 0; i < count; i++) {
        model.prefill(rows[i], random.ints(PROMPT, 0, model.vocabSize()).toArray());
      }
      choose();
    }

    void steps(int count) {
      for (int step = 0; step < count; step++) {
        model.step(ids, rows);
        choose();
      }
    }

    private void choose() {
      for (int i = 0; i < rows.length; i++) {
        float[] logits = rows[i].logits();
        ids[i] = sampler.sample(logits, logits.length, IntBuffer.allocate(0), i, 0, workspace);
      }
    }

    @Override
    public void close() {
      for (Sequence row : rows) {
        row.close();
      }
    }
  }
}
