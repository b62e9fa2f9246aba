/// Inference without libtorch: `core` and `kernels` only. Entry points are
/// [io.xlstm4j.runtime.RuntimeModel] and [io.xlstm4j.runtime.Generation].
@NullMarked
package io.xlstm4j.runtime;

import org.jspecify.annotations.NullMarked;
