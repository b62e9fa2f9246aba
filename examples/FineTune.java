// Trains a model folder further on a text of your own, then continues a prompt. Run it with:
// java --enable-native-access=ALL-UNNAMED --add-modules jdk.incubator.vector \
//   -cp 'cli/target/app/*' examples/FineTune.java MODEL TEXT FOLDER PROMPT [STEPS]

import io.xlstm4j.runtime.TextGenerator;
import io.xlstm4j.train.Trainer;
import io.xlstm4j.train.config.RunConfig;
import java.nio.file.Path;

void main(String[] arguments) {
  Path folder = Path.of(arguments[2]);
  int steps = arguments.length > 4 ? Integer.parseInt(arguments[4]) : 100;
  var run = RunConfig.fineTuning(Path.of(arguments[0])); // architecture and tokenizer of MODEL
  run =
      run.withData(run.data().withCorpus(arguments[1]))
          .withTraining(run.training().withSteps(steps).withBatchSize(8))
          .withOptimizer(run.optimizer().withLearningRate(5e-4))
          .withSchedule(run.schedule().withWarmupSteps(steps / 10));
  try (var trainer = Trainer.start(run, folder)) {
    var result = trainer.run(() -> false); // asked after every step whether to stop
    IO.println("loss after %d steps: %s".formatted(result.steps(), result.end().validation()));
  }
  try (var generator = TextGenerator.open(folder)) {
    IO.println(arguments[3] + generator.generate(arguments[3]));
  }
}
