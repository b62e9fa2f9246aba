/// What moves the weights: AdamW with groups, the learning rate over a run, averaged weights.
@NullMarked
package io.xlstm4j.train.optim;

import org.jspecify.annotations.NullMarked;
