/// The configuration of a run: validated, immutable records, one per section of `run.yaml`, and the
/// keys that `--resume` may change.
@NullMarked
package io.xlstm4j.train.config;

import org.jspecify.annotations.NullMarked;
