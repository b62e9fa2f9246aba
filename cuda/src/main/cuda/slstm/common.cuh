// Arguments and the arithmetic of one unit of the sLSTM cell, for all kernels of this folder.
//
// Shapes: B batch, S length, NH heads, DH units of a head. Gates stand in the order i, f, z, o.
// Floating-point values of sequences and of the recurrent kernel have the element type T: float32 or bfloat16.
// Gates, states, bias and all sums are float32.
#pragma once

#include "types.cuh"

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

// What the backward pass needs of one unit and token.
//
// One of the two gates is 1, because the stabilizer m is the larger of the two exponents; `gate` is the other one:
// f where the input gate set m, -i (also -0) where the forget gate did.
struct Activations {
  float gate, slope, z, o;
};

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
