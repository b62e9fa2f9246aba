package io.xlstm4j.bench;

import io.xlstm4j.kernels.Kernels;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/// A process that starts, opens a checkpoint folder and reads a prompt of 8 tokens, from before its
/// start to after its end, in each type of weights. The files are in the system's memory already.
final class Startup implements Benchmark {
  @Override
  public String name() {
    return "startup";
  }

  @Override
  public String description() {
    return "a fresh process opens a random Large model and has the first logits";
  }

  /// Nothing stays compiled from process to process: one second fills the system's caches.
  @Override
  public double warmupSeconds() {
    return 1;
  }

  @Override
  public List<Case> cases(Setting setting) {
    Serving serving = Serving.of(setting);
    return Stream.of(RandomModel.Type.values())
        .map(type ->
            serving.benchCase(
                "cold start: process to first logits",
                type,
                (model, line) -> {
                  List<String> command = command(model);
                  return line.of(
                      serving.timing().measure(() -> Processes.outputOf(command, "start")));
                }))
        .toList();
  }

  private static List<String> command(RandomModel model) {
    // as many threads as the measurement says
    String threads = "-Dxlstm4j.threads=" + Kernels.shared().threads().count();
    var command = new ArrayList<>(Processes.java(FirstLogits.class, List.of(threads)));
    command.add(model.folder().toString());
    return List.copyOf(command);
  }
}
