/// Training tasks: a model, its data, and the loss between them.
@NullMarked
package io.xlstm4j.train.task;

import org.jspecify.annotations.NullMarked;
