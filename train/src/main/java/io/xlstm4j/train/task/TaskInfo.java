package io.xlstm4j.train.task;

import java.util.List;

/// Name and sizes of what a run trains; they do not change during the run.
///
/// @param name of the corpus or file
/// @param describe the model in a line, for people
/// @param parameters trained numbers of the model
/// @param unit what people count the data in
/// @param tokensPerStep tokens, or positions of a series, in the batch of a step
/// @param stepsPerEpoch batches of one pass over the training data
/// @param trainTokens tokens or positions to train on in an epoch
/// @param validationTokens tokens or positions to validate on
/// @param vocabulary ids that a language model predicts among; 1 for other models
/// @param notes what people should know of the data, a line each
public record TaskInfo(
    String name,
    String describe,
    long parameters,
    Task.Unit unit,
    long tokensPerStep,
    double stepsPerEpoch,
    long trainTokens,
    long validationTokens,
    int vocabulary,
    List<String> notes) {
  public TaskInfo {
    notes = List.copyOf(notes);
  }

  /// Returns the facts of a task.
  public static TaskInfo of(Task task) {
    return new TaskInfo(
        task.name(),
        task.describe(),
        task.parameters().count(),
        task.unit(),
        task.tokensPerStep(),
        task.stepsPerEpoch(),
        task.trainTokens(),
        task.validationTokens(),
        task.vocabulary(),
        task.notes());
  }
}
