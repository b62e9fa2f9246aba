import io.xlstm4j.runtime.Generation;
import io.xlstm4j.runtime.Request;
import io.xlstm4j.runtime.RuntimeModel;
import io.xlstm4j.text.Tokenizers;
import java.nio.file.Path;

/// Streams a completion: `java Complete.java FOLDER PROMPT`.
public class Complete {
  public static void main(String[] args) {
    Path folder = Path.of(args[0]);
    try (var model = RuntimeModel.open(folder);
        var tokenizer = Tokenizers.open(folder, model.checkpoint().tokenizer());
        var generation = new Generation(model)) {
      var request =
          Request.of(tokenizer.encode(args[1]))
              .withMaxTokens(64)
              .withDecoder(() -> tokenizer.streamDecoder()::next);
      generation.add(request, token -> System.out.print(token.text()));
      generation.run();
    }
  }
}
