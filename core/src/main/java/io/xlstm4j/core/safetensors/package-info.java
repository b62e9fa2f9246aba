/// Tensors on disk in the safetensors format: a strict reader that maps files into memory, shards
/// behind an index, and a writer that leaves either the old file or the new one.
@NullMarked
package io.xlstm4j.core.safetensors;

import org.jspecify.annotations.NullMarked;
