package io.xlstm4j.core.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class FiniteNumbersTest {
  private static final float[] OTHERS = {
    Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY
  };

  @TempDir private Path folder;

  @ParameterizedTest
  @EnumSource(names = {"F64", "F32", "BF16", "F16"})
  void every_place_in_every_type_is_seen(DType type) {
    for (int length : new int[] {1, 2, 3, 7, 4095, 4096, 4097, 20_001}) {
      for (int at : new int[] {0, 1, length / 2, length - 2, length - 1}) {
        if (at < 0 || at >= length) {
          continue;
        }
        for (float other : OTHERS) {
          float[] values = new float[length];
          Arrays.fill(values, -1.75f); // its bits are no exponent of another width
          assertThat(FiniteNumbers.firstOther(type, Elements.segment(type, values))).isEqualTo(-1);
          values[at] = other;
          values[length - 1] = other;
          assertThat(FiniteNumbers.firstOther(type, Elements.segment(type, values)))
              .as("%s of %d at %d", other, length, at)
              .isEqualTo(at);
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F64", "F32", "BF16", "F16"})
  void the_largest_and_smallest_numbers_pass(DType type) {
    float largest = type == DType.F16 ? 65504f : 3e38f;
    float[] values = {largest, -largest, Float.MIN_VALUE, -0f, 1e-40f, 0.3f, 1 / 3f};
    assertThat(FiniteNumbers.firstOther(type, Elements.segment(type, values))).isEqualTo(-1);
  }

  @Test
  void the_lower_half_of_a_double_says_nothing() {
    double odd = Double.longBitsToDouble(0x3ff00000_7ff00000L);
    assertThat(FiniteNumbers.firstOther(DType.F64, Elements.segment(new double[] {odd, 1})))
        .isEqualTo(-1);
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void the_tensor_is_named_with_its_place_unless_nobody_wants_to_know(boolean scales) {
    Path file = folder.resolve("model.safetensors");
    float[] bad = {1, 2, 3, Float.NaN};
    SafetensorsWriter.write(
        file,
        List.of(
            TensorData.of("first", DType.F32, new long[] {2}, 1, 2),
            scales
                ? TensorData.ofIntegers("m", DType.I8, new long[] {4, 2}, 1, 2, 3, 4, 5, 6, 7, 8)
                : TensorData.ofIntegers("m", DType.I64, new long[] {1}, -1),
            TensorData.of("m.scales", DType.F32, new long[] {4, 1}, bad)),
        Map.of());
    try (var source = SafetensorsFile.open(file)) {
      TensorSource read = scales ? new QuantizedTensors("w", source) : source;
      assertThatThrownBy(() -> FiniteNumbers.require(read, "w"))
          .isInstanceOf(InvalidInputException.class)
          .hasMessageContaining(
              "w: tensor 'm.scales' has a number that is not finite: element 3 of 4");
      System.setProperty(FiniteNumbers.PROPERTY, "false");
      try {
        assertThatCode(() -> FiniteNumbers.require(read, "w")).doesNotThrowAnyException();
      } finally {
        System.clearProperty(FiniteNumbers.PROPERTY);
      }
    }
  }
}
