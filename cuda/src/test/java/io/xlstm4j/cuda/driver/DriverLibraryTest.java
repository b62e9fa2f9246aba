package io.xlstm4j.cuda.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.cuda.driver.DriverLibrary.UnavailableException;
import java.util.List;
import org.junit.jupiter.api.Test;

class DriverLibraryTest {
  @Test
  void a_missing_driver_is_said_with_the_names_that_were_tried() {
    assertThatThrownBy(() -> DriverLibrary.load(List.of("libnowhere.so.1", "nowhere.dll")))
        .isInstanceOf(UnavailableException.class)
        .hasMessage(
            "NVIDIA's driver is not installed: none of libnowhere.so.1, nowhere.dll is found");
  }

  @Test
  void a_library_without_the_functions_is_said_to_be_too_old() {
    String library = System.mapLibraryName("java"); // the JDK's own, loaded by its path
    String path =
        System.getProperty("java.home") + (library.endsWith(".dll") ? "/bin/" : "/lib/") + library;
    assertThatThrownBy(() -> DriverLibrary.load(List.of(path)))
        .isInstanceOf(UnavailableException.class)
        .hasMessageContaining("too old")
        .hasMessageContaining("cuCtxSetCurrent");
  }

  @Test
  void devices_are_there_or_a_reason_is_and_nothing_is_thrown() {
    Cuda.Devices found = Cuda.devices();
    if (found.devices().isEmpty()) {
      assertThat(found.reason()).contains("NVIDIA's driver");
    } else {
      assertThat(found.reason()).isNull();
      assertThat(found.devices().get(0).capability()).matches("\\d+\\.\\d");
    }
  }

  @Test
  void a_list_of_no_devices_needs_a_reason() {
    assertThatThrownBy(() -> new Cuda.Devices(List.of(), null))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void an_error_of_the_driver_names_the_call_and_the_error() {
    var error = new CudaException("cuMemAlloc_v2", 2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory");
    assertThat(error)
        .hasMessage("cuMemAlloc_v2 failed: CUDA_ERROR_OUT_OF_MEMORY (2), out of memory");
    assertThat(error.call()).isEqualTo("cuMemAlloc_v2");
    assertThat(error.code()).isEqualTo(2);
    assertThat(error.errorName()).isEqualTo("CUDA_ERROR_OUT_OF_MEMORY");
  }
}
