package io.xlstm4j.train;

import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.run.RunFolder;
import io.xlstm4j.train.run.TrainingState;
import io.xlstm4j.train.task.TaskInfo;
import java.util.function.Consumer;

/// A run at the moment of an event.
///
/// @param stopper takes a request to stop, from any thread
record RunSnapshot(
    RunConfig config,
    RunFolder folder,
    TaskInfo facts,
    TrainingState state,
    int totalSteps,
    boolean ending,
    Consumer<String> stopper)
    implements Run {
  @Override
  public void stop(String why) {
    stopper.accept(why);
  }
}
