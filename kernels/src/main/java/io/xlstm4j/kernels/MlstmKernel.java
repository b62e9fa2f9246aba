package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// The mLSTM cell: matrix memory, exponential gates (Beck et al. 2024, arXiv:2405.04517, eq.
/// 19-27), over whole sequences. Per row and head, with `s = DHQK^-0.5`:
///
/// ```
/// m_t = max(logsigmoid(f_t) + m_{t-1}, i_t)
/// f'  = exp(logsigmoid(f_t) + m_{t-1} - m_t),  i' = exp(i_t - m_t)
/// C_t = f' C_{t-1} + i' k_t v_tᵀ,  n_t = f' n_{t-1} + i' k_t,  den_t = s q_t · n_t
/// h_t = s C_tᵀ q_t / (max(|den_t|, exp(-m_t)) + EPS)
/// ```
///
/// The backward pass treats every m as a constant: every gradient through it vanishes but for EPS.
/// A tie in the maximum takes the floor's gradient: none.
public interface MlstmKernel {
  /// Added to the denominator after the maximum.
  float EPS = 1e-6f;

  /// Bytes that [#forward] keeps for [#backward], 8-byte aligned. Only the same kernel reads them.
  long savedBytes(MlstmShape shape);

  /// Every position of every row.
  ///
  /// @param initial before the first position; null for zeros, m too. May be `last`.
  /// @param h `(B, S, NH, DHV)`, written
  /// @param last after the last position, written
  /// @param saved written for [#backward]; null if there will be none
  void forward(
      MlstmShape shape,
      MlstmInputs inputs,
      @Nullable MlstmState initial,
      StridedMatrix h,
      MlstmState last,
      @Nullable MemorySegment saved);

  /// Gradients of the inputs and of the initial state.
  ///
  /// @param h, saved what [#forward] wrote for the same inputs
  /// @param dH gradient of h; its values at padding are not read
  /// @param dLast gradient of the last state; null for zeros
  /// @param gradients written, not added to
  /// @param dInitial gradient of the initial state, written; null if not wanted. May be `dLast`.
  void backward(
      MlstmShape shape,
      MlstmInputs inputs,
      StridedMatrix h,
      MemorySegment saved,
      StridedMatrix dH,
      @Nullable MlstmStateGradient dLast,
      MlstmGradients gradients,
      @Nullable MlstmStateGradient dInitial);
}
