package io.xlstm4j.cli;

import io.xlstm4j.core.checkpoint.ModelTensors;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.SafetensorsWriter;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorSource;
import io.xlstm4j.text.BpeTrainer;
import io.xlstm4j.text.BpeVocabulary;
import io.xlstm4j.text.Tokenizers;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Map;
import java.util.stream.Stream;

/// A start of `generate` on a tiny model, once after a build: Java notes what was loaded for it,
/// and the launcher lets later starts take that from a file.
final class StartupRehearsal {
  private static final int VOCAB = 300;

  private StartupRehearsal() {}

  /// @param arguments an empty folder to work in
  public static void main(String[] arguments) throws IOException {
    Path folder = Path.of(arguments[0]);
    write(folder);
    String[] command = {
      "generate", "--model", folder.toString(), "--prompt", "once upon", "--max-tokens", "100"
    };
    Preparation.begin(command);
    int code =
        Main.commandLine(command).setOut(new PrintWriter(Writer.nullWriter())).execute(command);
    System.exit(code);
  }

  private static void write(Path folder) throws IOException {
    BpeVocabulary vocabulary = new BpeTrainer(VOCAB).train(Stream.of("once upon a time"));
    vocabulary.save(folder.resolve(Tokenizers.FILE_NAME));
    var config = LargeModelConfig.of(VOCAB, 64, 2, 4);
    Files.writeString(
        folder.resolve(CheckpointConfig.FILE_NAME),
        CheckpointConfig.ofDocuments(config.withVocabulary(VOCAB, 0), null, 0).toJson());
    var tensors = new ArrayList<TensorData>();
    ModelTensors.of(config)
        .forEach((name, shape) -> {
          var values = new float[(int) Arrays.stream(shape).reduce(1, (a, b) -> a * b)];
          Arrays.fill(values, 0.01f);
          tensors.add(TensorData.of(name, DType.F32, shape, values));
        });
    SafetensorsWriter.write(
        folder.resolve(TensorSource.SINGLE_FILE), tensors, Map.of("format", "pt"));
  }
}
