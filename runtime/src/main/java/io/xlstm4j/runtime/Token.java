package io.xlstm4j.runtime;

/// A token that was chosen.
///
/// @param id its id
/// @param text what can be shown now: empty while bytes of a character are missing, while what came
///   last may be the beginning of a stop string, or if the request decodes nothing
/// @param logProbability natural logarithm of its probability by the model itself, without
///   processors, temperature and filters; NaN unless asked for
public record Token(int id, String text, double logProbability) {}
