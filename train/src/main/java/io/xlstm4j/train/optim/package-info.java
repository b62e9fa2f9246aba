/// The optimizer: AdamW with parameter groups, the learning-rate schedule, EMA weights.
@NullMarked
package io.xlstm4j.train.optim;

import org.jspecify.annotations.NullMarked;
