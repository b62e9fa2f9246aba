package io.xlstm4j.core;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class JdkFaultsTest {
  @ParameterizedTest(name = "{0}, {1}, compact headers {2}")
  @CsvSource({
    "25, G1 Young Generation, false, JDK-8377811",
    "25.0.1+8, G1 Old Generation, false, JDK-8377811",
    "25.0.2, G1 Young Generation, false, JDK-8377811",
    "25.0.3, G1 Young Generation, false, ''",
    "25.0.2, Copy, false, ''",
    "25.0.2, PS Scavenge, false, ''",
    "25.0.2, ZGC Major Pauses, false, ''",
    "25.0.3, Copy, true, JDK-8380060",
    "25.0.9, G1 Young Generation, true, JDK-8380060",
    "25.0.1, G1 Young Generation, true, JDK-8380060",
    "26, G1 Young Generation, true, ''",
    "24.0.1, G1 Young Generation, true, ''",
  })
  void a_jdk_that_damages_arrays_is_named_with_the_number_of_its_fault(
      String version, String collector, boolean compactHeaders, String number) {
    var fault = JdkFaults.find(Runtime.Version.parse(version), List.of(collector), compactHeaders);
    if (number.isEmpty()) {
      assertThat(fault).isEmpty();
    } else {
      assertThat(fault).get().asString().contains(number, "start Java with").doesNotContain("\n");
    }
  }

  @Test
  void the_jvm_of_the_tests_is_sound_or_its_fault_is_found() {
    boolean early = Runtime.version().feature() == 25 && Runtime.version().update() < 3;
    if (!early) {
      assertThat(JdkFaults.here()).isEmpty();
    }
  }
}
