/// Checkpoint folders that survive a crash at any moment, and manifests that prove them whole.
@NullMarked
package io.xlstm4j.core.checkpoint;

import org.jspecify.annotations.NullMarked;
