// What becomes of the sums of products, for all kernels of products: weights, factors of rows, results in memory.
//
// A block makes 128 x 128 sums. A thread has [M][N][4] of them: M x N parts of 16 rows x 8 columns, as the matrix units
// spread them over the lanes of a warp.
#pragma once
#include "common.cuh"

constexpr int TILE = 128;

// Where a warp and lane stand in the tile.
struct Place {
  int lane, row, column; // row and column of the warp's first sum
  __device__ __forceinline__ Place(int row, int column) : lane(threadIdx.x & 31), row(row), column(column) {}
  // Of sum i of part [m][n].
  __device__ __forceinline__ int rowOf(int m, int i) const { return row + m * 16 + (lane >> 2) + (i >> 1) * 8; }
  __device__ __forceinline__ int columnOf(int n, int i) const { return column + n * 8 + (lane & 3) * 2 + (i & 1); }
};

// From one word for each of 4 x 8 columns a lane to all words of 8 columns: word i of lane q of a quad is columns
// 8 i + 2 q; afterwards lane q has columns 8 q to 8 q + 7.
__device__ __forceinline__ uint4 gather(u32 (&w)[4], int lane) {
  const bool odd = lane & 1, upper = lane & 2;
#pragma unroll
  for (int i = 0; i < 4; i += 2) {
    u32 t = __shfl_xor_sync(0xFFFFFFFFu, odd ? w[i] : w[i + 1], 1);
    if (odd) w[i] = t; else w[i + 1] = t;
  }
#pragma unroll
  for (int i = 0; i < 2; i++) {
    u32 t = __shfl_xor_sync(0xFFFFFFFFu, upper ? w[i] : w[i + 2], 2);
    if (upper) w[i] = t; else w[i + 2] = t;
  }
  return make_uint4(w[0], w[1], w[2], w[3]);
}

// Writes the sums as planes. Rows `stride` apart; `columns` is a multiple of 8.
template <int P, int M, int N>
__device__ __forceinline__ void storePlanes(
    const float (&sums)[M][N][4], const Place &place, bf16 *to, long long planeSize, long long stride, int rows, int columns) {
#pragma unroll
  for (int m = 0; m < M; m++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int row = place.rowOf(m, half * 2);
#pragma unroll
      for (int four = 0; four < N; four += 4) {
        int column = place.column + four * 8 + (place.lane & 3) * 8;
        bf16 *at = to + row * stride + column;
        bool there = row < rows && column < columns;
#pragma unroll
        for (int p = 0; p < P; p++) {
          u32 w[4];
#pragma unroll
          for (int n = 0; n < 4; n++) {
            float low = sums[m][four + n][half * 2], high = sums[m][four + n][half * 2 + 1];
            w[n] = p == 0 ? toWord(low, high) : toWord(low - rounded<bf16>(low), high - rounded<bf16>(high));
          }
          uint4 all = gather(w, place.lane);
          if (there) *(uint4 *)(at + p * planeSize) = all;
        }
      }
    }
  }
}

// Writes the sums as they are in memory, any width.
template <int M, int N>
__device__ __forceinline__ void store(
    const float (&sums)[M][N][4], const Place &place, float *to, long long stride, int rows, int columns) {
  const bool pairs = ((stride | columns) & 1) == 0;
#pragma unroll
  for (int m = 0; m < M; m++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int row = place.rowOf(m, half * 2);
#pragma unroll
      for (int n = 0; n < N; n++) {
        int column = place.columnOf(n, 0);
        float low = sums[m][n][half * 2], high = sums[m][n][half * 2 + 1];
        float *at = to + row * stride + column;
        if (row < rows && pairs && column < columns) {
          *(float2 *)at = make_float2(low, high);
        } else if (row < rows) {
          if (column < columns) at[0] = low;
          if (column + 1 < columns) at[1] = high;
        }
      }
    }
  }
}

template <int M, int N>
__device__ __forceinline__ void store(
    const float (&sums)[M][N][4], const Place &place, bf16 *to, long long stride, int rows, int columns) {
  if (((stride | columns) & 7) == 0) {
    storePlanes<1>(sums, place, to, 0, stride, rows, columns);
    return;
  }
#pragma unroll
  for (int m = 0; m < M; m++) {
#pragma unroll
    for (int n = 0; n < N; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int row = place.rowOf(m, i), column = place.columnOf(n, i);
        if (row < rows && column < columns) write(to + row * stride + column, sums[m][n][i]);
      }
    }
  }
}

// ---- Scores

// Calls `each(m, n, half)` for the pairs of neighbouring sums, and `row(m, half)` or `column(n)` before what they are for: the
// longer side outside, so that few values of the other one are kept in registers.
template <int M, int N, typename Row, typename Column, typename Each>
__device__ __forceinline__ void forPairs(Row row, Column column, Each each) {
  if constexpr (M < N) {
#pragma unroll
    for (int m = 0; m < M; m++) {
      row(m, 0);
      row(m, 1);
    }
#pragma unroll
    for (int n = 0; n < N; n++) {
      column(n);
#pragma unroll
      for (int m = 0; m < M; m++) {
        each(m, n, 0);
        each(m, n, 1);
      }
    }
  } else {
#pragma unroll
    for (int n = 0; n < N; n++) column(n);
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
      for (int half = 0; half < 2; half++) {
        row(m, half);
#pragma unroll
        for (int n = 0; n < N; n++) each(m, n, half);
      }
    }
  }
}

// sums[l][j] *= 2^(x_l + y_j) where token l sees token j, else 0.
template <int M, int N>
__device__ __forceinline__ void weigh(
    float (&sums)[M][N][4], const Place &place, const Work &a, long long chunkVector, int row, int column) {
  float x[M][2], y[N][2];
  int from[M][2];
  forPairs<M, N>(
      [&](int m, int half) {
        const long long at = chunkVector + row + place.rowOf(m, half * 2);
        x[m][half] = a.x[at];
        from[m][half] = a.from[at];
      },
      [&](int n) {
        const float2 both = *(const float2 *)(a.y + chunkVector + column + place.columnOf(n, 0));
        y[n][0] = both.x;
        y[n][1] = both.y;
      },
      [&](int m, int n, int half) {
        const int l = row + place.rowOf(m, half * 2);
#pragma unroll
        for (int i = 0; i < 2; i++) {
          const int j = column + place.columnOf(n, i);
          float weight, &sum = sums[m][n][half * 2 + i];
          asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(weight) : "f"(x[m][half] + y[n][i]));
          sum = j <= l && j >= from[m][half] ? sum * weight : 0.f;
        }
      });
}

// Row l of sums times a factor of the row.
template <int M, int N, typename Factor>
__device__ __forceinline__ void scaleRows(float (&sums)[M][N][4], const Place &place, Factor factor) {
#pragma unroll
  for (int m = 0; m < M; m++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float by = factor(place.rowOf(m, half * 2));
#pragma unroll
      for (int n = 0; n < N; n++) {
        sums[m][n][half * 2] *= by;
        sums[m][n][half * 2 + 1] *= by;
      }
    }
  }
}

// From sums of dh and v: the gradients of scores.
template <int M, int N>
__device__ __forceinline__ void toSlopes(
    float (&sums)[M][N][4], const Place &place, const Work &a, long long chunkVector, int row, int column) {
  const float scale = queryScale(a);
#pragma unroll
  for (int m = 0; m < M; m++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const long long at = chunkVector + row + place.rowOf(m, half * 2);
      const float delta = a.delta[at], factor = scale * a.r[at];
#pragma unroll
      for (int n = 0; n < N; n++) {
#pragma unroll
        for (int i = 0; i < 2; i++) sums[m][n][half * 2 + i] = (sums[m][n][half * 2 + i] + delta) * factor;
      }
    }
  }
  weigh(sums, place, a, chunkVector, row, column);
}

// The sum of a row over the lanes that have a part of it.
__device__ __forceinline__ float sumOfQuad(float x) {
  x += __shfl_xor_sync(0xFFFFFFFFu, x, 1);
  return x + __shfl_xor_sync(0xFFFFFFFFu, x, 2);
}

// What the sum of scores and the product of q and n give for a token.
__device__ __forceinline__ void setDenominator(const Work &a, long long at, float sumOfScores, float qn) {
  float denominator = sumOfScores + queryScale(a) * a.u[at] * qn, floor = a.floor[at];
  a.r[at] = 1.f / (fmaxf(fabsf(denominator), floor) + EPSILON);
  a.sign[at] = fabsf(denominator) > floor ? copysignf(1.f, denominator) : 0.f;
}

// ---- Results
//
//   h  = r (s u q C          + S v)
//   dq =    s u r (dh C^T + delta n) + P k
//   dk =    w (v X^T + xn)   + P^T q
//   dv =    w (k X)          + (S r)^T dh
//
// S: scores; P: slopes, with s; X, xn: gradients of C and n at the chunk's end.

enum Result { H, DQ, DK, DV };

template <Result RESULT> constexpr bool KEYS = RESULT == DQ || RESULT == DK;      // as wide as keys
template <Result RESULT> constexpr bool OVER_ROWS = RESULT == DK || RESULT == DV; // sums over the rows of scores

// Which tile of a result a block makes.
template <Result RESULT> struct Spot {
  Pair p;
  int width, inner; // columns of the result, inner dimension of the product with the state
  int chunk, row, column; // the first row, within the chunk
  int token, tokens; // the first token, and how many the chunk has
  long long vector; // of the first token

  __device__ __forceinline__ Spot(const Work &a, int pair, int chunk, int row, int column)
      : p(a, pair), width(KEYS<RESULT> ? a.qkDim : a.vDim), inner(KEYS<RESULT> ? a.vDim : a.qkDim), chunk(chunk), row(row),
        column(column), token(chunk * a.chunk + row), tokens(min(a.chunk, a.length - chunk * a.chunk)),
        vector(p.vector + token) {}

  // The tokens of the chunk that the product with scores or slopes is over.
  __device__ __forceinline__ int first() const { return OVER_ROWS<RESULT> ? row : 0; }
  __device__ __forceinline__ int end() const { return OVER_ROWS<RESULT> ? tokens : min(row + TILE, tokens); }
};

// After the product with the state, before the one with tokens.
template <Result RESULT, int M, int N>
__device__ __forceinline__ void scaleByState(
    float (&sums)[M][N][4], const Place &place, const Work &a, const Spot<RESULT> &spot) {
  const float scale = queryScale(a);
  const float *n =
      KEYS<RESULT> ? a.nStates + ((long long)spot.p.index * a.chunks + spot.chunk) * a.qkDim + spot.column : nullptr;
  float factor[M][2], ofN[M][2], here[N][2];
  forPairs<M, N>(
      [&](int m, int half) {
        const long long at = spot.vector + place.rowOf(m, half * 2);
        factor[m][half] = RESULT == H ? scale * a.u[at] : RESULT == DQ ? scale * a.u[at] * a.r[at] : a.w[at];
        ofN[m][half] = RESULT == DQ ? a.delta[at] : 1.f;
      },
      [&](int j) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
          const int c = place.columnOf(j, i);
          here[j][i] = KEYS<RESULT> && spot.column + c < spot.width ? n[c] : 0.f;
        }
      },
      [&](int m, int j, int half) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
          float &sum = sums[m][j][half * 2 + i];
          if (KEYS<RESULT>) sum += ofN[m][half] * here[j][i];
          sum *= factor[m][half];
        }
      });
}

// Two values of a row, of which `count` are there. `aligned`: rows start at multiples of two values.
__device__ __forceinline__ float2 readPair(const float *at, int count, bool aligned) {
  return aligned ? *(const float2 *)at : make_float2(at[0], count > 1 ? at[1] : 0.f);
}

__device__ __forceinline__ float2 readPair(const bf16 *at, int count, bool aligned) {
  if (!aligned) return make_float2(read(at), count > 1 ? read(at + 1) : 0.f);
  const u32 word = *(const u32 *)at;
  return make_float2(lowOf(word), highOf(word));
}

// After both products: the last factor, zeros at padding, the result in memory; for dq and dk also the product of the row
// with q or k, of which `dot(row, sum over a quad)` takes what this warp has.
template <typename T, Result RESULT, int M, int N, typename Dot>
__device__ __forceinline__ void finish(
    float (&sums)[M][N][4], const Place &place, const Work &a, const Spot<RESULT> &spot, Dot dot) {
  const u8 *valid = a.valid == nullptr ? nullptr : a.valid + spot.p.position(a, spot.token);
  const int rows = min(TILE, a.length - spot.token), width = spot.width;
#pragma unroll
  for (int m = 0; m < M; m++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int row = place.rowOf(m, half * 2);
      const bool token = row < rows && isToken(valid, row);
      const float factor = RESULT == H ? a.r[spot.vector + row] : 1.f;
      const T *other = (const T *)(RESULT == DQ ? a.q : a.k) + spot.p.gate(a, spot.token + row) * width + spot.column;
      float sum = 0.f;
#pragma unroll
      for (int n = 0; n < N; n++) {
        float &low = sums[m][n][half * 2], &high = sums[m][n][half * 2 + 1];
        low = token ? low * factor : 0.f;
        high = token ? high * factor : 0.f;
        if constexpr (KEYS<RESULT>) {
          const int c = place.columnOf(n, 0);
          float2 both = make_float2(0.f, 0.f);
          if (token && spot.column + c < width) both = readPair(other + c, width - spot.column - c, (width & 1) == 0);
          sum += low * both.x + high * both.y;
        }
      }
      if constexpr (KEYS<RESULT>) dot(row, sumOfQuad(sum));
    }
  }
  T *to = (T *)(RESULT == H ? a.h : RESULT == DQ ? a.dq : RESULT == DK ? a.dk : a.dv);
  store(sums, place, to + spot.p.gate(a, spot.token) * width + spot.column, (long long)a.heads * width, rows,
        width - spot.column);
}

// Where the products of rows of dq and q, or dk and k, go; one value a token.
template <Result RESULT> __device__ __forceinline__ float *dots(const Work &a, const Spot<RESULT> &spot) {
  return (RESULT == DQ ? a.qdq : a.kdk) + (long long)(spot.column / TILE) * a.batch * a.heads * a.chunks * a.chunk
       + spot.vector;
}
