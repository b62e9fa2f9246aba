package io.xlstm4j.train.config;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.BooleanNode;
import com.fasterxml.jackson.databind.node.IntNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.MlstmLayerConfig;
import io.xlstm4j.core.config.SequenceModelConfig;
import io.xlstm4j.core.config.SlstmLayerConfig;
import java.util.ArrayList;
import java.util.List;

/// Defaults that follow other keys, so that one key alone can be changed: those of the default run
/// fit each other, and need not fit a value that somebody gave.
public final class FollowingDefaults {
  private static final int WARMUP_SHARE = 10; // of the steps, one in so many
  private static final int COOLDOWN_SHARE = 5;

  private final ObjectNode said;
  private final ObjectNode defaults;
  private final List<Follower> followers = new ArrayList<>();

  private FollowingDefaults(ObjectNode said, ObjectNode defaults) {
    this.said = said;
    this.defaults = defaults;
  }

  /// A default that is not the usual one.
  ///
  /// @param key with dots
  /// @param value its value in this run
  /// @param because the key that somebody gave, with dots
  /// @param given its value
  public record Follower(String key, JsonNode value, String because, JsonNode given) {
    /// A line for a person.
    @Override
    public String toString() {
      return "%s is %s, because %s is %s"
          .formatted(key, RunKeys.shown(value), because, RunKeys.shown(given));
    }
  }

  /// The defaults that follow.
  ///
  /// @param said keys of a new run, as somebody wrote them; of any type
  public static List<Follower> of(ObjectNode said) {
    ObjectNode keys = RunKeys.withoutEmptySections(said);
    ObjectNode defaults = RunConfig.DEFAULT.treeFor(keys);
    RunKeys.wholeNumbers(keys, defaults);
    return of(keys, defaults);
  }

  static List<Follower> of(ObjectNode said, ObjectNode defaults) {
    var following = new FollowingDefaults(said, defaults);
    if (!said.has(StartingModel.KEY)) { // else the model is that of a folder
      following.model();
    }
    following.schedule();
    following.training();
    return List.copyOf(following.followers);
  }

  private boolean isSaid(String key) {
    return !RunKeys.at(said, key).isMissingNode();
  }

  private JsonNode value(String key) {
    JsonNode given = RunKeys.at(said, key);
    return given.isMissingNode() ? RunKeys.at(defaults, key) : given;
  }

  private void follow(String key, JsonNode value, String because) {
    if (!isSaid(key) && !value.equals(RunKeys.at(defaults, key))) {
      followers.add(new Follower(key, value, because, RunKeys.at(said, because)));
    }
  }

  private void model() {
    if (value("model.model_type").asText().equals(LargeModelConfig.MODEL_TYPE)) {
      heads("model.num_heads", largeWidth());
      return;
    }
    places();
    slstmHeads();
    mlstmHeads();
  }

  /// sLSTM blocks whose default places are behind the last block are left out.
  private void places() {
    String because = "model.num_blocks";
    JsonNode blocks = value(because);
    boolean none = isSaid("model.slstm_block") && value("model.slstm_block").isNull();
    ArrayNode kept = JsonNodeFactory.instance.arrayNode();
    for (JsonNode place : RunKeys.at(defaults, "model.slstm_at")) {
      if (!none && (!blocks.isInt() || place.asInt() < blocks.asInt())) {
        kept.add(place);
      }
    }
    follow("model.slstm_at", kept, none ? "model.slstm_block" : because);
  }

  private boolean hasSlstm() {
    JsonNode places = isSaid("model.slstm_at") ? value("model.slstm_at") : null;
    JsonNode usual = RunKeys.at(defaults, "model.slstm_at");
    boolean followed =
        followers.stream().anyMatch(f -> f.key().equals("model.slstm_at") && f.value().isEmpty());
    return places != null ? !(places.isArray() && places.isEmpty()) : !usual.isEmpty() && !followed;
  }

  private void slstmHeads() {
    JsonNode width = value("model.embedding_dim");
    if (hasSlstm() && width.isInt() && isSaid("model.embedding_dim")) {
      int heads = dividing(SlstmLayerConfig.DEFAULT.numHeads(), width.asInt());
      follow("model.slstm_block.slstm.num_heads", IntNode.valueOf(heads), "model.embedding_dim");
    }
  }

  private void mlstmHeads() {
    String at = "model.mlstm_block.mlstm.";
    List<String> causes =
        List.of(
            at + "round_proj_up_to_multiple_of",
            at + "proj_factor",
            at + "round_proj_up_dim_up",
            "model.embedding_dim");
    String because = causes.stream().filter(this::isSaid).findFirst().orElse("");
    if (because.isEmpty() || value("model.mlstm_block").isNull()) {
      return;
    }
    MlstmLayerConfig usual = MlstmLayerConfig.DEFAULT;
    int inner;
    try {
      inner =
          new MlstmLayerConfig(
                  usual.conv1dKernelSize(),
                  usual.qkvProjBlocksize(),
                  usual.numHeads(),
                  value(at + "proj_factor").asDouble(usual.projFactor()),
                  value(at + "round_proj_up_dim_up").asBoolean(usual.roundProjUpDimUp()),
                  value(at + "round_proj_up_to_multiple_of").asInt(usual.roundProjUpToMultipleOf()))
              .innerDim(value("model.embedding_dim").asInt());
    } catch (IllegalArgumentException e) {
      return; // binding says what is wrong
    }
    follow(at + "num_heads", IntNode.valueOf(dividing(usual.numHeads(), inner)), because);
    follow(
        at + "qkv_proj_blocksize",
        IntNode.valueOf(dividing(usual.qkvProjBlocksize(), inner)),
        because);
  }

  private int largeWidth() {
    int width = value("model.embedding_dim").asInt();
    int queries = (int) (width * value("model.qk_dim_factor").asDouble());
    int values = (int) (width * value("model.v_dim_factor").asDouble());
    return gcd(queries, values);
  }

  private void heads(String key, int width) {
    String because =
        List.of("model.qk_dim_factor", "model.v_dim_factor", "model.embedding_dim").stream()
            .filter(this::isSaid)
            .findFirst()
            .orElse("");
    int usual = RunKeys.at(defaults, key).asInt();
    if (!because.isEmpty() && width > 0) {
      follow(key, IntNode.valueOf(dividing(usual, width)), because);
    }
  }

  /// The largest number up to `most` that divides `width`.
  private static int dividing(int most, int width) {
    int heads = most;
    while (heads > 1 && width % heads != 0) {
      heads--;
    }
    return heads;
  }

  private static int gcd(int a, int b) {
    return b == 0 ? a : gcd(b, a % b);
  }

  private void schedule() {
    JsonNode steps = value("training.steps");
    int usual = RunKeys.at(defaults, "schedule.warmup_steps").asInt();
    if (isSaid("training.steps") && steps.isInt() && steps.asInt() > 0) {
      int warmup = Math.min(usual, steps.asInt() / WARMUP_SHARE);
      follow("schedule.warmup_steps", IntNode.valueOf(warmup), "training.steps");
    }
    if (isSaid("schedule.kind") && value("schedule.kind").asText().equals("wsd")) {
      int all = steps.isInt() && steps.asInt() > 0 ? steps.asInt() : WARMUP_SHARE * usual;
      follow(
          "schedule.cooldown_steps",
          IntNode.valueOf(Math.max(1, all / COOLDOWN_SHARE)),
          "schedule.kind");
    }
  }

  private void training() {
    for (String limit : List.of("training.tokens", "training.epochs", "training.minutes")) {
      if (isSaid(limit) && value(limit).asDouble() > 0) {
        follow("training.steps", IntNode.valueOf(0), limit);
        break;
      }
    }
    JsonNode parts = value("training.gradient_accumulation_steps");
    if (isSaid("training.gradient_accumulation_steps") && parts.isInt() && parts.asInt() > 0) {
      int usual = RunKeys.at(defaults, "training.batch_size").asInt();
      long rows = Math.ceilDiv(usual, parts.asInt()) * (long) parts.asInt();
      if (rows <= Integer.MAX_VALUE) {
        follow(
            "training.batch_size",
            IntNode.valueOf((int) rows),
            "training.gradient_accumulation_steps");
      }
    }
    if (value("training.precision").asText().equals("bfloat16")
        && isSaid("training.precision")
        && value("device").asText().equals("cpu")) {
      follow("backend", TextNode.valueOf("libtorch"), "training.precision");
    }
    if (isSaid("logging.histograms_every") && value("logging.histograms_every").asInt() > 0) {
      follow("logging.tensorboard", BooleanNode.TRUE, "logging.histograms_every");
    }
    if (said.has("series") && !isSaid("model.model_type")) {
      followers.add(
          new Follower(
              "model.model_type",
              TextNode.valueOf(SequenceModelConfig.MODEL_TYPE),
              "series",
              TextNode.valueOf("given")));
    }
  }
}
