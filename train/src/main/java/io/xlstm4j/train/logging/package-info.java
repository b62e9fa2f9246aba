/// Everything one sees of a training run: metrics files, TensorBoard, the picture of the loss, the
/// report, and what `runs` compares. Knows run folders by their files alone, not the trainer.
@NullMarked
package io.xlstm4j.train.logging;

import org.jspecify.annotations.NullMarked;
