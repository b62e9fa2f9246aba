// Element types, arguments and the arithmetic of one unit of the sLSTM cell, for all kernels of this folder.
// Compiled by NVRTC without any header of CUDA.
//
// Shapes: B batch, S length, NH heads, DH units of a head. Gates stand in the order i, f, z, o.
// Floating-point values of sequences and of the recurrent kernel have the element type T: float32 or bfloat16.
// Gates, states, bias and all sums are float32.
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

// What the forward kernels read and write. Pointers that may be null: states (zeros), masks, last states, saved.
// The host writes these fields in this order: 16 addresses, then 6 ints.
template <typename T> struct Forward {
  const T *wx;             // (B, S, 4, NH, DH)
  const T *r;              // (NH, DHin, 4, DHout)
  const float *bias;       // (NH, 4, DH)
  const float *y0;         // (B, NH, DH), as c0, n0, m0
  const float *c0;
  const float *n0;
  const float *m0;
  const u8 *valid;         // (B, S), 0 at padding: the state stays and y is zero
  const u8 *starts;        // (B, S), 1 where a document starts, from a fresh state
  T *y;                    // (B, S, NH, DH)
  float *yLast;            // (B, NH, DH), as the next three
  float *cLast;
  float *nLast;
  float *mLast;
  T *saved;                // six values a unit and token for the backward pass, in an order of the kernel's own
  const uint4 *fragments;  // the recurrent kernel in the order that the matrix units read; cluster kernel only
  int batch, length, heads, width;
  int sharedSteps;         // k-steps of the fragments that fit into shared memory; cluster kernel only
  int reserved;
};

// What the backward kernels read and write: 20 addresses, then 6 ints. Null: states, masks, gradients of last states.
template <typename T> struct Backward {
  const T *rTransposed;    // (NH, 4 DHout, DHin); general kernel only
  const T *saved;
  const T *dy;             // (B, S, NH, DH)
  const float *c0;
  const float *n0;
  const u8 *valid;
  const u8 *starts;
  const float *dyLast;     // (B, NH, DH), as the next three
  const float *dcLast;
  const float *dnLast;
  const float *dmLast;
  T *dwx;                  // (B, S, 4, NH, DH)
  float *dy0;              // (B, NH, DH), as the next three
  float *dc0;
  float *dn0;
  float *dm0;
  float *dbiasParts;       // (batch tiles, NH, 4, DH)
  const uint4 *fragments;
  u64 reserved0, reserved1;
  int batch, length, heads, width;
  int sharedSteps;
  int reserved;
};

// Position `step` of a sequence holds a token.
__device__ __forceinline__ bool isToken(const u8 *valid, long long position) {
  return valid == nullptr || valid[position] != 0;
}

// What the backward pass needs of one unit and token.
//
// One of the two gates is 1, because the stabilizer m is the larger of the two exponents; `gate` is the other one:
// f where the input gate set m, -i (also -0) where the forget gate did.
struct Activations {
  float gate, slope, z, o;
};

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

// Advances one unit by one token: c, n, m and y. Beck et al. 2024, arXiv:2405.04517, eq. 8-17.
//
// Where n = 0 the input gate sets m, and the forget gate, which c and n of zero do not see but their gradients do, is at
// most 1.
__device__ __forceinline__ Activations advance(
    float i, float f, float z, float o, float &c, float &n, float &m, float &y) {
  Activations a;
  float e = exponential(-fabsf(f));
  float inverse = reciprocal(1.f + e);
  a.slope = f >= 0.f ? e * inverse : inverse; // sigmoid(-f), the slope of log-sigmoid
  float ez = exponential(-2.f * fabsf(z));
  a.z = copysignf((1.f - ez) * reciprocal(1.f + ez), z); // tanh
  a.o = reciprocal(1.f + exponential(-o));
  float logF = m + (fminf(f, 0.f) - log1pOfUnit(e));
  bool forgetLarger = logF > i;
  bool forgetSetM = n != 0.f && forgetLarger;
  m = forgetSetM ? logF : i;
  float smaller = exponential(-fabsf(i - logF));
  float input = forgetSetM ? smaller : 1.f;
  float forget = forgetLarger ? 1.f : smaller;
  a.gate = forgetSetM ? -smaller : forget;
  c = forget * c + input * a.z;
  n = forget * n + input;
  y = a.o * (c * reciprocal(n));
  return a;
}

// Takes gradients back through one unit and token.
//
// c, n are the state after the token, cBefore, nBefore before it. dm carries the gradient that reaches the maximum
// m_t, that is dm_t - c_t dc_t - n_t dn_t: the gate that set m takes it, and if that is the forget gate it flows on.
struct GateGradients {
  float i, f, z, o;
};

__device__ __forceinline__ GateGradients retreat(
    Activations a, float c, float n, float cBefore, float nBefore, float dy, float &dc, float &dn, float &dm) {
  GateGradients d;
  bool forgetSetM = (__float_as_uint(a.gate) >> 31) != 0;
  float input = forgetSetM ? -a.gate : 1.f;
  float forget = forgetSetM ? 1.f : a.gate;
  float inverse = reciprocal(n);
  float h = c * inverse;
  float scaled = dy * a.o * inverse;
  dc += scaled;
  dn -= scaled * h;
  d.i = input * (a.z * dc + dn) + (forgetSetM ? 0.f : dm);
  d.f = a.slope * (forget * (cBefore * dc + nBefore * dn) + (forgetSetM ? dm : 0.f));
  d.z = input * dc * (1.f - a.z * a.z);
  d.o = (1.f - a.o) * a.o * h * dy;
  dc *= forget;
  dn *= forget;
  dm = forgetSetM ? dm : 0.f;
  return d;
}
