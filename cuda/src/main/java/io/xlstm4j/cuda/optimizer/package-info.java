/// What an optimizer does with all parameters of a model in a few launches. Begin with
/// [io.xlstm4j.cuda.optimizer.OptimizerKernels]. Which parameters there are, schedules and clipping
/// are the caller's.
@NullMarked
package io.xlstm4j.cuda.optimizer;

import org.jspecify.annotations.NullMarked;
