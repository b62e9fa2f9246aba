package io.xlstm4j.core.safetensors;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BFloat16Test {
  @Test
  void every_bfloat16_survives_the_way_to_float_and_back() {
    for (int bits = 0; bits < 1 << 16; bits++) {
      float value = BFloat16.toFloat((short) bits);
      short back = BFloat16.fromFloat(value);
      if (Float.isNaN(value)) {
        assertThat(Float.isNaN(BFloat16.toFloat(back))).isTrue();
      } else {
        assertThat(back).isEqualTo((short) bits);
      }
    }
  }

  @ParameterizedTest(name = "{0} becomes {1}")
  @CsvSource({
    "3f800000, 3f80", // 1
    "3f807fff, 3f80", // just below half way: down
    "3f808000, 3f80", // half way, even below
    "3f808001, 3f81", // just above half way: up
    "3f817fff, 3f81",
    "3f818000, 3f82", // half way, even above
    "bf818000, bf82", // the same below zero
    "7f7fffff, 7f80", // the largest float becomes infinite
    "7f7f7fff, 7f7f", // the largest that does not
    "7f800000, 7f80", // infinity
    "ff800000, ff80",
    "7f800001, 7fc0", // NaN whose payload is in the lower half only
    "7fffffff, 7fff", // NaN that rounding up would turn into minus zero
    "ffffffff, ffff",
    "00000001, 0000", // the smallest float
    "00008000, 0000", // half of the smallest bfloat16: to even
    "00018000, 0002",
    "80000000, 8000" // minus zero
  })
  void rounds_to_the_nearest_and_ties_to_even(String from, String to) {
    float value = Float.intBitsToFloat(Integer.parseUnsignedInt(from, 16));
    assertThat(Integer.toHexString(BFloat16.fromFloat(value) & 0xffff))
        .isEqualTo(Integer.toHexString(Integer.parseInt(to, 16)));
  }

  @Test
  void no_other_bfloat16_is_nearer() {
    var random = new Random(3);
    for (int i = 0; i < 100_000; i++) {
      float value = Float.intBitsToFloat(random.nextInt());
      short bits = BFloat16.fromFloat(value);
      if (Math.abs(value) < 1e38f) { // finite, and so are both neighbours
        double error = Math.abs((double) value - BFloat16.toFloat(bits));
        double up = Math.abs((double) value - BFloat16.toFloat((short) (bits + 1)));
        double down =
            (bits & 0x7fff) == 0
                ? up
                : Math.abs((double) value - BFloat16.toFloat((short) (bits - 1)));
        assertThat(error).isLessThanOrEqualTo(Math.min(up, down));
      }
    }
  }
}
