// Continues a text by a model folder and prints it as it comes, without libtorch. Run it with:
// java --enable-native-access=ALL-UNNAMED --add-modules jdk.incubator.vector \
//   -cp 'cli/target/app/*' examples/StreamCompletion.java FOLDER PROMPT

import io.xlstm4j.runtime.GenerationOptions;
import io.xlstm4j.runtime.TextGenerator;
import java.nio.file.Path;

void main(String[] arguments) {
  var options = GenerationOptions.DEFAULT.withMaxTokens(64).withTemperature(0.8).withSeed(1);
  try (var generator = TextGenerator.open(Path.of(arguments[0]));
      var pieces = generator.stream(arguments[1], options)) {
    IO.print(arguments[1]);
    pieces.forEach(IO::print);
    IO.println();
  }
}
