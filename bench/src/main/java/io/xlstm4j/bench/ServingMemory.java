package io.xlstm4j.bench;

import io.xlstm4j.kernels.Kernels;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/// The memory that a serving process holds beside the weights: a fresh one generates some hundred
/// tokens and tells the peak of its memory, in each type of weights.
final class ServingMemory implements Benchmark {
  /// As the launcher has it for `generate`.
  private static final String NURSERY = "-Xmn16m";

  @Override
  public String name() {
    return "memory";
  }

  @Override
  public String description() {
    return "the peak memory of a fresh process that generates 300 tokens, less its mapped weights";
  }

  /// Measures only the memory of a process that starts.
  @Override
  public double warmupSeconds() {
    return 0;
  }

  @Override
  public List<Case> cases(Setting setting) {
    Serving serving = Serving.of(setting);
    return Stream.of(RandomModel.Type.values())
        .map(type ->
            serving.benchCase(
                "peak memory over the weights",
                type,
                (model, line) -> {
                  var said = new ArrayList<String>();
                  List<String> command = command(model);
                  Timing.Result timed =
                      new Timing(1, 0, 0)
                          .measure(() -> said.addAll(Processes.outputOf(command, "generate")));
                  return GenerationMemory.parse(said).addTo(line.of(timed));
                }))
        .toList();
  }

  private static List<String> command(RandomModel model) {
    String threads = "-Dxlstm4j.threads=" + Kernels.shared().threads().count();
    var command =
        new ArrayList<>(Processes.java(GenerationMemory.class, List.of(threads, NURSERY)));
    command.add(model.folder().toString());
    return List.copyOf(command);
  }
}
