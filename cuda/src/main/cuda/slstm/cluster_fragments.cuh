#pragma once
#include "cluster.cuh"

// ---- Fragments: the recurrent kernel in the order that the lanes of a warp read it. One thread makes one uint4.

struct FragmentShape {
  int heads, width, blocks, warps;
};

template <typename T>
__device__ __forceinline__ float weight(const T *r, int head, int in, int gate, int out, int width) {
  bool have = in < width && out < width;
  return have ? read(r + (((long long)head * width + in) * 4 + gate) * width + out) : 0.f;
}

template <typename T> __device__ __forceinline__ u32 planeWord(int plane, float low, float high) {
  return plane == 0 ? toWord(low, high) : toWord(low - rounded<bf16>(low), high - rounded<bf16>(high));
}

// [NH][tile][k-step][plane][gate pair][lane]
template <typename T>
__device__ __forceinline__ void forwardFragments(const T *r, uint4 *to, FragmentShape s) {
  const int steps = (s.width + 31) / 32 * 2, tiles = s.blocks * s.warps;
  const long long all = (long long)s.heads * tiles * steps * PLANES<T> * 64;
  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= all) return;
  long long rest = i;
  int lane = rest % 32;
  rest /= 32;
  int half = rest % 2;
  rest /= 2;
  int plane = rest % PLANES<T>;
  rest /= PLANES<T>;
  int step = rest % steps;
  rest /= steps;
  int tile = rest % tiles, head = rest / tiles;
  int in = step * 16 + (lane & 3) * 2, out = tile * 8 + (lane >> 2), w = s.width;
  u32 words[4];
#pragma unroll
  for (int j = 0; j < 4; j++) {
    int gate = half * 2 + j / 2, k = in + (j & 1) * 8;
    words[j] = planeWord<T>(plane, weight(r, head, k, gate, out, w), weight(r, head, k + 1, gate, out, w));
  }
  to[i] = make_uint4(words[0], words[1], words[2], words[3]);
}

// [NH][block][warp][group of four blocks][k-step][plane][pair of blocks][lane]
template <typename T>
__device__ __forceinline__ void backwardFragments(const T *r, uint4 *to, FragmentShape s) {
  const int groups = (s.blocks + 3) / 4, inner = 2 * s.warps;
  const long long all = (long long)s.heads * s.blocks * s.warps * groups * inner * PLANES<T> * 64;
  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= all) return;
  long long rest = i;
  int lane = rest % 32;
  rest /= 32;
  int half = rest % 2;
  rest /= 2;
  int plane = rest % PLANES<T>;
  rest /= PLANES<T>;
  int step = rest % inner;
  rest /= inner;
  int group = rest % groups;
  rest /= groups;
  int warp = rest % s.warps;
  rest /= s.warps;
  int block = rest % s.blocks, head = rest / s.blocks, w = s.width;
  int out = (block * s.warps + step / 2) * 8 + (lane & 3) * 2; // a k-step is two gates of one warp's units
  u32 words[4];
#pragma unroll
  for (int j = 0; j < 4; j++) {
    int owner = group * 4 + half * 2 + j / 2, gate = step % 2 * 2 + (j & 1);
    int in = (owner * s.warps + warp) * 8 + (lane >> 2);
    if (owner >= s.blocks) in = w;
    words[j] = planeWord<T>(plane, weight(r, head, in, gate, out, w), weight(r, head, in, gate, out + 1, w));
  }
  to[i] = make_uint4(words[0], words[1], words[2], words[3]);
}
