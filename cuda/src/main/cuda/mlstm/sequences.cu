// Passes over whole sequences: planes of the operands, tokens with weights, products of rows.
#include "common.cuh"

// ---- Tokens as planes, on request with a weight for each token, and the sums over each chunk.

constexpr int COLUMNS = 64, PACK_THREADS = 256;

template <typename T> __device__ __forceinline__ void readEight(const T *at, int count, bool aligned, float (&x)[8]) {
  if (aligned) {
    if constexpr (sizeof(T) == 2) {
      uint4 all = *(const uint4 *)at;
      u32 words[4] = {all.x, all.y, all.z, all.w};
#pragma unroll
      for (int i = 0; i < 4; i++) {
        x[2 * i] = lowOf(words[i]);
        x[2 * i + 1] = highOf(words[i]);
      }
    } else {
      float4 low = *(const float4 *)at, high = *(const float4 *)(at + 4);
      x[0] = low.x, x[1] = low.y, x[2] = low.z, x[3] = low.w;
      x[4] = high.x, x[5] = high.y, x[6] = high.z, x[7] = high.w;
    }
  } else {
#pragma unroll
    for (int i = 0; i < 8; i++) x[i] = i < count ? read(at + i) : 0.f;
  }
}

__device__ __forceinline__ uint4 plane(const float (&x)[8]) {
  return make_uint4(toWord(x[0], x[1]), toWord(x[2], x[3]), toWord(x[4], x[5]), toWord(x[6], x[7]));
}

enum Weight { NONE, KEY, QUERY };

// Grid (chunks, pairs, ceil(width / 64)).
template <typename T, Weight WEIGHT>
__device__ __forceinline__ void pack(const Work &a, const T *from, bf16 *to, int width) {
  __shared__ float parts[PACK_THREADS / 8][COLUMNS];
  const Pair p(a, blockIdx.y);
  const int chunk = blockIdx.x, mine = threadIdx.x & 7, column = blockIdx.z * COLUMNS + mine * 8;
  const int padded = paddedTo8(width);
  const long long planeSize = (long long)a.batch * a.length * a.heads * padded;
  const bool aligned = (width & 7) == 0;
  float sums[8] = {};
  if (column < padded) {
#pragma unroll 4
    for (int i = threadIdx.x / 8; i < a.chunk; i += PACK_THREADS / 8) {
      int t = chunk * a.chunk + i;
      if (t >= a.length) break;
      float x[8] = {};
      if (isToken(a, p, t)) {
        readEight(from + p.gate(a, t) * width + column, width - column, aligned, x);
        if constexpr (WEIGHT != NONE) {
          float weight, extra = 1.f;
          if constexpr (WEIGHT == KEY) {
            weight = a.w[p.vector + t];
          } else {
            weight = a.queryWeights[p.vector + t];
            extra = a.delta[p.vector + t];
          }
#pragma unroll
          for (int j = 0; j < 8; j++) {
            x[j] *= weight;
            sums[j] += x[j] * extra;
          }
        }
      }
      bf16 *row = to + p.gate(a, t) * padded + column;
      *(uint4 *)row = plane(x);
      if constexpr (PLANES<T> == 2) {
#pragma unroll
        for (int j = 0; j < 8; j++) x[j] -= rounded<bf16>(x[j]);
        *(uint4 *)(row + planeSize) = plane(x);
      }
    }
  }
  if constexpr (WEIGHT != NONE) {
#pragma unroll
    for (int j = 0; j < 8; j++) parts[threadIdx.x / 8][mine * 8 + j] = sums[j];
    __syncthreads();
    int mineToo = blockIdx.z * COLUMNS + threadIdx.x;
    if (threadIdx.x < COLUMNS && mineToo < width) {
      float sum = 0.f;
      for (int i = 0; i < PACK_THREADS / 8; i++) sum += parts[i][threadIdx.x];
      a.sums[((long long)p.index * a.chunks + chunk) * width + mineToo] = sum;
    }
  }
}

// ---- delta = -(dh . h) sign, and the weights of queries: one warp a token of a pair.

template <typename T> __device__ __forceinline__ void delta(const Work &a) {
  const long long token = (long long)blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  const int lane = threadIdx.x & 31, padded = a.chunks * a.chunk;
  if (token >= (long long)a.batch * a.heads * padded) return;
  const Pair p(a, (int)(token / padded));
  const int t = (int)(token % padded);
  float sum = 0.f;
  if (isToken(a, p, t)) {
    const T *dh = (const T *)a.dh + p.gate(a, t) * a.vDim, *h = (const T *)a.h + p.gate(a, t) * a.vDim;
    const bool aligned = (a.vDim & 7) == 0;
#pragma unroll 2
    for (int column = lane * 8; column < a.vDim; column += 256) {
      float x[8], y[8];
      readEight(dh + column, a.vDim - column, aligned, x);
      readEight(h + column, a.vDim - column, aligned, y);
#pragma unroll
      for (int i = 0; i < 8; i++) sum += x[i] * y[i];
    }
#pragma unroll
    for (int by = 16; by > 0; by /= 2) sum += __shfl_xor_sync(0xFFFFFFFFu, sum, by);
    sum *= -a.sign[token];
  }
  if (lane == 0) {
    a.delta[token] = sum;
    a.queryWeights[token] = t < a.length ? queryScale(a) * a.u[token] * a.r[token] : 0.f;
  }
}

// ---- The state at the start of each segment, from what each segment adds. One thread a value of C.

__device__ __forceinline__ float decayOf(const Work &a, long long pair, int segment) {
  const int first = segment * a.segmentChunks, end = min(first + a.segmentChunks, a.chunks);
  float decay = 1.f;
#pragma unroll 8
  for (int chunk = first; chunk < end; chunk++) decay *= a.decay[pair * a.chunks + chunk];
  return decay;
}

// Grid (blocks for C, pairs).
__device__ __forceinline__ void segments(const Work &a, const float *initial, bool reverse) {
  constexpr int BATCH = 8;
  __shared__ float decays[256];
  const long long size = (long long)a.qkDim * a.vDim, pair = blockIdx.y, at = (long long)blockIdx.x * 256 + threadIdx.x;
  const int number = (a.chunks + a.segmentChunks - 1) / a.segmentChunks;
  float c = initial == nullptr || at >= size ? 0.f : initial[pair * size + at];
  for (int from = 0; from < number; from += 256) {
    __syncthreads();
    if (from + threadIdx.x < number) {
      int s = from + threadIdx.x;
      decays[threadIdx.x] = decayOf(a, pair, reverse ? number - 1 - s : s);
    }
    __syncthreads();
    const int end = min(number, from + 256);
    for (int first = from; first < end && at < size; first += BATCH) {
      float added[BATCH];
      float *state[BATCH];
#pragma unroll
      for (int i = 0; i < BATCH; i++) {
        int s = min(first + i, end - 1);
        state[i] = a.segmentC + (pair * number + (reverse ? number - 1 - s : s)) * size + at;
        added[i] = *state[i];
      }
#pragma unroll
      for (int i = 0; i < BATCH; i++) {
        if (first + i < end) {
          *state[i] = c;
          c = decays[first + i - from] * c + added[i];
        }
      }
    }
  }
}

extern "C" __global__ void __launch_bounds__(256) segments_forward(const __grid_constant__ Work a) { segments(a, a.c0, false); }
extern "C" __global__ void __launch_bounds__(256) segments_backward(const __grid_constant__ Work a) { segments(a, a.dcLast, true); }

#define KERNELS(T, NAME)                                                                                               \
  extern "C" __global__ void __launch_bounds__(PACK_THREADS) pack_q_##NAME(const __grid_constant__ Work a) {           \
    pack<T, NONE>(a, (const T *)a.q, a.qPlanes, a.qkDim);                                                              \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(PACK_THREADS) pack_k_##NAME(const __grid_constant__ Work a) {           \
    pack<T, NONE>(a, (const T *)a.k, a.kPlanes, a.qkDim);                                                              \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(PACK_THREADS) pack_v_##NAME(const __grid_constant__ Work a) {           \
    pack<T, NONE>(a, (const T *)a.v, a.vPlanes, a.vDim);                                                               \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(PACK_THREADS) pack_dh_##NAME(const __grid_constant__ Work a) {          \
    pack<T, NONE>(a, (const T *)a.dh, a.dhPlanes, a.vDim);                                                             \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(PACK_THREADS) weigh_k_##NAME(const __grid_constant__ Work a) {          \
    pack<T, KEY>(a, (const T *)a.k, a.weighted, a.qkDim);                                                              \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(PACK_THREADS) weigh_q_##NAME(const __grid_constant__ Work a) {          \
    pack<T, QUERY>(a, (const T *)a.q, a.weighted, a.qkDim);                                                            \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(256) delta_##NAME(const __grid_constant__ Work a) { delta<T>(a); }

KERNELS(float, f32)
KERNELS(bf16, bf16)
