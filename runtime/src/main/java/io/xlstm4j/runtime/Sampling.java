package io.xlstm4j.runtime;

import io.xlstm4j.core.Sampler;
import java.nio.IntBuffer;

/// The data that choosing tokens needs besides logits, kept from token to token.
final class Sampling {
  private final Sampler.Workspace workspace = new Sampler.Workspace();
  private float[] processed = new float[0];

  Sampler.Workspace samplerWorkspace() {
    return workspace;
  }

  /// The logits as the request's processors want them.
  float[] process(Request request, float[] logits, IntBuffer history) {
    if (request.processors().isEmpty()) {
      return logits;
    }
    if (processed.length != logits.length) {
      processed = new float[logits.length];
    }
    System.arraycopy(logits, 0, processed, 0, logits.length);
    for (LogitsProcessor processor : request.processors()) {
      processor.process(processed, history);
    }
    return processed;
  }

  /// `log softmax(logits)[id]`
  static double logProbability(float[] logits, int id) {
    float most = Float.NEGATIVE_INFINITY;
    for (float logit : logits) {
      most = Math.max(most, logit);
    }
    double sum = 0;
    for (float logit : logits) {
      sum += Math.exp((double) logit - most);
    }
    return logits[id] - most - Math.log(sum);
  }
}
