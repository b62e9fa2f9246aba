// Element types and the arithmetic of single values, for the kernels of all cells.
// Compiled by NVRTC without any header of CUDA.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct bf16 {
  u16 bits;
};

__device__ __forceinline__ u16 toBits(float x) {
  u16 bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
}

// Two values in one word, `low` in its lower half.
__device__ __forceinline__ u32 toWord(float low, float high) {
  u32 word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}

__device__ __forceinline__ float lowOf(u32 word) { return __uint_as_float(word << 16); }
__device__ __forceinline__ float highOf(u32 word) { return __uint_as_float(word & 0xFFFF0000u); }

__device__ __forceinline__ float read(const float *at) { return *at; }
__device__ __forceinline__ float read(const bf16 *at) { return __uint_as_float((u32)at->bits << 16); }
__device__ __forceinline__ void write(float *at, float x) { *at = x; }
__device__ __forceinline__ void write(bf16 *at, float x) { at->bits = toBits(x); }

// The value as T stores it.
template <typename T> __device__ __forceinline__ float rounded(float x);
template <> __device__ __forceinline__ float rounded<float>(float x) { return x; }
template <> __device__ __forceinline__ float rounded<bf16>(float x) { return __uint_as_float((u32)toBits(x) << 16); }

// Position `step` of a sequence holds a token.
__device__ __forceinline__ bool isToken(const u8 *valid, long long position) {
  return valid == nullptr || valid[position] != 0;
}

// The hardware's functions of one instruction; results below the smallest normal number are zero. Relative errors are
// about 2^-22, that of log2 is absolute around 1.
__device__ __forceinline__ float exponential(float x) {
  float e;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(e) : "f"(x * 1.4426950408889634f));
  return e;
}

__device__ __forceinline__ float reciprocal(float x) {
  float r;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}

// log(1 + e) for e in [0, 1]: a polynomial where 1 + e would lose e.
__device__ __forceinline__ float log1pOfUnit(float e) {
  float l;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(l) : "f"(1.f + e));
  float small = e * (1.f - e * (0.5f - e * (0.33333333f - e * 0.25f)));
  return e < 0.03f ? small : l * 0.6931471805599453f;
}
