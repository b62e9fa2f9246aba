package io.xlstm4j.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.FiniteNumbers;
import io.xlstm4j.core.safetensors.SafetensorsFile;
import io.xlstm4j.core.safetensors.SafetensorsWriter;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorInfo;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Generation from a folder of Hugging Face's library.
class OwnEndTest {
  @TempDir private Path temporary;

  private Path folder() {
    return Fixtures.folder("hf_xlstm_tiny", DType.F32, temporary);
  }

  private static Completion complete(Path folder, Request request) {
    try (var model = RuntimeModel.open(folder, 1);
        var generation = new Generation(model)) {
      Completion completion = generation.add(request, _ -> {});
      generation.run();
      return completion;
    }
  }

  @Test
  void generation_stops_at_any_end_that_the_folder_names_unless_the_request_says_others()
      throws IOException {
    Path folder = folder();
    Request request = Request.of(1, 2, 3).withMaxTokens(12);
    int[] free = complete(folder, request.withEndTokens(Set.of())).tokens();
    assertThat(free).hasSize(12);
    int first = 0;
    while (indexOf(free, free[first]) < first || first < 4) {
      first++; // a token that did not come before
    }
    Files.writeString(
        folder.resolve("generation_config.json"),
        "{\"eos_token_id\": [127, %d]}".formatted(free[first]));

    Completion stopped = complete(folder, request);
    assertThat(stopped.finishReason()).isEqualTo(FinishReason.END_OF_TEXT);
    assertThat(stopped.tokens()).containsExactly(Arrays.copyOf(free, first));
    assertThat(complete(folder, request.withEndTokens(Set.of())).tokens()).containsExactly(free);
    assertThat(complete(folder, request.withEndTokens(Set.of(free[0]))).tokens()).isEmpty();
  }

  /// The output of `generate` of transformers 5.17 for this folder; the last id is its end, 2.
  @Test
  void the_tokens_are_those_of_hugging_faces_library_up_to_its_end() {
    Completion completion = complete(folder(), Request.of(3).withMaxTokens(40));
    assertThat(completion.tokens())
        .containsExactly(93, 22, 26, 64, 93, 91, 85, 75, 22, 50, 120, 20, 46, 112);
    assertThat(completion.finishReason()).isEqualTo(FinishReason.END_OF_TEXT);
  }

  private static int indexOf(int[] ids, int id) {
    int at = 0;
    while (ids[at] != id) {
      at++;
    }
    return at;
  }

  private void spoil(Path folder, String tensor) {
    Path file = folder.resolve("model.safetensors");
    var tensors = new ArrayList<TensorData>();
    try (var stored = SafetensorsFile.open(file)) {
      for (TensorInfo info : stored.tensors().values()) {
        float[] values = stored.floats(info.name());
        if (info.name().equals(tensor)) {
          values[5] = Float.NaN;
        }
        tensors.add(TensorData.of(info.name(), DType.F32, info.shape(), values));
      }
    }
    SafetensorsWriter.write(file, tensors, Map.of());
  }

  @Test
  void a_weight_that_is_not_finite_is_named_when_the_folder_is_opened() {
    Path folder = folder();
    spoil(folder, "backbone.embeddings.weight"); // of a token that no prompt here has
    assertThatThrownBy(() -> RuntimeModel.open(folder, 1))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining(
            "tensor 'backbone.embeddings.weight' has a number that is not finite");
  }

  /// As in a model that is too large to be looked through before.
  @Test
  void a_weight_that_was_not_looked_at_is_named_when_a_result_is_not_finite() {
    Path folder = folder();
    spoil(folder, "backbone.out_norm.weight");
    System.setProperty(FiniteNumbers.PROPERTY, "false");
    RuntimeModel opened;
    try {
      opened = RuntimeModel.open(folder, 1);
    } finally {
      System.clearProperty(FiniteNumbers.PROPERTY);
    }
    try (var model = opened;
        var generation = new Generation(model)) {
      generation.add(Request.of(1, 2, 3), _ -> {});
      assertThatThrownBy(generation::run)
          .isInstanceOf(InvalidInputException.class)
          .hasMessageContaining("'backbone.out_norm.weight' has a number that is not finite");
    }
  }
}
