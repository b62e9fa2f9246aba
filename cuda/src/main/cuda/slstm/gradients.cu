// The gradient of the recurrent kernel, one large product after the backward pass over the sequence:
// dR[h, in, gate, out] = sum over tokens of y_before[token, h, in] * dwx[token, gate, h, out].
//
// A block makes 64 inputs x 64 outputs of one gate and head for a part of the tokens; `sum_parts` adds the parts in order,
// so that two runs give the same bits. bfloat16 goes through the matrix units, float32 is plain multiply-adds.
//
// Grid (4 ceil(DH / 64), ceil(DH / 64), NH * parts).
#include "common.cuh"

template <typename T> struct RecurrentGradient {
  const T *y;        // (B, S, NH, DH)
  const float *y0;   // (B, NH, DH) or null
  const u8 *valid;   // (B, S) or null
  const u8 *starts;  // (B, S) or null
  const T *dwx;      // (B, S, 4, NH, DH)
  float *parts;      // (parts, NH, DH, 4, DH)
  int batch, length, heads, width;
  int tokensPerPart; // a multiple of 32
  int reserved;
};

constexpr int INITIAL = -1, NOTHING = -2;

// The position whose y went into position `token`: INITIAL for y0, NOTHING for none.
template <typename T> __device__ __forceinline__ int before(const RecurrentGradient<T> &a, int token) {
  if (token >= a.batch * a.length || !isToken(a.valid, token)) return NOTHING;
  if (a.starts != nullptr && a.starts[token] != 0) return NOTHING;
  const int first = token / a.length * a.length;
  do {
    token--;
  } while (token >= first && !isToken(a.valid, token));
  return token >= first ? token : INITIAL;
}

// ---- bfloat16: four warps of 32 x 32, chunks of 32 tokens.

constexpr int STRIDE = 72; // of a row of 64 values in shared memory: rows start in different banks

__device__ __forceinline__ uint4 eight(const bf16 *at, int count, bool aligned) {
  if (count <= 0) return make_uint4(0, 0, 0, 0);
  if (aligned && count >= 8) return *(const uint4 *)at;
  u32 bits[8];
#pragma unroll
  for (int i = 0; i < 8; i++) bits[i] = i < count ? at[i].bits : 0;
  return make_uint4(bits[0] | bits[1] << 16, bits[2] | bits[3] << 16, bits[4] | bits[5] << 16, bits[6] | bits[7] << 16);
}

__device__ __forceinline__ uint4 eightRounded(const float *at, int count) {
  float x[8];
#pragma unroll
  for (int i = 0; i < 8; i++) x[i] = i < count ? at[i] : 0.f;
  return make_uint4(toWord(x[0], x[1]), toWord(x[2], x[3]), toWord(x[4], x[5]), toWord(x[6], x[7]));
}

__device__ __forceinline__ void loadTransposed(u32 (&v)[4], const u16 *at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3]) : "r"((u32)__cvta_generic_to_shared(at)) : "memory");
}

extern "C" __global__ void __launch_bounds__(128)
    recurrent_gradient_bf16(const __grid_constant__ RecurrentGradient<bf16> a) {
  __shared__ __align__(16) u16 inputs[2][32 * STRIDE], outputs[2][32 * STRIDE];
  const int width = a.width, tilesOut = (width + 63) / 64;
  const int gate = blockIdx.x / tilesOut, out0 = blockIdx.x % tilesOut * 64, in0 = blockIdx.y * 64;
  const int head = blockIdx.z % a.heads, part = blockIdx.z / a.heads;
  const int tokens = a.batch * a.length, from = part * a.tokensPerPart;
  const int until = from + a.tokensPerPart < tokens ? from + a.tokensPerPart : tokens;
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const long long units = (long long)a.heads * width, column = (long long)head * width;
  const bool aligned = (width & 7) == 0;
  const int myRow = threadIdx.x / 8, myColumn = threadIdx.x % 8 * 8; // and row + 16
  uint4 in[2], out[2];
  float sum[2][4][4] = {};

  auto fetch = [&](int chunk) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      int token = chunk + myRow + i * 16;
      int source = token < until ? before(a, token) : NOTHING;
      in[i] = make_uint4(0, 0, 0, 0);
      if (source >= 0) {
        in[i] = eight(a.y + source * units + column + in0 + myColumn, width - in0 - myColumn, aligned);
      } else if (source == INITIAL && a.y0 != nullptr) {
        in[i] = eightRounded(a.y0 + token / a.length * units + column + in0 + myColumn, width - in0 - myColumn);
      }
      out[i] = make_uint4(0, 0, 0, 0);
      if (token < until) {
        out[i] = eight(
            a.dwx + ((long long)token * 4 + gate) * units + column + out0 + myColumn, width - out0 - myColumn, aligned);
      }
    }
  };

  fetch(from);
  int buffer = 0;
  for (int chunk = from; chunk < until; chunk += 32, buffer ^= 1) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      *(uint4 *)&inputs[buffer][(myRow + i * 16) * STRIDE + myColumn] = in[i];
      *(uint4 *)&outputs[buffer][(myRow + i * 16) * STRIDE + myColumn] = out[i];
    }
    __syncthreads();
    if (chunk + 32 < until) fetch(chunk + 32);
    const int i = lane & 7, j = lane >> 3;
#pragma unroll
    for (int k = 0; k < 32; k += 16) {
      u32 b[2][4];
#pragma unroll
      for (int n = 0; n < 2; n++) {
        loadTransposed(
            b[n], &outputs[buffer][(k + (j & 1) * 8 + i) * STRIDE + (warp & 1) * 32 + n * 16 + (j >> 1) * 8]);
      }
#pragma unroll
      for (int m = 0; m < 2; m++) {
        u32 v[4];
        loadTransposed(
            v, &inputs[buffer][(k + (j >> 1) * 8 + i) * STRIDE + (warp >> 1) * 32 + m * 16 + (j & 1) * 8]);
#pragma unroll
        for (int n = 0; n < 4; n++) {
          float(&d)[4] = sum[m][n];
          asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, "
              "%1, %2, %3};"
              : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
              : "r"(v[0]), "r"(v[1]), "r"(v[2]), "r"(v[3]), "r"(b[n / 2][n % 2 * 2]), "r"(b[n / 2][n % 2 * 2 + 1]));
        }
      }
    }
  }
  float *to = a.parts + (((long long)part * a.heads + head) * width * 4 + gate) * width;
#pragma unroll
  for (int m = 0; m < 2; m++) {
#pragma unroll
    for (int n = 0; n < 4; n++) {
#pragma unroll
      for (int q = 0; q < 4; q++) {
        int row = in0 + (warp >> 1) * 32 + m * 16 + (lane >> 2) + q / 2 * 8;
        int col = out0 + (warp & 1) * 32 + n * 8 + (lane & 3) * 2 + q % 2;
        if (row < width && col < width) to[(long long)row * 4 * width + col] = sum[m][n][q];
      }
    }
  }
}

// ---- float32: 256 threads of 4 x 4, chunks of 16 tokens.

extern "C" __global__ void __launch_bounds__(256)
    recurrent_gradient_f32(const __grid_constant__ RecurrentGradient<float> a) {
  __shared__ __align__(16) float inputs[16][68], outputs[16][68];
  const int width = a.width, tilesOut = (width + 63) / 64;
  const int gate = blockIdx.x / tilesOut, out0 = blockIdx.x % tilesOut * 64, in0 = blockIdx.y * 64;
  const int head = blockIdx.z % a.heads, part = blockIdx.z / a.heads;
  const int tokens = a.batch * a.length, from = part * a.tokensPerPart;
  const int until = from + a.tokensPerPart < tokens ? from + a.tokensPerPart : tokens;
  const long long units = (long long)a.heads * width, column = (long long)head * width;
  const int myRow = threadIdx.x / 16, myColumn = threadIdx.x % 16 * 4;
  float sum[4][4] = {};
  for (int chunk = from; chunk < until; chunk += 16) {
    int token = chunk + myRow;
    int source = token < until ? before(a, token) : NOTHING;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int in = in0 + myColumn + i, out = out0 + myColumn + i;
      float x = 0.f, g = 0.f;
      if (in < width && source >= 0) x = a.y[source * units + column + in];
      if (in < width && source == INITIAL && a.y0 != nullptr) x = a.y0[token / a.length * units + column + in];
      if (out < width && token < until) g = a.dwx[((long long)token * 4 + gate) * units + column + out];
      inputs[myRow][myColumn + i] = x;
      outputs[myRow][myColumn + i] = g;
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < 16; k++) {
      float4 x = *(const float4 *)&inputs[k][myRow * 4], g = *(const float4 *)&outputs[k][myColumn];
      float xs[4] = {x.x, x.y, x.z, x.w}, gs[4] = {g.x, g.y, g.z, g.w};
#pragma unroll
      for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) sum[i][j] += xs[i] * gs[j];
      }
    }
    __syncthreads();
  }
  float *to = a.parts + (((long long)part * a.heads + head) * width * 4 + gate) * width;
#pragma unroll
  for (int i = 0; i < 4; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
      int row = in0 + myRow * 4 + i, col = out0 + myColumn + j;
      if (row < width && col < width) to[(long long)row * 4 * width + col] = sum[i][j];
    }
  }
}

// to[i] = the sum over parts of from[part][i], in order.
extern "C" __global__ void sum_parts(const float *from, float *to, long long count, int parts) {
  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  float sum = 0.f;
  for (int part = 0; part < parts; part++) sum += from[part * count + i];
  to[i] = sum;
}
