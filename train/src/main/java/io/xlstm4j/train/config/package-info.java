/// What a run is told: one record per section of `run.yaml`, and what may change on a resume.
@NullMarked
package io.xlstm4j.train.config;

import org.jspecify.annotations.NullMarked;
