// Arguments and positions of the mLSTM kernels.
//
// Shapes: B batch, S length, NH heads, DQK width of a query or key, DHV width of a value. A pair is a sequence and a head.
// A sequence is cut into chunks of `chunk` tokens; the last may be shorter. T is the type of sequences in memory.
//
// Products run on the matrix units with bfloat16 operands. A float32 operand is the sum of two bfloat16 values, which lie in
// two planes; its product is three products. A bfloat16 operand is one plane. Sums, gates and normalizers are float32.
#pragma once

#include "types.cuh"

template <typename T> constexpr int PLANES = sizeof(T) == 4 ? 2 : 1;

constexpr float EPSILON = 1e-6f; // added to the denominator after the maximum

// What all kernels of a call read and write; the host writes these fields in this order. Null where a call lacks something.
struct Work {
  const void *q, *k;             // T (B, S, NH, DQK)
  const void *v;                 // T (B, S, NH, DHV)
  const float *igate, *fgate;    // (B, S, NH)
  const float *c0, *n0, *m0;     // (B, NH, DQK, DHV), (B, NH, DQK), (B, NH)
  const u8 *valid, *starts;      // (B, S)
  void *h;                       // T (B, S, NH, DHV)
  float *cLast, *nLast, *mLast;  // as c0, n0, m0
  const void *dh;                // T (B, S, NH, DHV)
  const float *dcLast, *dnLast;  // as c0, n0
  void *dq, *dk, *dv;            // T, as q, k, v
  float *digate, *dfgate;        // (B, S, NH)
  float *dc0, *dn0;              // as c0, n0
  // The operands of products: planes of (B, S, NH, width), the width rounded up to a multiple of 8. May be q, k, v, dh.
  bf16 *qPlanes, *kPlanes, *vPlanes, *dhPlanes;
  bf16 *weighted;                // k or q with a weight for each token
  // One value a token: (pairs, chunks * chunk). Powers of 2 have the exponent of the gates in units of log 2.
  float *x, *y;                  // the weight of token j in token l is 2^(x_l + y_j)
  float *w;                      // of a token in the state at the end of its chunk
  float *u;                      // of the state at the chunk's start in a token
  float *floor;                  // exp(-m), the least denominator
  int *from;                     // first token of the chunk that is seen; 0 if the chunk's start is
  float *r;                      // 1 / denominator
  float *sign;                   // of q . n; 0 where the floor is larger
  float *decay;                  // (pairs, chunks): of the state at a chunk's start in that at its end
  float *mStates;                // (pairs, chunks + 1): m at the start of a chunk; the last one is the final m
  // Scratch
  float2 *steps;                 // (pairs, chunks)
  double *tails;                 // (pairs, tiles of gate gradients, 2)
  float *sums;                   // (pairs, chunks, DQK): of weighted tokens
  float *nStates;                // (pairs, chunks, DQK): n at a chunk's start, or its gradient at a chunk's end
  bf16 *states;                  // planes of (pairs, chunks, DQK, DHV): the same of C; DHV rounded up
  bf16 *scores, *slopes;         // planes of (pairs, chunks, chunk, chunk): row l, column j <= l
  float *delta;                  // gradient of q . n times the denominator, one value a token
  float *queryWeights;           // of q in the gradient of the state at its chunk's start, one value a token
  float *qdq, *kdk;              // (column tiles, pairs, chunks * chunk): parts of q . dq and k . dk
  float *endC, *endN;            // final state, as cLast and nLast
  float *endDot;                 // (pairs): of final state and its gradient
  float *segmentC;               // (pairs, segments, DQK, DHV): C at the start of a segment
  int batch, length, heads, qkDim, vDim;
  int chunk, chunks, segmentChunks; // chunks of a segment
};

__device__ __forceinline__ int paddedTo8(int width) { return (width + 7) & ~7; }
__device__ __forceinline__ float queryScale(const Work &a) { return rsqrtf((float)a.qkDim); }

// One pair: its sequence and head.
struct Pair {
  int index, row, head;
  long long vector; // where its values of tokens begin
  __device__ __forceinline__ Pair(const Work &a, int pair)
      : index(pair), row(pair / a.heads), head(pair % a.heads), vector((long long)pair * a.chunks * a.chunk) {}
  // Of (B, S).
  __device__ __forceinline__ long long position(const Work &a, int token) const { return (long long)row * a.length + token; }
  // Of (B, S, NH).
  __device__ __forceinline__ long long gate(const Work &a, int token) const { return position(a, token) * a.heads + head; }
};

__device__ __forceinline__ bool isToken(const Work &a, const Pair &p, int token) {
  return token < a.length && isToken(a.valid, p.position(a, token));
}

// Padding starts no document.
__device__ __forceinline__ bool isStart(const Work &a, const Pair &p, int token) {
  return a.starts != nullptr && isToken(a, p, token) && a.starts[p.position(a, token)] != 0;
}
