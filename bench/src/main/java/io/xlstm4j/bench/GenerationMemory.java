package io.xlstm4j.bench;

import io.xlstm4j.core.SamplerConfig;
import io.xlstm4j.core.safetensors.TensorSource;
import io.xlstm4j.runtime.Generation;
import io.xlstm4j.runtime.Request;
import io.xlstm4j.runtime.RuntimeModel;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/// The memory that a process held after it had generated, and the program that [ServingMemory]
/// starts.
///
/// @param peakKb VmHWM of `/proc/self/status`: the largest resident memory of the process so far,
///   all of it, shared libraries and mapped files included
/// @param weightsKb Rss of the mapping of the weight file in `/proc/self/smaps`, at the end
record GenerationMemory(long peakKb, long weightsKb) {
  private static final int TOKENS = 300;
  private static final int PROMPT = 8;
  private static final String PEAK = "VmHWM:";
  private static final String WEIGHTS = "weights:";

  /// @param args the checkpoint folder
  public static void main(String[] args) throws IOException {
    try (var model = RuntimeModel.open(Path.of(args[0]));
        var generation = new Generation(model)) {
      var sampler = new SamplerConfig(1, 50, 0.9, 0, 1, 1);
      var prompt = new int[PROMPT];
      Arrays.fill(prompt, 1);
      generation.add(Request.of(prompt).withMaxTokens(TOKENS).withSampler(sampler), _ -> {});
      generation.run();
      GenerationMemory now = ofThisProcess();
      var out = new PrintStream(new FileOutputStream(FileDescriptor.out), true);
      out.println(PEAK + now.peakKb);
      out.println(WEIGHTS + now.weightsKb);
    }
  }

  private static GenerationMemory ofThisProcess() throws IOException {
    long peak =
        Files.readAllLines(Path.of("/proc/self/status")).stream()
            .filter(line -> line.startsWith(PEAK))
            .mapToLong(GenerationMemory::number)
            .sum();
    long weights = 0;
    boolean ofWeights = false;
    for (String line : Files.readAllLines(Path.of("/proc/self/smaps"))) {
      if (line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
        ofWeights = line.endsWith(TensorSource.SINGLE_FILE);
      } else if (ofWeights && line.startsWith("Rss:")) {
        weights += number(line);
      }
    }
    return new GenerationMemory(peak, weights);
  }

  static GenerationMemory parse(List<String> lines) {
    return new GenerationMemory(value(lines, PEAK), value(lines, WEIGHTS));
  }

  private static long value(List<String> lines, String key) {
    return lines.stream()
        .filter(line -> line.startsWith(key))
        .mapToLong(GenerationMemory::number)
        .findFirst()
        .orElseThrow(() -> new IllegalStateException("no line " + key + " in " + lines));
  }

  private static long number(String line) {
    return Long.parseLong(line.replaceAll("[^0-9]", ""));
  }

  Measurement addTo(Measurement measurement) {
    return measurement
        .with("tokens", TOKENS)
        .with("peak_rss_mib", peakKb / 1024.0)
        .with("weights_rss_mib", weightsKb / 1024.0)
        .with("over_weights_mib", (peakKb - weightsKb) / 1024.0);
  }
}
