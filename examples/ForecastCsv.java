// Trains a model on a CSV file of beer sales and forecasts the two years that follow it. Run it
// with:
// java --enable-native-access=ALL-UNNAMED --add-modules jdk.incubator.vector \
//   -cp 'cli/target/app/*' examples/ForecastCsv.java examples/ausbeer.csv FOLDER [STEPS]

import io.xlstm4j.train.Trainer;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.SeriesConfig;
import io.xlstm4j.train.series.Forecaster;
import java.nio.file.Path;

void main(String[] arguments) {
  Path csv = Path.of(arguments[0]);
  Path folder = Path.of(arguments[1]);
  int steps = arguments.length > 2 ? Integer.parseInt(arguments[2]) : 200;
  var series =
      SeriesConfig.of(csv.toString(), "beer")
          .withTimeColumn("quarter")
          .withContext(24) // rows that are read
          .withHorizon(8); // rows that are forecast
  var run = RunConfig.forSeries(series);
  run =
      run.withTraining(run.training().withSteps(steps).withBatchSize(16))
          .withSchedule(run.schedule().withWarmupSteps(steps / 10));
  try (var trainer = Trainer.start(run, folder)) {
    trainer.run(() -> false); // asked after every step whether to stop
  }
  try (var forecaster = Forecaster.open(folder, "cpu")) {
    IO.println("time, " + String.join(", ", forecaster.names())); // quantiles
    for (var forecast : forecaster.forecast(csv).forecasts()) {
      IO.println(forecast.time() + " " + Arrays.toString(forecast.values()));
    }
  }
}
