package io.xlstm4j.cuda.slstm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.driver.DeviceSpan;
import org.junit.jupiter.api.Test;

class SlstmShapeTest {
  private static final SlstmShape SHAPE = new SlstmShape(2, 3, 4, 5);

  @Test
  void sizes_that_no_kernel_takes_are_refused_with_the_value() {
    assertThatThrownBy(() -> new SlstmShape(1, 0, 1, 1)).hasMessageContaining("length (0)");
    assertThatThrownBy(() -> new SlstmShape(1, 1, 1, 1025))
        .hasMessage("headDim (1025) must be at most 1024");
    assertThatThrownBy(() -> new SlstmShape(1 << 17, 1 << 14, 1, 8))
        .hasMessageContaining("less than 2^31");
    assertThatThrownBy(() -> new SlstmShape(1, 1, 70_000, 8)).hasMessageContaining("70000");
  }

  @Test
  void values_are_counted_without_overflow() {
    var large = new SlstmShape(1 << 10, 1 << 14, 16, 1024);
    assertThat(large.gateValues()).isEqualTo(1L << 40);
  }

  @Test
  void memory_that_is_too_short_or_not_aligned_is_named() {
    var wx = new DeviceSpan(1024, 2 * 3 * 4 * 4 * 5 * 2);
    var r = new DeviceSpan(1024, 4 * 5 * 4 * 5 * 2);
    var bias = new DeviceSpan(1024, 4 * 4 * 5 * 4);
    assertThatCode(
            () -> new SlstmInputs(wx, r, bias, null, null, null).check(SHAPE, ElementType.BFLOAT16))
        .doesNotThrowAnyException();
    assertThatThrownBy(
            () -> new SlstmInputs(wx, r, bias, null, null, null).check(SHAPE, ElementType.FLOAT32))
        .hasMessage("wx (B, S, 4, NH, DH) needs 1,920 bytes, but has 960");
    var odd = new DeviceSpan(1028, 6);
    assertThatThrownBy(
            () -> new SlstmInputs(wx, r, bias, null, odd, null).check(SHAPE, ElementType.BFLOAT16))
        .hasMessage("valid must start at a multiple of 16 bytes, but its address is 0x404");
  }
}
