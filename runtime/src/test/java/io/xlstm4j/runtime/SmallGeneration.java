package io.xlstm4j.runtime;

import io.xlstm4j.core.checkpoint.Int8Quantizer;
import io.xlstm4j.core.checkpoint.ModelFolder;
import io.xlstm4j.core.safetensors.DType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/// A prompt and some tokens after it through both model families in every type of weights, also as
/// a program in a JVM of its own.
final class SmallGeneration {
  private static final List<String> MODELS = List.of("paper_lm_7to1", "hf_xlstm_tiny");
  private static final int PROMPT = 70; // long enough for the products of sequences
  private static final int STEPS = 6;

  private SmallGeneration() {}

  /// Writes the logits to the file `arguments[0]`, one line for each model and type; `arguments[1]`
  /// is an empty folder to work in.
  public static void main(String[] arguments) throws IOException {
    var lines = new ArrayList<String>();
    logits(Path.of(arguments[1]))
        .forEach((name, logits) -> {
          var line = new StringBuilder(name);
          for (float logit : logits) {
            line.append(',').append(logit);
          }
          lines.add(line.toString());
        });
    Files.write(Path.of(arguments[0]), lines);
  }

  /// All logits of each model and type.
  static Map<String, List<Float>> logits(Path temporary) {
    var logits = new TreeMap<String, List<Float>>();
    for (String name : MODELS) {
      Path int8 = temporary.resolve(name + "-int8");
      Path original = Fixtures.folder(name, DType.F32, temporary);
      try (var folder = ModelFolder.open(original)) {
        Int8Quantizer.write(folder, int8, 32);
      }
      logits.put(name + " float32", logits(original, true));
      for (DType type : List.of(DType.BF16, DType.F16)) {
        logits.put(name + " " + type, logits(Fixtures.folder(name, type, temporary), true));
      }
      logits.put(name + " int8", logits(int8, true));
      logits.put(name + " int8 on own threads", logits(int8, false));
    }
    return logits;
  }

  private static List<Float> logits(Path folder, boolean shared) {
    var all = new ArrayList<Float>();
    try (var model = shared ? RuntimeModel.open(folder) : RuntimeModel.open(folder, 2);
        Sequence row = model.newSequence();
        Sequence other = model.newSequence()) {
      model.prefill(row, ids(model, PROMPT));
      model.prefill(other, ids(model, 5));
      for (int id : ids(model, STEPS)) {
        add(row.logits(), all);
        add(other.logits(), all);
        model.step(new int[] {id, (id + 1) % model.vocabSize()}, row, other);
      }
      add(row.logits(), all);
      add(other.logits(), all);
    }
    return all;
  }

  private static void add(float[] logits, List<Float> to) {
    for (float logit : logits) {
      to.add(logit);
    }
  }

  private static int[] ids(RuntimeModel model, int count) {
    var ids = new int[count];
    for (int i = 0; i < count; i++) {
      ids[i] = (7 * i + 3) % model.vocabSize();
    }
    return ids;
  }
}
