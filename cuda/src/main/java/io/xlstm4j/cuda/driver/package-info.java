/// NVIDIA's driver through Java's foreign functions: devices, contexts, memory, streams, events,
/// kernels, graphs. Needs the driver's library alone, and works without it as far as saying so.
@NullMarked
package io.xlstm4j.cuda.driver;

import org.jspecify.annotations.NullMarked;
