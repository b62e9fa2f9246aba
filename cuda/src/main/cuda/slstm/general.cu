// The sLSTM cell on any chip from sm_80 on and at any width up to 1,024: one block has one head and four sequences,
// one thread has one unit. Products are plain float32 multiply-adds in the order of the inputs; the recurrent kernel is
// read from the L2 cache at every token. Simple and right; the cluster kernel is the fast one.
//
// Grid (NH, ceil(B / 4)); block: DH rounded up to whole warps.
#include "common.cuh"

constexpr int ROWS = 4;

extern __shared__ __align__(16) float shared[];

// Shared memory: two buffers of ROWS x stride floats, stride = DH rounded up to 4.
template <typename T> __device__ __forceinline__ void forward(const Forward<T> &a) {
  const int width = a.width, unit = threadIdx.x, head = blockIdx.x, row0 = blockIdx.y * ROWS;
  const bool live = unit < width;
  const int stride = (width + 3) & ~3;
  const long long units = (long long)a.heads * width;
  const long long column = (long long)head * width + unit;
  const long long plane = (long long)a.batch * a.length * units; // of one saved value
  float c[ROWS], n[ROWS], m[ROWS], y[ROWS], bias[4];
  for (int i = threadIdx.x; i < 2 * ROWS * stride; i += blockDim.x) shared[i] = 0.f;
#pragma unroll
  for (int row = 0; row < ROWS; row++) {
    bool have = live && row0 + row < a.batch;
    long long at = (row0 + row) * units + column;
    y[row] = have && a.y0 != nullptr ? a.y0[at] : 0.f;
    c[row] = have && a.c0 != nullptr ? a.c0[at] : 0.f;
    n[row] = have && a.n0 != nullptr ? a.n0[at] : 0.f;
    m[row] = have && a.m0 != nullptr ? a.m0[at] : 0.f;
  }
#pragma unroll
  for (int gate = 0; gate < 4; gate++) bias[gate] = live ? a.bias[((long long)head * 4 + gate) * width + unit] : 0.f;
  __syncthreads();
  const T *r = a.r + (long long)head * width * 4 * width + unit;
  for (int t = 0; t < a.length; t++) {
    float *feed = shared + (t & 1) * ROWS * stride;
    float sum[ROWS][4];
#pragma unroll
    for (int row = 0; row < ROWS; row++) {
      long long position = (long long)(row0 + row) * a.length + t;
      bool have = row0 + row < a.batch;
      if (have && a.starts != nullptr && a.starts[position] != 0 && isToken(a.valid, position)) {
        y[row] = c[row] = n[row] = m[row] = 0.f;
      }
      if (live) feed[row * stride + unit] = rounded<T>(y[row]);
#pragma unroll
      for (int gate = 0; gate < 4; gate++) {
        sum[row][gate] = bias[gate] + (live && have ? read(a.wx + (position * 4 + gate) * units + column) : 0.f);
      }
    }
    __syncthreads(); // the other buffer is free: all have passed the product of the token before
    if (live) {
      for (int in = 0; in < width; in++) {
        const T *at = r + (long long)in * 4 * width;
        float w[4];
#pragma unroll
        for (int gate = 0; gate < 4; gate++) w[gate] = read(at + gate * width);
#pragma unroll
        for (int row = 0; row < ROWS; row++) {
          float fed = feed[row * stride + in];
#pragma unroll
          for (int gate = 0; gate < 4; gate++) sum[row][gate] += fed * w[gate];
        }
      }
    }
#pragma unroll
    for (int row = 0; row < ROWS; row++) {
      if (!live || row0 + row >= a.batch) continue;
      long long position = (long long)(row0 + row) * a.length + t;
      long long at = position * units + column;
      if (isToken(a.valid, position)) {
        Activations act = advance(
            sum[row][0], sum[row][1], sum[row][2], sum[row][3], c[row], n[row], m[row], y[row]);
        write(a.y + at, y[row]);
        if (a.saved != nullptr) {
          write(a.saved + at, act.gate);
          write(a.saved + plane + at, act.slope);
          write(a.saved + 2 * plane + at, act.z);
          write(a.saved + 3 * plane + at, act.o);
        }
      } else {
        write(a.y + at, 0.f);
      }
      if (a.saved != nullptr) {
        write(a.saved + 4 * plane + at, c[row]);
        write(a.saved + 5 * plane + at, n[row]);
      }
    }
  }
  if (a.yLast == nullptr) return;
#pragma unroll
  for (int row = 0; row < ROWS; row++) {
    if (!live || row0 + row >= a.batch) continue;
    long long at = (row0 + row) * units + column;
    a.yLast[at] = y[row];
    a.cLast[at] = c[row];
    a.nLast[at] = n[row];
    a.mLast[at] = m[row];
  }
}

// Shared memory: ROWS x 4 DH floats.
template <typename T> __device__ __forceinline__ void backward(const Backward<T> &a) {
  const int width = a.width, unit = threadIdx.x, head = blockIdx.x, row0 = blockIdx.y * ROWS;
  const bool live = unit < width;
  const long long units = (long long)a.heads * width;
  const long long column = (long long)head * width + unit;
  const long long plane = (long long)a.batch * a.length * units;
  float dyNext[ROWS], dc[ROWS], dn[ROWS], dm[ROWS], dbias[4] = {0.f, 0.f, 0.f, 0.f};
#pragma unroll
  for (int row = 0; row < ROWS; row++) {
    bool have = live && row0 + row < a.batch;
    long long at = (row0 + row) * units + column;
    dyNext[row] = have && a.dyLast != nullptr ? a.dyLast[at] : 0.f;
    dc[row] = have && a.dcLast != nullptr ? a.dcLast[at] : 0.f;
    dn[row] = have && a.dnLast != nullptr ? a.dnLast[at] : 0.f;
    dm[row] = have && a.dmLast != nullptr ? a.dmLast[at] : 0.f;
    if (have) { // the state after the last step was saved there, padding or not
      long long last = ((long long)(row0 + row) * a.length + a.length - 1) * units + column;
      dm[row] -= read(a.saved + 4 * plane + last) * dc[row] + read(a.saved + 5 * plane + last) * dn[row];
    }
  }
  const T *r = a.rTransposed + (long long)head * 4 * width * width + unit;
  for (int t = a.length - 1; t >= 0; t--) {
    bool token[ROWS], start[ROWS];
#pragma unroll
    for (int row = 0; row < ROWS; row++) {
      bool have = row0 + row < a.batch;
      long long position = (long long)(row0 + row) * a.length + t;
      long long at = position * units + column;
      token[row] = have && isToken(a.valid, position);
      start[row] = token[row] && a.starts != nullptr && a.starts[position] != 0;
      GateGradients d = {0.f, 0.f, 0.f, 0.f};
      if (live && token[row]) {
        Activations act = {
            read(a.saved + at), read(a.saved + plane + at), read(a.saved + 2 * plane + at),
            read(a.saved + 3 * plane + at)};
        float cBefore = 0.f, nBefore = 0.f;
        if (!start[row]) {
          if (t > 0) {
            cBefore = read(a.saved + 4 * plane + at - units);
            nBefore = read(a.saved + 5 * plane + at - units);
          } else if (a.c0 != nullptr) {
            cBefore = a.c0[(row0 + row) * units + column];
            nBefore = a.n0[(row0 + row) * units + column];
          }
        }
        d = retreat(
            act, read(a.saved + 4 * plane + at), read(a.saved + 5 * plane + at), cBefore, nBefore,
            read(a.dy + at) + dyNext[row], dc[row], dn[row], dm[row]);
      }
      d.i = rounded<T>(d.i);
      d.f = rounded<T>(d.f);
      d.z = rounded<T>(d.z);
      d.o = rounded<T>(d.o);
      if (live) {
        float *to = shared + row * 4 * width + unit;
        to[0] = d.i;
        to[width] = d.f;
        to[2 * width] = d.z;
        to[3 * width] = d.o;
        dbias[0] += d.i;
        dbias[1] += d.f;
        dbias[2] += d.z;
        dbias[3] += d.o;
        if (have) {
          T *dwx = a.dwx + position * 4 * units + column;
          write(dwx, d.i);
          write(dwx + units, d.f);
          write(dwx + 2 * units, d.z);
          write(dwx + 3 * units, d.o);
        }
      }
    }
    __syncthreads();
    float sum[ROWS] = {0.f, 0.f, 0.f, 0.f};
    if (live) {
      for (int k = 0; k < 4 * width; k++) {
        float w = read(r + (long long)k * width);
#pragma unroll
        for (int row = 0; row < ROWS; row++) sum[row] += shared[row * 4 * width + k] * w;
      }
    }
    __syncthreads();
#pragma unroll
    for (int row = 0; row < ROWS; row++) {
      if (token[row]) dyNext[row] = sum[row];
      if (start[row]) dyNext[row] = dc[row] = dn[row] = dm[row] = 0.f;
    }
  }
  if (live) {
#pragma unroll
    for (int gate = 0; gate < 4; gate++) {
      a.dbiasParts[(((long long)blockIdx.y * a.heads + head) * 4 + gate) * width + unit] = dbias[gate];
    }
  }
  if (a.dy0 == nullptr) return;
#pragma unroll
  for (int row = 0; row < ROWS; row++) {
    if (!live || row0 + row >= a.batch) continue;
    long long at = (row0 + row) * units + column;
    float c0 = a.c0 != nullptr ? a.c0[at] : 0.f, n0 = a.n0 != nullptr ? a.n0[at] : 0.f;
    a.dy0[at] = dyNext[row];
    a.dc0[at] = dc[row];
    a.dn0[at] = dn[row];
    a.dm0[at] = dm[row] + c0 * dc[row] + n0 * dn[row];
  }
}

// to (NH, 4 DHout, DHin) = from (NH, DHin, 4, DHout). Grid (4 DH / 32, DH / 32, NH) rounded up, block (32, 8).
template <typename T> __device__ __forceinline__ void transpose(const T *from, T *to, int width) {
  __shared__ T tile[32][33];
  const long long base = (long long)blockIdx.z * width * 4 * width;
  for (int i = threadIdx.y; i < 32; i += 8) {
    int in = blockIdx.y * 32 + i, out = blockIdx.x * 32 + threadIdx.x;
    if (in < width && out < 4 * width) tile[i][threadIdx.x] = from[base + (long long)in * 4 * width + out];
  }
  __syncthreads();
  for (int i = threadIdx.y; i < 32; i += 8) {
    int in = blockIdx.y * 32 + threadIdx.x, out = blockIdx.x * 32 + i;
    if (in < width && out < 4 * width) to[base + (long long)out * width + in] = tile[threadIdx.x][i];
  }
}

extern "C" {
__global__ void __launch_bounds__(1024, 1) forward_f32(const __grid_constant__ Forward<float> a) { forward(a); }
__global__ void __launch_bounds__(1024, 1) forward_bf16(const __grid_constant__ Forward<bf16> a) { forward(a); }
__global__ void __launch_bounds__(1024, 1) backward_f32(const __grid_constant__ Backward<float> a) { backward(a); }
__global__ void __launch_bounds__(1024, 1) backward_bf16(const __grid_constant__ Backward<bf16> a) { backward(a); }
__global__ void transpose_f32(const float *from, float *to, int width) { transpose(from, to, width); }
__global__ void transpose_bf16(const bf16 *from, bf16 *to, int width) { transpose(from, to, width); }
}
