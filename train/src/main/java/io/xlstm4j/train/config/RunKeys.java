package io.xlstm4j.train.config;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.config.StrictBinder;
import io.xlstm4j.core.config.Suggestions;
import io.xlstm4j.core.config.UnknownKeyException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Finds the key of a run's configuration that somebody meant.
final class RunKeys {
  private static final int SUGGESTIONS = 3;

  /// Words of PyTorch Lightning, Hugging Face, nanoGPT and others, and our keys for them; the first
  /// that a run has is meant. Where several are named with `&`, all are.
  private static final Map<String, List<String>> SYNONYMS = synonyms();

  /// Words for what is an option of the program and no key.
  private static final Map<String, String> OPTIONS = options();

  private static final List<String> SECTIONS =
      List.of(
          "model",
          "data",
          "training",
          "optimizer",
          "schedule",
          "validation",
          "checkpoints",
          "logging",
          "samples",
          "series");

  private static final String SERIES = "series";

  private RunKeys() {}

  private static Map<String, List<String>> synonyms() {
    var words = new LinkedHashMap<String, List<String>>();
    add(words, "optimizer.learning_rate", "lr max_lr peak_lr base_lr init_lr step_size");
    add(words, "optimizer.weight_decay", "wd decay l2 adam_weight_decay");
    add(words, "optimizer.beta1", "adam_beta1 betas adam_betas momentum");
    add(words, "optimizer.beta2", "adam_beta2");
    add(words, "optimizer.epsilon", "adam_epsilon eps adam_eps");
    add(
        words,
        "optimizer.clip_norm",
        "grad_clip max_grad_norm gradient_clip_val clip_grad_norm gradient_clipping max_norm"
            + " grad_clip_norm clip");
    add(words, "optimizer.clip_value", "gradient_clip_value clip_grad_value");
    add(words, "optimizer.ema_decay", "ema ema_rate use_ema");
    add(words, "optimizer.groups", "param_groups parameter_groups");
    add(
        words,
        "model.num_blocks",
        "layers n_layer n_layers num_layers num_hidden_layers depth blocks n_blocks num_layer");
    add(
        words,
        "model.embedding_dim",
        "hidden_size n_embd n_embed d_model hidden_dim dim width embed_dim embed_size"
            + " embedding_size d_embed model_dim emb_dim");
    add(
        words,
        "model.num_heads|model.mlstm_block.mlstm.num_heads&model.slstm_block.slstm.num_heads",
        "num_heads n_head n_heads num_attention_heads heads nhead num_head");
    add(
        words,
        "series.context|model.context_length",
        "block_size seq_len seq_length sequence_length max_seq_len max_seq_length max_length n_ctx"
            + " n_positions max_position_embeddings ctx_len context_size context_window"
            + " context_length input_length lookback window input_chunk_length");
    add(
        words,
        "series.horizon",
        "prediction_length forecast_horizon h output_chunk_length pred_len");
    add(words, "series.target_columns", "target targets target_column y");
    add(words, "series.time_column", "time_col timestamp date_column ds");
    add(words, "series.id_column", "id_col unique_id item_id series_id");
    add(
        words,
        "model.dropout",
        "dropout dropout_rate dropout_p embd_pdrop resid_pdrop attn_pdrop hidden_dropout_prob"
            + " p_dropout");
    add(words, "model.tie_weights|model.tie_word_embeddings", "tie_embeddings weight_tying tied");
    add(
        words,
        "training.steps",
        "max_steps max_iters num_steps total_steps iterations max_iterations iters n_steps"
            + " num_iterations train_steps num_training_steps max_train_steps");
    add(words, "training.epochs", "max_epochs num_epochs num_train_epochs epoch n_epochs");
    add(words, "training.minutes", "max_time time_limit max_minutes");
    add(words, "training.tokens", "max_train_tokens num_tokens total_tokens");
    add(
        words,
        "training.batch_size",
        "bs batch train_batch_size per_device_train_batch_size micro_batch_size global_batch_size"
            + " batchsize per_gpu_train_batch_size");
    add(
        words,
        "training.gradient_accumulation_steps",
        "accumulate accumulate_grad_batches grad_accum grad_accumulation"
            + " accumulation_steps gradient_accumulation");
    add(words, "training.seed", "random_seed seed_everything random_state manual_seed");
    add(
        words,
        "training.precision",
        "bf16 fp16 dtype torch_dtype mixed_precision amp half bfloat16 autocast");
    add(
        words,
        "training.activation_checkpointing",
        "gradient_checkpointing grad_checkpointing checkpointing recompute recompute_blocks");
    add(words, "training.truncated_bptt", "stateful tbptt carry_state");
    add(
        words,
        "schedule.warmup_steps",
        "warmup warmup_iters num_warmup_steps warmup_ratio warmup_epochs lr_warmup_steps");
    add(
        words,
        "schedule.kind",
        "lr_scheduler_type lr_scheduler scheduler lr_schedule schedule_type lr_decay_style");
    add(
        words,
        "schedule.min_lr_ratio",
        "min_lr min_learning_rate eta_min final_lr lr_min final_fraction");
    add(words, "schedule.cooldown_steps", "lr_decay_iters decay_steps cooldown");
    add(
        words,
        "validation.every",
        "eval_interval eval_steps val_check_interval check_val_every_n_epoch eval_every"
            + " evaluation_strategy eval_strategy val_every");
    add(words, "validation.tokens", "eval_iters limit_val_batches max_eval_samples");
    add(words, "validation.patience", "early_stopping early_stopping_patience");
    add(
        words,
        "checkpoints.every",
        "save_steps save_interval checkpoint_every save_every checkpoint_interval"
            + " every_n_train_steps save_strategy");
    add(words, "checkpoints.keep_last", "save_total_limit keep_checkpoints");
    add(words, "checkpoints.keep_best", "save_top_k load_best_model_at_end");
    add(words, "training.max_nonfinite_steps", "max_skipped skip_nan_steps");
    add(words, "data.num_examples", "num_samples n_samples dataset_size");
    add(words, "logging", "watch log logs");
    add(words, "logging.every", "log_interval logging_steps log_every_n_steps log_every log_steps");
    add(words, "logging.tensorboard", "tensorboard_log report_to logger tb");
    add(
        words,
        "series.file|data.corpus",
        "dataset dataset_name data_path data_dir train_file data_file corpus_path train_data path");
    add(words, "data.validation", "validation_file val_file eval_file valid_file val_data");
    add(words, "data.tokenizer", "tokenizer_name tokenizer_path tokenizer_type");
    add(words, "data.vocab_size", "vocab vocab_size vocabulary_size n_vocab");
    add(words, "data.packing", "packed pack group_texts");
    add(words, "from", "init_from pretrained model_name_or_path finetune resume_from");
    add(words, "device", "accelerator devices gpus cuda device_map use_gpu");
    add(words, "backend", "kernel kernels compile torch_compile");
    add(words, "samples.prompts", "prompt prompts sample_prompts");
    add(words, "samples.max_tokens", "max_new_tokens");
    return words;
  }

  private static void add(Map<String, List<String>> words, String keys, String synonyms) {
    for (String synonym : synonyms.split(" ", -1)) {
      words.put(synonym, List.of(keys.split("\\|", -1)));
    }
  }

  private static Map<String, String> options() {
    var words = new LinkedHashMap<String, String>();
    for (String word :
        List.of(
            "out", "out_dir", "output_dir", "default_root_dir", "save_dir", "output", "log_dir")) {
      words.put(word, "--out DIR");
    }
    for (String word : List.of("resume", "resume_from_checkpoint", "ckpt_path")) {
      words.put(word, "--resume with --out DIR");
    }
    for (String word : List.of("nproc", "nproc_per_node", "num_gpus", "world_size", "strategy")) {
      words.put(word, "--nproc N");
    }
    return words;
  }

  /// The words that [#suggestion] knows, for a test that goes over them.
  static List<String> knownWords() {
    return List.copyOf(SYNONYMS.keySet());
  }

  /// Returns the key to write instead of an unknown one.
  ///
  /// @param path the key as it was written, with dots
  /// @param tree every key of a run of that kind
  static String suggestion(String path, ObjectNode tree) {
    List<String> keys = keys(tree);
    String leaf = path.substring(path.lastIndexOf('.') + 1);
    String section = path.substring(0, path.length() - leaf.length());
    List<String> meant = synonyms(leaf, keys);
    if (meant.isEmpty() && OPTIONS.containsKey(leaf)) {
      return "it is no key; give the option " + OPTIONS.get(leaf);
    }
    if (meant.isEmpty()) {
      meant =
          keys.stream()
              .filter(key -> key.equals(leaf) || key.endsWith("." + leaf))
              .sorted(Comparator.comparingLong(RunKeys::depth))
              .limit(SUGGESTIONS)
              .toList();
    }
    if (!meant.isEmpty()) {
      return "did you mean " + joined(meant) + "?";
    }
    List<String> siblings =
        keys.stream()
            .filter(key -> key.startsWith(section) && key.indexOf('.', section.length()) < 0)
            .map(key -> key.substring(section.length()))
            .toList();
    String near = nearest(leaf, siblings, Math.max(2, leaf.length() / 3));
    if (near != null) {
      return "did you mean " + section + near + "?";
    }
    String far =
        nearest(
            leaf,
            keys.stream().map(key -> key.substring(key.lastIndexOf('.') + 1)).distinct().toList(),
            Math.max(1, leaf.length() / 4));
    if (far != null) {
      return "did you mean "
          + joined(
              keys.stream()
                  .filter(key -> key.equals(far) || key.endsWith("." + far))
                  .limit(SUGGESTIONS)
                  .toList())
          + "?";
    }
    return siblings.isEmpty()
        ? "known at the top: " + String.join(", ", top(keys))
        : "known here: " + String.join(", ", siblings);
  }

  private static List<String> top(List<String> keys) {
    return keys.stream().filter(key -> key.indexOf('.') < 0).toList();
  }

  private static List<String> synonyms(String word, List<String> keys) {
    for (String meant : SYNONYMS.getOrDefault(word, List.of())) {
      List<String> all = List.of(meant.split("&", -1));
      if (keys.containsAll(all)) {
        return all;
      }
    }
    return List.of();
  }

  private static @Nullable String nearest(String word, List<String> known, int most) {
    return known.stream()
        .min(Comparator.comparingInt(candidate -> Suggestions.distance(word, candidate)))
        .filter(candidate -> Suggestions.distance(word, candidate) <= most)
        .orElse(null);
  }

  private static long depth(String key) {
    return key.chars().filter(c -> c == '.').count();
  }

  private static String joined(List<String> keys) {
    if (keys.size() == 1) {
      return keys.getFirst();
    }
    return String.join(", ", keys.subList(0, keys.size() - 1)) + " or " + keys.getLast();
  }

  /// The dotted keys of a tree, sections too.
  static List<String> keys(ObjectNode tree) {
    var keys = new ArrayList<String>();
    collect(tree, "", keys);
    return keys;
  }

  private static void collect(ObjectNode tree, String path, List<String> into) {
    for (Map.Entry<String, JsonNode> entry : tree.properties()) {
      String key = path + entry.getKey();
      into.add(key);
      if (entry.getValue() instanceof ObjectNode section) {
        collect(section, key + ".", into);
      }
    }
  }

  /// The value at a dotted key; a missing node if there is none.
  static JsonNode at(ObjectNode tree, String key) {
    JsonNode node = tree;
    for (String part : key.split("\\.", -1)) {
      node = node.path(part);
    }
    return node;
  }

  /// Puts a value at a dotted key, unless something that is no section is in the way.
  static void put(ObjectNode tree, String key, JsonNode value) {
    String[] parts = key.split("\\.", -1);
    ObjectNode section = tree;
    for (int i = 0; i < parts.length - 1; i++) {
      JsonNode next = section.get(parts[i]);
      if (next != null && !(next instanceof ObjectNode)) {
        return;
      }
      section = next instanceof ObjectNode known ? known : section.putObject(parts[i]);
    }
    section.set(parts[parts.length - 1], value);
  }

  /// A value as a message shows it.
  static String shown(JsonNode value) {
    return OneLine.of(value.isTextual() ? value.asText() : value.toString());
  }

  /// Returns the message for an unknown key.
  ///
  /// @param said what somebody wrote
  /// @param tree every key of such a run; changed
  static InvalidInputException unknown(
      UnknownKeyException e, ObjectNode said, ObjectNode tree, String source) {
    String key = e.path();
    boolean language = RunConfig.LANGUAGE_SECTIONS.contains(key) && !tree.has(key);
    if (language || (key.equals(SERIES) && !tree.has(SERIES))) {
      return new InvalidInputException(
          "%s%s is for %s, but model.model_type is %s"
              .formatted(
                  RunConfig.prefix(source),
                  key,
                  language ? "language models" : "models of series",
                  tree.path("model").path("model_type").asText()),
          e);
    }
    if (!tree.has(SERIES)) {
      tree.putObject(SERIES); // such a section makes it a run on series
    }
    String inside = firstLeaf(at(said, key));
    String whole = sectionMeant(key, tree) + inside;
    if (!inside.isEmpty() && keys(tree).contains(whole)) {
      return new InvalidInputException(
          "%sunknown key %s; did you mean %s?"
              .formatted(RunConfig.prefix(source), OneLine.of(key + inside), whole),
          e);
    }
    return new InvalidInputException(
        "%sunknown key %s; %s"
            .formatted(RunConfig.prefix(source), OneLine.of(key), suggestion(key, tree)),
        e);
  }

  /// Returns the path from a section to its first key, with a dot before each part; empty for what
  /// is no section or has no keys.
  private static String firstLeaf(JsonNode node) {
    if (!node.isObject() || node.isEmpty()) {
      return "";
    }
    Map.Entry<String, JsonNode> first = node.properties().iterator().next();
    return "." + first.getKey() + firstLeaf(first.getValue());
  }

  /// Returns the key that an unknown section stands for; the same if none is near.
  private static String sectionMeant(String key, ObjectNode tree) {
    List<String> keys = keys(tree);
    String leaf = key.substring(key.lastIndexOf('.') + 1);
    List<String> meant = synonyms(leaf, keys);
    if (meant.size() == 1) {
      return meant.getFirst();
    }
    String section = key.substring(0, key.length() - leaf.length());
    List<String> siblings =
        keys.stream()
            .filter(each -> each.startsWith(section) && each.indexOf('.', section.length()) < 0)
            .map(each -> each.substring(section.length()))
            .toList();
    String near = nearest(leaf, siblings, Math.max(2, leaf.length() / 3));
    return near == null ? key : section + near;
  }

  /// Turns numbers such as `1e3` into whole numbers where the key takes one.
  ///
  /// @param keys what somebody wrote; changed
  /// @param known a value of every key
  static void wholeNumbers(ObjectNode keys, ObjectNode known) {
    for (Map.Entry<String, JsonNode> entry : keys.properties()) {
      JsonNode type = known.path(entry.getKey());
      if (entry.getValue() instanceof ObjectNode section) {
        if (type instanceof ObjectNode inside) {
          wholeNumbers(section, inside);
        }
      } else {
        entry.setValue(StrictBinder.asWhole(type, entry.getValue()));
      }
    }
  }

  /// The keys without sections that say nothing.
  static ObjectNode withoutEmptySections(ObjectNode said) {
    ObjectNode keys = said.deepCopy();
    keys.properties().removeIf(entry -> entry.getValue().isNull() && isSection(entry.getKey()));
    return keys;
  }

  /// Returns whether a key at the top holds others.
  static boolean isSection(String key) {
    return SECTIONS.contains(key);
  }
}
