package io.xlstm4j.cuda.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class LaunchTest {
  @Test
  void elements_get_a_thread_each() {
    assertThat(Launch.elements(1).gridX()).isEqualTo(1);
    assertThat(Launch.elements(256).gridX()).isEqualTo(1);
    assertThat(Launch.elements(257).gridX()).isEqualTo(2);
  }

  @Test
  void what_no_device_can_launch_is_refused_before_the_driver_is_asked() {
    assertThatThrownBy(() -> Launch.of(0, 32)).hasMessageContaining("0 x 1 x 1 blocks");
    assertThatThrownBy(() -> Launch.of(1, 1025)).hasMessageContaining("1025 x 1 threads");
    assertThatThrownBy(() -> new Launch(1, 65_536, 1, 32, 1, 0, 1)).hasMessageContaining("65536");
    assertThatThrownBy(() -> new Launch(6, 1, 1, 32, 1, 0, 4))
        .hasMessageContaining("clusters of 4 blocks along 6");
  }

  @Test
  void a_slice_lies_within_its_memory() {
    var span = new DeviceSpan(4096, 100);
    assertThat(span.slice(10, 90)).isEqualTo(new DeviceSpan(4106, 90));
    assertThatThrownBy(() -> span.slice(10, 91)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> span.slice(-1, 5)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> span.slice(Long.MAX_VALUE, 5))
        .isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> new DeviceSpan(0, 8)).isInstanceOf(IllegalArgumentException.class);
  }
}
